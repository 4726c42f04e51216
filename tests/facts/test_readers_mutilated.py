"""Whatever happens to a description on its way here: what is left of it is read as before, and nothing raises."""

from __future__ import annotations

import contextlib
import json
import random
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hfdoctor.facts.readers import read_bytes, read_text
from hfdoctor.facts.readers.clean import clean
from hfdoctor.facts.snapshot import Snapshot, SnapshotError, dump, load

SAMPLES = Path(__file__).parent / "samples"
WHOLE = (SAMPLES / "collect-env-2.14.txt").read_text("utf-8")
#: samples whose every line stands for itself: any of them may be left out
BY_LINES = ["collect-env-2.14", "transformers-env-4.57", "diffusers-env", "pip-freeze", "typed-by-hand"]

hostile = settings(max_examples=60, deadline=None)


def facts(s: Snapshot) -> dict[str, Any]:
    """The facts that a description gives, by path."""
    return {path: fact.value for path, fact in s.facts() if fact.known}


def quote(line: str) -> str:
    return f"> {line}"


def twice_quoted(line: str) -> str:
    return f">> {line}"


def padded(line: str) -> str:
    return line + " " * 40


def coloured(line: str) -> str:
    return f"\x1b[1;32m{line}\x1b[0m"


def stamped(line: str) -> str:
    return f"2026-05-01T10:20:30.456Z {line}"


def full_width(line: str) -> str:
    return line.replace(": ", "：", 1)


def hard_spaces(line: str) -> str:
    return line.replace(" ", "\u00a0")


def indented(line: str) -> str:
    return f"    {line}"


def with_bullets(line: str) -> str:
    return f"- {line}" if ": " in line and not line.startswith((" ", "GPU")) else line


def windows_ends(line: str) -> str:
    return line + "\r"


def zero_width(line: str) -> str:
    return "\u200b" + line


#: from the innermost outwards: a log's time stamp stands before a bullet, a quote before both
MUTILATIONS = [
    with_bullets, full_width, hard_spaces, zero_width, padded, coloured, stamped, indented, quote, twice_quoted,
    windows_ends,
]  # fmt: skip


@hostile
@given(st.lists(st.sampled_from(MUTILATIONS), min_size=1, max_size=3, unique=True))
@example([quote, coloured, padded])
@example([coloured, stamped])
def test_what_is_put_around_the_lines_changes_nothing(mutilations: list[Any]) -> None:
    lines = WHOLE.splitlines()
    for change in sorted(mutilations, key=MUTILATIONS.index):
        lines = [change(line) for line in lines]
    assert facts(read_text("\n".join(lines))) == facts(read_text(WHOLE))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "cp949"])
def test_encodings(encoding: str) -> None:
    assert facts(read_bytes(WHOLE.encode(encoding))) == facts(read_text(WHOLE))


@hostile
@given(st.integers(66, 110))
def test_lines_wrapped_by_a_mail_program(width: int) -> None:
    """Keys and values come together again; a table of packages has no line that is long enough to be wrapped."""
    wrapped = [part for line in WHOLE.splitlines() for part in (textwrap.wrap(line, width) or [""])]
    read, whole = facts(read_text("\n".join(wrapped))), facts(read_text(WHOLE))
    for path in ("packages.distributions", "packages.torch_build", "gpu.driver", "gpu.devices", "gpu.torch"):
        assert read[path] == whole[path]
    assert read["machine.os"] == whole["machine.os"]
    assert read["target.interpreter"].version == "3.13.4"


@hostile
@given(st.sampled_from(BY_LINES), st.randoms(use_true_random=False), st.floats(0.05, 0.9))
def test_lines_that_are_missing_only_take_their_own_facts_away(name: str, chance: random.Random, share: float) -> None:
    text = (SAMPLES / f"{name}.txt").read_text("utf-8")
    left = [line for line in text.splitlines() if chance.random() > share]
    try:
        snapshot = read_text("\n".join(left))
    except SnapshotError:
        return
    whole = facts(read_text(text))
    packages = {entry.name: entry.version for entry in whole["packages.distributions"]}
    for entry in snapshot.packages.distributions.maybe() or []:
        assert entry.version.startswith(packages[entry.name]) or packages[entry.name].startswith(entry.version)
    for path in ("gpu.driver", "machine.architecture", "machine.wsl"):
        if path in facts(snapshot) and path in whole:
            read = facts(snapshot)[path]
            assert read == whole[path] or (path == "gpu.driver" and read.version == whole[path].version)
    build = snapshot.packages.torch_build.maybe()
    if build:
        assert (build.cuda or build.version) in (whole["packages.torch_build"].cuda, "13.0", "12.6", "12.4", "11.8")


@hostile
@given(st.data())
def test_cut_anywhere_nothing_is_invented(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(start, len(WHOLE)))
    try:
        snapshot = read_text(WHOLE[start:end])
    except SnapshotError as error:
        assert "\n" not in str(error)
        return
    driver, devices = snapshot.gpu.driver.maybe(), snapshot.gpu.devices.maybe()
    assert driver is None or "580.119.02".startswith(driver.version)
    assert devices is None or len(devices) <= 2
    word = snapshot.gpu.torch.maybe()
    assert word is None or word.cuda is not False
    assert not snapshot.gpu.devices.absent and not snapshot.gpu.driver.absent


@hostile
@given(st.text(max_size=2000))
def test_no_text_crashes_it(text: str) -> None:
    try:
        snapshot = read_text(text)
    except SnapshotError:
        return
    assert load(dump(snapshot)) == snapshot and dump(snapshot).isascii()


@hostile
@given(st.binary(max_size=2000))
def test_no_bytes_crash_it(data: bytes) -> None:
    try:
        snapshot = read_bytes(data)
    except SnapshotError:
        return
    assert load(dump(snapshot)) == snapshot


_PARTS = sorted(
    {line for path in SAMPLES.glob("*.txt") for line in clean(path.read_bytes().decode("utf-8", "replace"))}
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(_PARTS), st.text(max_size=30)), max_size=40))
def test_lines_of_all_formats_in_any_order(lines: list[str]) -> None:
    try:
        snapshot = read_text("\n".join(lines))
    except SnapshotError:
        return
    assert load(dump(snapshot)) == snapshot
    for path, fact in snapshot.facts():
        assert fact.known or fact.reason, path


@hostile
@given(st.binary(min_size=1, max_size=30), st.data())
def test_bytes_flipped_within_a_description(junk: bytes, data: st.DataObject) -> None:
    whole = bytearray(WHOLE.encode())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at : at + len(junk)] = junk
    snapshot = read_bytes(bytes(whole))
    assert load(dump(snapshot)) == snapshot


MANY = 1_000_000
_SMI = (
    "| NVIDIA-SMI 535.54.03   Driver Version: 535.54.03   CUDA Version: 12.2 |\n"
    "|   0  NVIDIA A2      On   | 00000000:04:00.0 Off |   0 |\n"
)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda: "lorem ipsum dolor: sit amet\n" * 1_800_000, id="50 MB of text"),
        pytest.param(lambda: random.Random(5).randbytes(50_000_000), id="50 MB of junk"),
        pytest.param(lambda: "PyTorch version: " + "a" * 50_000_000, id="one line"),
        pytest.param(lambda: "\\n" * 20_000_000, id="escaped line ends"),
        pytest.param(lambda: "".join(f"package{number}=={number}.1\n" for number in range(MANY)), id="pins"),
        pytest.param(
            lambda: "".join(f"[conda] p{number}   {number}.1   pypi_0 pypi\n" for number in range(MANY)), id="conda"
        ),
        pytest.param(lambda: "GPU 0: NVIDIA A100\n" * MANY, id="GPUs"),
        pytest.param(lambda: "name, driver_version, memory.total [MiB]\n" * MANY, id="CSV headers"),
        pytest.param(lambda: _SMI * (MANY // 4), id="tables"),
        pytest.param(lambda: "A module that was compiled using NumPy 1.x cannot be run in\n" * MANY, id="messages"),
        pytest.param(lambda: "Found GPU0 NVIDIA A2 which is of cuda capability 8.6.\n" * MANY, id="warnings"),
        pytest.param(lambda: "<details" * 5_000_000, id="tags"),
        pytest.param(lambda: "The current PyTorch install supports CUDA capabilities " + "sm_50 " * MANY, id="targets"),
    ],
)
def test_hostile_sizes_take_bounded_time(made: Callable[[], str | bytes]) -> None:
    text = made()  # only here: every worker loads this module, and all of them together are half a gigabyte
    read_text("torch==2.9.0\n")  # what has to be imported
    began = time.process_time()
    with contextlib.suppress(SnapshotError):
        read_text(text) if isinstance(text, str) else read_bytes(text)
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("letter", list(">|[]( :=-*`\t\"\\<&;#+./'1aA,_"))
def test_no_pattern_tries_for_ever(letter: str) -> None:
    run = letter * 3000
    lines = [run, f"PyTorch version: {run}x", f"torch {run}1", f"GPU 0: {run}z", f"| 0 {run}", f"[conda] a {run}b"]
    lines += [f"torch=={run}!", f"numpy  {run} x", f"{run}: {run}", f"Found GPU0 {run}", f"name, {run}", f">>> {run}"]
    began = time.process_time()
    with contextlib.suppress(SnapshotError):
        read_text("\n".join(lines * 20))
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("name", ["torch-prompt", "transformers-env-3.5", "typed-by-hand-short", "pip-freeze"])
def test_short_texts_inside_json(name: str) -> None:
    text = (SAMPLES / f"{name}.txt").read_text("utf-8")
    assert facts(read_text(json.dumps({"issue": {"body": text, "number": 7}}))) == facts(read_text(text))


@pytest.mark.parametrize("width", range(40, 120, 7))
def test_a_warning_of_torch_broken_anywhere(width: int) -> None:
    warning = (
        "/opt/venv/lib/python3.11/site-packages/torch/cuda/__init__.py:230: UserWarning: NVIDIA GeForce RTX 5070 Ti "
        "with CUDA capability sm_120 is not compatible with the current PyTorch installation. The current PyTorch "
        "install supports CUDA capabilities sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90."
    )
    snapshot = read_text("\n".join(textwrap.wrap(warning, width)))
    assert [(one.name, one.capability) for one in snapshot.gpu.devices.need()] == [
        ("NVIDIA GeForce RTX 5070 Ti", "12.0")
    ]
    word = snapshot.gpu.torch.need()
    assert word.arch_list == ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]


def test_a_list_of_targets_that_was_cut_is_none() -> None:
    """A list without its end would make a torch look older than it is."""
    snapshot = read_text("The current PyTorch install supports CUDA capabilities sm_50 sm_60 sm_70")
    assert snapshot.gpu.torch.need().arch_list == []
