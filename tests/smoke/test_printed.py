"""What the child prints, and what it says: cut into stages, bounded, and always plain text and plain values."""

from __future__ import annotations

import json
import math
import os
import threading
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdoctor.smoke.child.teller import MARK, Stage, Teller, described, plain
from hfdoctor.smoke.child_process import Said
from hfdoctor.smoke.printed import KEPT, Printed, split_stacks, time_was_over

WORD = "0123456789abcdef"


def mark(key: str) -> bytes:
    return f"\n{MARK}{WORD} {key}\n".encode()


STREAM = (
    b"before\n"
    + mark("import numpy")
    + b"one\ntwo"
    + mark("-")
    + mark("import torch")
    + b"three\n"
    + MARK.encode()
    + b"x\n"
)


@given(st.lists(st.integers(1, 40), max_size=40))
def test_it_does_not_matter_how_the_bytes_come(sizes: list[int]) -> None:
    printed, rest = Printed(WORD), STREAM
    for size in sizes:
        printed.feed(rest[:size])
        rest = rest[size:]
    printed.feed(rest)
    printed.finish()
    assert printed.of("")[0] == ["before"]
    assert printed.of("import numpy")[0] == ["one", "two"]
    assert printed.of("import torch")[0] == ["three", "hfdoctor stage x"]


def test_what_has_been_read_so_far_is_there() -> None:
    printed = Printed(WORD)
    printed.feed(mark("import torch") + b"Traceback: half a li")
    assert printed.of("import torch")[0] == ["Traceback: half a li"]


def test_the_end_of_a_stage_is_waited_for() -> None:
    printed = Printed(WORD)
    printed.feed(mark("import torch") + b"first\n")
    later = threading.Timer(0.1, printed.feed, [b"last\n" + mark("-")])
    later.start()
    printed.wait_for_end_of("import torch", 5)
    assert printed.of("import torch")[0] == ["first", "last"]
    later.join()


@pytest.mark.parametrize(
    "chunk", [b"x" * 65536, b"\n" * 65536, mark("")[:-1] * 3000, f"\n{MARK}{WORD} ".encode() * 2000]
)
def test_memory_is_bounded(chunk: bytes) -> None:
    printed = Printed(WORD)
    for _ in range(100):
        printed.feed(chunk)
    assert sum(map(len, printed._parts.values())) + len(printed._held) < 4 * KEPT


def test_a_secret_that_a_cut_would_halve() -> None:
    printed = Printed(WORD, lambda text: text.replace("open-sesame", "***"))
    printed.feed(b"x" * 395 + b"open-sesame\n" + b"open-sesame" + b"y" * KEPT)
    printed.finish()
    assert not any("open" in line or "sesame" in line for line in printed.of("")[0])


STACKS = ["Timeout (0:00:01)!", "Thread 0x00007f0000000000 (most recent call first):", '  File "a.py", line 1 in f']


@pytest.mark.parametrize(
    ("lines", "printed", "stack"),
    [
        (["a", *STACKS], ["a"], STACKS),
        (["Timeout (connect)", "b"], ["Timeout (connect)", "b"], []),
        (["a", "Fatal Python error: Aborted", "", "x", *STACKS], ["a", "Fatal Python error: Aborted", "", "x"], STACKS),
        (["a", *STACKS[1:]], ["a"], STACKS[1:]),
        ([], [], []),
    ],
)
def test_stacks_are_told_from_what_is_printed(lines: list[str], printed: list[str], stack: list[str]) -> None:
    assert split_stacks(lines) == (printed, stack)
    assert time_was_over(stack) == bool(stack)
    assert not time_was_over(["Fatal Python error: Aborted"])


class Tensor:
    """A number of a library."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class Broken:
    def __str__(self) -> str:
        raise ValueError

    def __float__(self) -> float:
        raise TypeError


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.builds(Broken),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_every_value_becomes_one_that_the_doctor_reads(value: Any) -> None:
    text = json.dumps(plain({"begin": "x", "facts": {"value": value}}), allow_nan=False)
    assert msgspec.json.decode(text.encode("ascii"), type=Said).begin == "x"


def test_numbers_of_libraries_become_numbers() -> None:
    assert plain(Tensor(2.5)) == 2.5 and plain(True) is True and plain(3) == 3
    assert plain(math.nan) == "nan" and plain(Tensor(math.inf)) == "inf" and plain(2**70) == str(2**70)


def test_the_answer_of_a_stage_arrives(capfd: pytest.CaptureFixture[str]) -> None:
    reads, writes = os.pipe()
    teller = Teller(writes, {"word": WORD, "scratch": "/x"})

    def run(stage: Stage) -> None:
        stage.fact("loss", math.nan)
        stage.fact("steps", Tensor(4.0))
        stage.deviates(
            "logits", difference=math.nan, tolerance=Tensor(0.5), at=(1, 2), expected=1.5, got=Tensor(math.nan)
        )

    teller.stage("train", 30, run)
    for number in (writes, teller.pipes[1]):
        os.close(number)
    with os.fdopen(reads, "rb") as stream:
        lines = [line.partition(b" ")[2] for line in stream if line.startswith(WORD.encode())]
    begin, done = (msgspec.json.decode(line, type=Said) for line in lines)
    assert begin.begin == done.done == "train" and done.error == "wrong result"
    assert done.facts == {"loss": "nan", "steps": 4.0}
    (deviation,) = done.deviations
    assert "difference" not in deviation and deviation["tolerance"] == 0.5 and deviation["at"] == [1, 2]
    assert deviation["expected"] == "1.5" and deviation["got"].startswith(("nan", "<"))
    assert MARK in capfd.readouterr().err


def test_causes_are_told_and_each_once() -> None:
    try:
        try:
            raise OSError("the cause")
        except OSError as error:
            raise ImportError("the effect") from error
    except ImportError as error:
        told = described(error, lambda text: text.replace("cause", "***"))
    assert told["message"] == "the effect\nOSError: the ***" and told["error"] == "ImportError"
    assert told["trace"][-1].endswith("in test_causes_are_told_and_each_once")
