"""wheels_for on described machines: what it says, what it must not say, and how its answers age."""

from __future__ import annotations

import datetime
from typing import Any

import packaging
import pytest
from packaging.tags import compatible_tags, cpython_tags
from packaging.version import Version

from hfdoctor.knowledge.wheels import (
    TRUSTED_DAYS,
    Interpreter,
    WheelAnswer,
    load_wheel_tags,
    newest_known_python,
    platform_tags,
    tag_pairs,
    wheels_for,
)

DAY = max(row.as_of for row in load_wheel_tags())


def linux(minor: int, **more: Any) -> Interpreter:
    return Interpreter(**{"python": (3, minor), "os": "linux", "machine": "x86_64", "glibc": (2, 35), **more})


def windows(minor: int, machine: str = "AMD64", bits: int = 64) -> Interpreter:
    return Interpreter(python=(3, minor), os="windows", machine=machine, bits=bits)


def mac(minor: int, machine: str, system: tuple[int, int]) -> Interpreter:
    return Interpreter(python=(3, minor), os="macos", machine=machine, macos=system)


def ask(package: str, interpreter: Interpreter, days: int = 0) -> WheelAnswer:
    return wheels_for(package, interpreter, today=DAY + datetime.timedelta(days=days))


def newest(package: str) -> str:
    return next(row.release for row in load_wheel_tags() if row.package == package)


@pytest.mark.parametrize("package", ["torch", "transformers", "tokenizers", "safetensors", "pyyaml", "hf-xet", "regex"])
@pytest.mark.parametrize(
    "interpreter",
    [linux(12), linux(13), windows(12), windows(14), mac(12, "arm64", (15, 0)), linux(12, machine="aarch64")],
)
def test_usual_machines_get_the_newest_release(package: str, interpreter: Interpreter) -> None:
    answer = ask(package, interpreter)
    assert (answer.state, answer.release, answer.pip_takes) == ("newest", newest(package), newest(package))
    assert answer.blocked_by is None and not answer.pip_builds


def test_python_38_gets_the_last_releases_that_supported_it() -> None:
    assert ask("transformers", linux(8)).release == "4.46.3"
    torch = ask("torch", linux(8))
    assert (torch.state, torch.release, torch.pip_takes) == ("older", "2.4.1", "2.4.1")
    assert torch.blocked_by == "python-too-old"
    assert "3.8" not in torch.pythons and "3.12" in torch.pythons


def test_a_python_that_only_some_packages_have_wheels_for() -> None:
    assert ask("torch", linux(15)).state == "newest"
    pyyaml = ask("pyyaml", linux(15))
    assert (pyyaml.state, pyyaml.release, pyyaml.blocked_by) == ("none", None, "python-too-new")
    assert (pyyaml.pip_takes, pyyaml.pip_builds) == ("6.0.3", True)
    tensorflow = ask("tensorflow", linux(15))
    assert (tensorflow.pip_takes, tensorflow.pip_builds) == (None, False)  # no sdist: "No matching distribution"


def test_a_stable_abi_wheel_serves_every_later_python() -> None:
    for minor in range(10, newest_known_python() + 1):
        assert ask("tokenizers", linux(minor)).state == "newest"
    old = ask("tokenizers", linux(9))
    assert (old.state, old.release, old.blocked_by) == ("older", "0.22.2", "python-too-old")


def test_free_threaded_builds_cannot_use_stable_abi_wheels() -> None:
    safetensors = ask("safetensors", linux(14, free_threaded=True))
    assert safetensors.state == "none" and safetensors.free_threaded_only
    assert safetensors.blocked_by == "platform-no-wheel"
    assert ask("torch", linux(14, free_threaded=True)).state == "newest"
    dropped = ask("torch", linux(13, free_threaded=True))
    assert (dropped.state, dropped.release, dropped.free_threaded_only) == ("older", "2.12.0", True)


@pytest.mark.parametrize("package", sorted({row.package for row in load_wheel_tags()}))
def test_a_python_beyond_the_table_is_unknown(package: str) -> None:
    for interpreter in (linux(newest_known_python() + 1), windows(newest_known_python() + 1)):
        answer = ask(package, interpreter)
        assert answer.state == "unknown" and answer.blocked_by is None and answer.why


def test_no_wheel_yet_is_not_believed_for_long() -> None:
    assert ask("pyyaml", linux(15), days=TRUSTED_DAYS).state == "none"
    late = ask("pyyaml", linux(15), days=TRUSTED_DAYS + 1)
    assert late.state == "unknown" and late.blocked_by is None
    assert ask("safetensors", linux(14, free_threaded=True), days=TRUSTED_DAYS + 1).state == "unknown"
    # a package does not take an old Python back
    assert ask("torch", linux(8), days=3000).blocked_by == "python-too-old"


def test_32_bit_python() -> None:
    torch = ask("torch", windows(11, bits=32))
    assert (torch.state, torch.blocked_by, torch.pip_takes) == ("none", "python-32bit", None)
    assert ask("torch", windows(11, machine="x86", bits=32)).blocked_by == "python-32bit"
    # a 32-bit Python is not the trouble where the package has wheels for it
    assert ask("tokenizers", windows(11, bits=32)).state == "newest"
    assert ask("numpy", windows(11, bits=32)).blocked_by == "python-too-old"


def test_windows_on_arm_and_musl_have_no_torch() -> None:
    for interpreter in (windows(12, "ARM64"), linux(12, glibc=None, musl=(1, 2))):
        torch = ask("torch", interpreter)
        assert (torch.state, torch.blocked_by) == ("none", "platform-no-wheel")
        assert ask("tokenizers", interpreter).state == "newest"


def test_intel_macs_stop_at_torch_22() -> None:
    torch = ask("torch", mac(11, "x86_64", (14, 0)))
    assert (torch.state, torch.release, torch.blocked_by) == ("older", "2.2.2", "platform-no-wheel")
    assert ask("torch", mac(13, "x86_64", (14, 0))).release is None


def test_an_old_macos_is_told_what_the_wheel_asks_for() -> None:
    torch = ask("torch", mac(12, "arm64", (13, 6)))
    assert (torch.state, torch.release, torch.blocked_by) == ("older", "2.11.0", "platform-no-wheel")
    assert torch.platforms == ("macosx_14_0_arm64",)


def test_an_old_glibc() -> None:
    torch = ask("torch", linux(11, glibc=(2, 17)))
    assert (torch.state, torch.release, torch.blocked_by) == ("older", "2.6.0", "glibc-too-old")
    assert torch.platforms == ("manylinux_2_28_x86_64",)
    assert ask("torch", linux(11, glibc=(2, 27))).blocked_by == "glibc-too-old"
    assert ask("torch", linux(11, glibc=(2, 28))).state == "newest"
    # a machine that no wheel was ever made for is not blamed on its glibc
    assert ask("torch", linux(12, machine="riscv64", glibc=(2, 17))).blocked_by == "platform-no-wheel"


def test_what_cannot_be_told_is_unknown() -> None:
    assert ask("torch", linux(12, glibc=None)).state == "unknown"
    assert ask("torch", linux(12, machine="")).state == "unknown"
    assert ask("torch", Interpreter(python=(3, 12), os="macos", machine="arm64")).state == "unknown"
    assert ask("torch", Interpreter(python=(4, 0), os="windows", machine="AMD64")).state == "unknown"
    assert ask("no-such-package", linux(12)).state == "unknown"


def test_the_micro_version_counts_where_it_is_given() -> None:
    rows = [row for row in load_wheel_tags() if row.package == "transformers"]
    assert rows[0].requires_python == ">=3.11.0"
    assert ask("transformers", linux(11, python=(3, 11, 0))).state == "newest"


@pytest.mark.parametrize("minor", range(8, 17))
@pytest.mark.parametrize("free_threaded", [False, True])
def test_tag_pairs_are_those_of_packaging(minor: int, free_threaded: bool) -> None:
    if free_threaded and Version(packaging.__version__) < Version("26"):
        pytest.skip("this release of packaging does not know the stable ABI of free-threaded builds")
    own = f"cp3{minor}"
    abi = f"{own}t" if free_threaded else own
    tags = [*cpython_tags((3, minor), [abi], ["any"]), *compatible_tags((3, minor), own, ["any"])]
    assert tag_pairs(minor, free_threaded) == {f"{tag.interpreter}-{tag.abi}" for tag in tags}


@pytest.mark.parametrize(
    ("interpreter", "has", "has_not"),
    [
        (linux(11, glibc=(2, 17)), "manylinux2014_x86_64", "manylinux_2_18_x86_64"),
        (linux(11, glibc=(2, 12)), "manylinux2010_x86_64", "manylinux2014_x86_64"),
        (linux(11, glibc=None, musl=(1, 2)), "musllinux_1_1_x86_64", "manylinux2014_x86_64"),
        (linux(11, machine="arm64"), "manylinux_2_28_aarch64", "manylinux_2_28_arm64"),
        (linux(11, bits=32), "manylinux_2_28_i686", "manylinux_2_28_x86_64"),
        (windows(11), "win_amd64", "win32"),
        (windows(11, bits=32), "win32", "win_amd64"),
        (windows(11, "ARM64"), "win_arm64", "win_amd64"),
        (mac(11, "arm64", (14, 5)), "macosx_11_0_arm64", "macosx_15_0_arm64"),
        (mac(11, "x86_64", (12, 0)), "macosx_10_9_universal2", "macosx_11_0_arm64"),
    ],
)
def test_platform_tags(interpreter: Interpreter, has: str, has_not: str) -> None:
    tags = platform_tags(interpreter)
    assert tags is not None and has in tags and has_not not in tags


def test_the_answer_is_the_newest_release_that_pip_would_find_in_the_rows() -> None:
    """Against a second implementation: packaging's own tags and parser, every package, many machines."""
    from packaging.specifiers import SpecifierSet
    from packaging.tags import Tag

    for minor in (9, 11, 13, 15):
        for interpreter in (linux(minor), linux(minor, glibc=(2, 17)), windows(minor), windows(minor, bits=32)):
            platforms = sorted(platform_tags(interpreter) or ())
            own = f"cp3{minor}"
            accepted = {*cpython_tags((3, minor), [own], platforms), *compatible_tags((3, minor), own, platforms)}
            for package in {row.package for row in load_wheel_tags()}:
                releases = [
                    row.release
                    for row in load_wheel_tags()
                    if row.package == package
                    and SpecifierSet(row.requires_python or "").contains(f"3.{minor}.99")
                    and any(
                        Tag(*wheel.split(" ")[0].split("-"), platform) in accepted
                        for wheel in row.wheels
                        for platform in wheel.split(" ")[1:]
                    )
                ]
                expected = max(releases, key=Version, default=None)
                assert ask(package, interpreter).release == expected, (package, interpreter)
