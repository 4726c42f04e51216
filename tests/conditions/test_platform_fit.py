"""glibc-too-old, illegal-instruction, pip-too-old and extension-abi-mismatch."""

from __future__ import annotations

import msgspec
import pytest

from hfdoctor.conditions.extension_fit import fits_interpreter
from hfdoctor.facts.fact import absent, failed, known, not_run
from hfdoctor.facts.sections.machine import Libc
from hfdoctor.facts.sections.packages import ImportTrial
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded
from tests.conditions.installed import changed, complaints, dist, finding, healthy_with, only, tried

GLIBC, ILLEGAL, PIP, ABI = "glibc-too-old", "illegal-instruction", "pip-too-old", "extension-abi-mismatch"


def on_libc(s: Snapshot, family: str, version: str, soabi: str = "") -> Snapshot:
    """The machine with another C library, known by the wheels' tags alone."""
    s.native.linkage = not_run("the files were not read")
    s.machine.libc = known(Libc(family, version), "confstr")
    told = s.target.interpreter.need()
    s.target.interpreter = known(msgspec.structs.replace(told, soabi=soabi), "target")
    return s


# -- glibc-too-old ----------------------------------------------------------------------------------------------------


def test_current_glibc_is_enough() -> None:
    found = finding(recorded.build("linux"), GLIBC)
    assert found.outcome == "pass"
    assert found.examined > 5
    assert finding(on_libc(recorded.build("linux"), "glibc", "2.28"), GLIBC).outcome == "pass"


def test_too_old_for_what_is_installed() -> None:
    found = finding(on_libc(recorded.build("linux"), "glibc", "2.26"), GLIBC)
    assert (found.severity, found.basis) == ("error", "derived")
    assert found.summary == "torch needs glibc 2.28, this system has glibc 2.26"
    text = " ".join(one.text for one in found.evidence)
    assert "numpy 2.5.5 was built for glibc 2.27" in text
    assert "regex" not in text  # of its tags the least demanding counts


def test_old_names_of_tags() -> None:
    s = only(dist("torch", "1.9.0", tags=["cp312-cp312-manylinux2014_x86_64"]))
    assert finding(on_libc(s, "glibc", "2.17"), GLIBC).outcome == "pass"
    assert finding(on_libc(s, "glibc", "2.12"), GLIBC).outcome == "fail"
    s = only(dist("torch", "1.9.0", tags=["cp312-cp312-linux_x86_64"]))  # built here: says nothing
    assert finding(on_libc(s, "glibc", "2.12"), GLIBC).outcome != "fail"


def test_only_what_is_needed_counts() -> None:
    s = healthy_with(dist("other", "1.0", tags=["cp312-cp312-manylinux_2_99_x86_64"]))
    assert finding(s, GLIBC).outcome == "pass"


def test_wheels_for_the_other_c_library() -> None:
    s = on_libc(recorded.build("linux"), "musl", "1.2", "cpython-312-x86_64-linux-musl")
    found = finding(s, GLIBC)
    assert (found.severity, found.basis) == ("error", "derived")
    assert "this Python uses musl" in found.summary
    s = only(dist("torch", "2.15.0", tags=["cp312-cp312-musllinux_1_2_x86_64"]))
    assert finding(on_libc(s, "glibc", "2.39", "cpython-312-x86_64-linux-gnu"), GLIBC).outcome == "fail"
    assert finding(on_libc(s, "musl", "1.2", "cpython-312-x86_64-linux-musl"), GLIBC).outcome != "fail"


def test_interpreter_with_a_c_library_of_its_own() -> None:
    """A musl interpreter on a glibc system, and the reverse."""
    s = on_libc(recorded.build("linux"), "glibc", "2.39", "cpython-312-x86_64-linux-musl")
    assert finding(s, GLIBC).outcome == "fail"
    s = on_libc(recorded.build("linux"), "musl", "1.2", "cpython-312-x86_64-linux-gnu")
    assert finding(s, GLIBC).outcome == "unknown"


def test_imports_outweigh_tags() -> None:
    s = on_libc(recorded.build("linux"), "glibc", "2.27")
    assert (
        finding(tried(s, ImportTrial("torch", ok=True), ImportTrial("transformers", ok=True)), GLIBC).outcome == "pass"
    )
    message = "/lib64/libc.so.6: version `GLIBC_2.28' not found (required by /x/torch/lib/libtorch_cpu.so)"
    s = tried(s, ImportTrial("torch", ok=False, error="ImportError", message=message))
    found = finding(s, GLIBC)
    assert (found.severity, found.basis) == ("error", "observed")
    assert "GLIBC_2.28" in found.summary
    assert finding(s, "broken-install").outcome != "fail"


def test_old_cxx_library_is_another_cure() -> None:
    message = "/usr/lib64/libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by /x/_multiarray_umath.so)"
    s = tried(recorded.build("linux"), ImportTrial("numpy", ok=False, error="ImportError", message=message))
    found = finding(s, GLIBC)
    assert found.remedy and "libstdc++" in found.remedy.steps[0].text


def test_before_anything_is_installed() -> None:
    s = on_libc(only(), "glibc", "2.17")
    found = finding(s, GLIBC)
    assert (found.severity, found.basis) == ("warning", "table")
    assert finding(on_libc(only(), "glibc", "2.39"), GLIBC).outcome == "pass"


def test_glibc_unknown_and_elsewhere() -> None:
    s = recorded.build("linux")
    s.machine.libc = failed("no confstr")
    assert finding(s, GLIBC).outcome == "unknown"
    assert finding(recorded.build("windows"), GLIBC).outcome == "skip"


# -- illegal-instruction ----------------------------------------------------------------------------------------------


def cpu(s: Snapshot, *features: str) -> Snapshot:
    s.machine.cpu_features = known(list(features), "/proc/cpuinfo")
    return s


def test_processor_that_lacks_what_numpy_needs() -> None:
    s = cpu(recorded.build("linux"), "pni", "ssse3", "sse2")
    found = finding(s, ILLEGAL)
    assert (found.severity, found.basis) == ("warning", "table")
    assert "numpy 2.5.5 needs sse4_1, sse4_2" in found.summary
    assert finding(changed(s, "numpy", version="1.26.4"), ILLEGAL).outcome == "pass"
    assert finding(changed(s, "numpy", installer="conda"), ILLEGAL).outcome == "pass"
    assert finding(tried(s, ImportTrial("numpy", ok=True)), ILLEGAL).outcome == "pass"


def test_processors_that_have_it() -> None:
    assert finding(recorded.build("linux"), ILLEGAL).outcome == "pass"
    # what no system is asked for (cx16, lahf_lm) is not called missing
    assert finding(cpu(recorded.build("linux"), "ssse3", "sse4_1", "sse4_2"), ILLEGAL).outcome == "pass"
    assert finding(recorded.build("windows"), ILLEGAL).outcome == "pass"


@pytest.mark.parametrize("error", ["signal SIGILL", "exit 0xC000001D"])
def test_killed_by_the_processor(error: str) -> None:
    s = tried(recorded.build("linux"), ImportTrial("torch", ok=False, error=error))
    found = finding(s, ILLEGAL)
    assert (found.severity, found.basis) == ("error", "observed")
    assert finding(s, "broken-install").outcome != "fail"


def test_intel_python_translated_on_an_arm_machine() -> None:
    assert finding(cpu(recorded.build("linux"), "asimd", "atomics"), ILLEGAL).outcome == "unknown"


def test_processor_not_known() -> None:
    s = recorded.build("linux")
    s.machine.cpu_features = failed("no flags")
    assert finding(s, ILLEGAL).outcome == "unknown"
    s = recorded.build("linux")
    told = s.target.interpreter.need()
    s.target.interpreter = known(msgspec.structs.replace(told, machine="aarch64", platform="linux-aarch64"), "target")
    assert finding(s, ILLEGAL).outcome == "skip"


# -- pip-too-old ------------------------------------------------------------------------------------------------------


def test_pip_that_does_not_know_the_wheels() -> None:
    s = only()
    s.target.pip = known("20.0.2", "pip")
    found = finding(s, PIP)
    assert (found.severity, found.basis) == ("warning", "table")
    s.target.pip = known("20.3", "pip")
    assert finding(s, PIP).outcome == "pass"
    s.target.pip = absent("no pip")
    assert finding(s, PIP).outcome == "skip"
    s.target.pip = failed("unreadable")
    assert finding(s, PIP).outcome == "unknown"


def test_old_pip_does_not_matter_when_all_is_there() -> None:
    s = recorded.build("linux")
    s.target.pip = known("19.0", "pip")
    assert not complaints(s)


# -- extension-abi-mismatch -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("cp312-cp312-manylinux_2_28_x86_64", True),
        ("cp38-abi3-manylinux2014_x86_64", True),
        ("cp312-cp312d-linux_x86_64", True),
        ("py3-none-manylinux2014_x86_64", True),
        ("cp311-cp311-manylinux_2_28_x86_64", False),
        ("cp313-cp313-manylinux_2_28_x86_64", False),
        ("cp313-abi3-manylinux_2_28_x86_64", False),
        ("cp312-cp312t-manylinux_2_28_x86_64", False),
        ("cp312-cp312-manylinux_2_28_aarch64", False),
        ("cp312-cp312-win_amd64", False),
        ("cp312-cp312-macosx_11_0_universal2", False),
        ("pp310-pypy310_pp73-manylinux_2_17_x86_64", False),
        ("whatever", True),
    ],
)
def test_tags_against_linux(tag: str, fits: bool) -> None:
    assert fits_interpreter(tag, recorded.build("linux").target.interpreter.need()) is fits


@pytest.mark.parametrize(
    ("platform", "machine", "tag", "fits"),
    [
        ("win-amd64", "AMD64", "cp312-cp312-win_amd64", True),
        ("win-amd64", "AMD64", "cp312-cp312-win_arm64", False),
        ("win-arm64", "ARM64", "cp312-cp312-win_arm64", True),
        ("win32", "x86", "cp312-cp312-win32", True),
        ("macosx-11.0-arm64", "arm64", "cp312-cp312-macosx_11_0_arm64", True),
        ("macosx-10.13-universal2", "arm64", "cp312-cp312-macosx_11_0_universal2", True),
        ("macosx-10.13-universal2", "x86_64", "cp312-cp312-macosx_11_0_arm64", False),
        ("linux-ppc64le", "ppc64le", "cp312-cp312-linux_ppc64le", True),
    ],
)
def test_tags_elsewhere(platform: str, machine: str, tag: str, fits: bool) -> None:
    told = recorded.build("linux").target.interpreter.need()
    told = msgspec.structs.replace(told, platform=platform, machine=machine)
    assert fits_interpreter(tag, told) is fits


def test_packages_of_another_python() -> None:
    s = recorded.build("linux")
    for name in ("torch", "numpy", "regex", "pyyaml"):
        entry = s.packages.installed()[name]
        s = changed(s, name, tags=[tag.replace("cp312", "cp311") for tag in entry.tags])
    found = finding(s, ABI)
    assert (found.severity, found.basis) == ("error", "derived")
    assert "numpy, pyyaml, regex, torch" in found.summary
    assert found.remedy and found.remedy.fix_class == "print-only"


def test_one_package_of_another_python_is_installed_again() -> None:
    s = changed(recorded.build("linux"), "numpy", tags=["cp311-cp311-manylinux_2_28_x86_64"])
    found = finding(s, ABI)
    assert found.remedy and found.remedy.steps[0].argv[-1] == "numpy==2.5.5"
    assert finding(tried(s, ImportTrial("numpy", ok=True)), ABI).outcome == "pass"


def test_conda_cross_compiles() -> None:
    s = changed(recorded.build("linux"), "numpy", tags=["cp312-cp312-linux_aarch64"], installer="conda")
    assert finding(s, ABI).outcome == "pass"


def test_healthy_extensions() -> None:
    for base in ("linux", "windows"):
        found = finding(recorded.build(base), ABI)
        assert found.outcome == "pass"
        assert found.examined > 5
