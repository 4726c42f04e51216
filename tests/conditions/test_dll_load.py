"""dll-load-failed, and what the headers add to vc-redist-missing and glibc-too-old."""

from __future__ import annotations

import pytest

from hfdoctor.conditions.dll_load import is_vc_runtime
from hfdoctor.conditions.engine import diagnose
from hfdoctor.facts.fact import failed, known, not_run
from hfdoctor.facts.sections.native import Linkage, LinkProblem
from hfdoctor.facts.sections.packages import ImportTrial
from hfdoctor.facts.sections.windows import VcLibrary
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded
from tests.conditions.installed import finding, tried

DLL, VC, GLIBC = "dll-load-failed", "vc-redist-missing", "glibc-too-old"
LIB = "C:\\Users\\ana\\project\\.venv\\Lib\\site-packages\\torch\\lib\\"


def windows(*problems: LinkProblem) -> Snapshot:
    s = recorded.build("windows")
    s.native.linkage = known(Linkage(21, list(problems)), "PE headers")
    return s


def failing(number: int, file: str = "c10.dll") -> ImportTrial:
    said = {
        126: "The specified module could not be found.",
        1114: "A dynamic link library (DLL) initialization failed.",
    }
    message = f'[WinError {number}] {said.get(number, "")} Error loading "{LIB}{file}" or one of its dependencies.'
    return ImportTrial("torch", ok=False, error="OSError", message=message)


def runtime(version: str, path: str = "C:\\Windows\\System32\\msvcp140.dll", via: str = "system") -> list[VcLibrary]:
    names = ("vcruntime140.dll", "vcruntime140_1.dll")
    return [*(VcLibrary(one, f"C:\\P\\{one}", "14.29.30139.0", "python") for one in names),
            VcLibrary("msvcp140.dll", path, version, via)]  # fmt: skip


def test_the_library_that_windows_does_not_name() -> None:
    found = finding(recorded.load("dll-load-failed-libomp140"), DLL)
    assert (
        found.summary
        == "torch cannot be imported: libomp140.x86_64.dll, which fbgemm.dll needs, is nowhere to be found"
    )
    assert "torch_cpu.dll -> fbgemm.dll" in found.evidence[0].text
    assert found.remedy and "--upgrade" in found.remedy.steps[0].argv
    assert "download site" in found.remedy.steps[-1].text


@pytest.mark.parametrize("number", [126, 127, 182, 193, 1114])
def test_seen_and_not_named(number: int) -> None:
    s = tried(windows(), failing(number))
    (found,) = [one for one in diagnose(s).failed() if one.condition in (DLL, "broken-install")]
    assert (found.condition, found.severity, found.basis) == (DLL, "error", "observed")
    assert found.summary == "torch cannot be imported: Windows cannot load c10.dll"


def test_seen_and_named() -> None:
    problem = LinkProblem(
        "missing", "torch", LIB + "torch_cpu.dll", "uv.dll", chain=["torch_python.dll", "torch_cpu.dll"]
    )
    found = finding(tried(windows(problem), failing(126)), DLL)
    assert found.summary == "torch cannot be imported: uv.dll, which c10.dll needs, is nowhere to be found"
    assert "[WinError 126]" in found.evidence[0].text and "torch_python.dll" in found.evidence[1].text


@pytest.mark.parametrize(
    ("kind", "words"),
    [("wrong-architecture", "is for another kind of processor"), ("truncated", "is cut short")],
)
def test_files_that_are_there_and_wrong(kind: str, words: str) -> None:
    path = LIB + "libiomp5md.dll"
    found = finding(windows(LinkProblem(kind, "torch", LIB + "torch_cpu.dll", "libiomp5md.dll", found=path)), DLL)
    assert words in found.summary and path in found.evidence[0].text


@pytest.mark.parametrize(
    "problem",
    [
        LinkProblem("missing", "torch", LIB + "torch_cuda.dll", "nvcuda.dll"),
        LinkProblem("missing", "bitsandbytes", "C:\\b\\libbitsandbytes_cuda118.dll", "cublas64_11.dll"),
        LinkProblem("missing", "pywin32", "C:\\b\\x.dll", "mfc140u.dll"),
        LinkProblem("missing", "torch", LIB + "torch_cuda.dll", "cudnn64_9.dll"),
        LinkProblem("missing", "torch", LIB + "c10.dll", "MSVCP140.dll"),
    ],
)
def test_what_is_somebody_elses(problem: LinkProblem) -> None:
    assert finding(windows(problem), DLL).outcome == "pass"


def test_only_windows() -> None:
    assert finding(recorded.build("linux"), DLL).outcome == "skip"


@pytest.mark.parametrize("name", ["VCRUNTIME140_1.dll", "msvcp140.dll", "MSVCP140_ATOMIC_WAIT.dll", "concrt140.dll"])
def test_the_runtimes_libraries(name: str) -> None:
    assert is_vc_runtime(name)
    assert not is_vc_runtime(f"x{name}")


# -- the Visual C++ runtime -------------------------------------------------------------------------------------------


def test_a_library_of_the_runtime_that_only_the_headers_know() -> None:
    s = windows(LinkProblem("missing", "torch", LIB + "torch_cpu.dll", "MSVCP140_ATOMIC_WAIT.dll"))
    found = finding(s, VC)
    assert (found.severity, found.basis) == ("error", "derived")
    assert found.summary.endswith("msvcp140_atomic_wait.dll")


@pytest.mark.parametrize(
    ("have", "linked", "severity"),
    [
        ("14.29.30153.0", "14.44", "error"),
        ("14.42.34438.0", "14.44", "warning"),
        ("14.29.30153.0", "14.39", "warning"),
        ("14.44.35211.0", "14.44", None),
        ("14.50.35719.0", "14.44", None),
        ("", "14.44", None),
        ("14.29.30153.0", "", None),
    ],
)
def test_microsofts_rule(have: str, linked: str, severity: str | None) -> None:
    s = recorded.build("windows")
    assert s.windows is not None
    s.windows.vc_libraries = known(runtime(have), "the loader's order")
    s.native.linked_with = known(linked, "torch_cpu.dll")
    found = finding(s, VC)
    assert found.severity == severity
    assert severity is not None or found.outcome == "pass"


def test_pythons_own_older_runtime_serves() -> None:
    s = recorded.build("windows")
    assert s.windows is not None
    s.windows.vc_libraries = known(runtime("14.44.35211.0"), "the loader's order")
    assert finding(s, VC).outcome == "pass"


def test_the_runtime_explains_a_start_that_failed() -> None:
    s = tried(recorded.build("windows"), failing(1114))
    assert s.windows is not None
    s.windows.vc_libraries = known(runtime("14.42.34438.0"), "the loader's order")
    (found,) = [one for one in diagnose(s).failed() if one.condition in (VC, DLL)]
    assert (found.condition, found.severity, found.basis) == (VC, "error", "observed")


def test_an_import_that_worked_acquits_the_runtime() -> None:
    s = tried(recorded.load("vc-redist-missing-old"), ImportTrial("torch", ok=True))
    assert finding(s, VC).outcome == "pass"


# -- glibc ------------------------------------------------------------------------------------------------------------


def lacking(wanted: str, found: str = "/lib/x86_64-linux-gnu/libc.so.6", package: str = "torch") -> Snapshot:
    s = recorded.build("linux")
    problem = LinkProblem("version", package, "/x/libtorch_cpu.so", "libc.so.6", wanted, found, "ld.so.cache")
    s.native.linkage = known(Linkage(21, [problem]), "ELF headers")
    return s


def test_the_files_tell_what_they_need() -> None:
    found = finding(lacking("GLIBC_2.38"), GLIBC)
    assert (found.severity, found.basis) == ("error", "derived")
    assert "GLIBC_2.38" in found.summary
    assert found.remedy and "newer Linux" in found.remedy.steps[0].text
    found = finding(lacking("CXXABI_1.3.13", "/opt/lib/libstdc++.so.6"), GLIBC)
    assert found.remedy and "libstdc++" in found.remedy.steps[0].text
    assert finding(lacking("GLIBCXX_3.4.32", package="torchvision"), GLIBC).severity == "warning"


def test_no_cxx_library_at_all() -> None:
    s = lacking("")
    problem = LinkProblem("missing", "torch", "/x/libtorch_cpu.so", "libstdc++.so.6")
    s.native.linkage = known(Linkage(21, [problem]), "ELF headers")
    found = finding(s, GLIBC)
    assert found.summary == "torch cannot be loaded: this system lacks libstdc++.so.6"


def test_seen_comes_first_and_working_acquits() -> None:
    s = tried(lacking("GLIBC_2.38"), ImportTrial("torch", ok=True), ImportTrial("transformers", ok=True))
    assert finding(s, GLIBC).outcome == "pass"
    message = "/lib64/libstdc++.so.6: version `CXXABI_1.3.13' not found (required by /x/torch/lib/libtorch_cpu.so)"
    found = finding(
        tried(recorded.build("linux"), ImportTrial("torch", False, error="ImportError", message=message)), GLIBC
    )
    assert found.basis == "observed" and "CXXABI_1.3.13" in found.summary


def test_files_that_get_what_they_need_outweigh_the_tags() -> None:
    from hfdoctor.facts.sections.machine import Libc

    s = recorded.build("linux")
    s.machine.libc = known(Libc("glibc", "2.27"), "confstr")
    read = finding(s, GLIBC)
    s.native.linkage = not_run("not read")
    assert finding(s, GLIBC).summary.startswith("torch needs")
    assert not read.summary.startswith("torch needs")
    s.native.linkage = failed("damaged")
    assert finding(s, GLIBC).outcome == "fail"
