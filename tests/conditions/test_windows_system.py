"""The Visual C++ runtime, the page file, the Store's aliases: what is said, and what is advised."""

from __future__ import annotations

import pytest

from hfdoctor.conditions.engine import Policy, diagnose
from hfdoctor.conditions.model import Finding, Goal
from hfdoctor.facts.fact import failed, known
from hfdoctor.facts.sections.machine import Memory
from hfdoctor.facts.sections.packages import ImportTrial
from hfdoctor.facts.sections.windows import PageFile, VcLibrary
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded

GIB = 1024**3
NAMES = ("vcruntime140.dll", "vcruntime140_1.dll", "msvcp140.dll")


def find(condition: str, snapshot: Snapshot, goal: Goal | None = None) -> Finding:
    (finding,) = diagnose(snapshot, goal, Policy(select=frozenset({condition}))).findings
    assert finding.outcome != "crash", finding.evidence
    return finding


class TestRuntime:
    @pytest.mark.parametrize("gone", NAMES)
    def test_each_library_counts(self, gone: str) -> None:
        snapshot = recorded.build("windows")
        assert snapshot.windows is not None
        copies = [VcLibrary(name.upper(), f"C:\\Windows\\System32\\{name}") for name in NAMES if name != gone]
        snapshot.windows.vc_libraries = known(copies)
        finding = find("vc-redist-missing", snapshot)
        assert (finding.outcome, finding.severity) == ("fail", "error")
        assert finding.summary.endswith(gone)

    def test_the_remedy_is_microsofts_own(self) -> None:
        finding = find("vc-redist-missing", recorded.load("vc-redist-missing-msvcp140"))
        assert finding.remedy is not None
        assert finding.remedy.fix_class == "print-only"
        assert "https://aka.ms/vc14/vc_redist.x64.exe" in finding.remedy.steps[0].text
        assert finding.remedy.steps[-1].argv == ["winget", "install", "--exact", "--id", "Microsoft.VCRedist.2015+.x64"]

    def test_what_is_registered_is_shown_beside_it(self) -> None:
        texts = [e.text for e in find("vc-redist-missing", recorded.load("vc-redist-missing-damaged")).evidence]
        assert any("14.44.35211.00" in text for text in texts)

    def test_a_trial_that_failed_to_run_is_no_proof_either_way(self) -> None:
        snapshot = recorded.load("vc-redist-missing-msvcp140")
        snapshot.packages.imports = failed("the child was killed")
        assert find("vc-redist-missing", snapshot).outcome == "unknown"

    def test_a_trial_that_went_wrong_does_not_silence_it(self) -> None:
        snapshot = recorded.load("vc-redist-missing-msvcp140")
        snapshot.packages.imports = known([ImportTrial("torch", False, error="OSError")])
        assert find("vc-redist-missing", snapshot).outcome == "fail"

    def test_only_where_torch_is_wanted_and_known(self) -> None:
        snapshot = recorded.load("vc-redist-missing-msvcp140")
        assert find("vc-redist-missing", snapshot, Goal(("transformers",))).outcome == "skip"
        snapshot.target.interpreter.need().platform = "win-arm64"
        assert find("vc-redist-missing", snapshot).outcome == "skip"


class TestPageFile:
    @pytest.mark.parametrize(
        ("entries", "left", "outcome"),
        [
            ([], 3 * GIB, "fail"),
            ([], 4 * GIB, "pass"),
            (["C:\\pagefile.sys 1024 2048"], 3 * GIB, "fail"),
            (["C:\\pagefile.sys 0 0"], 3 * GIB, "pass"),  # Windows chooses the size
            (["C:\\pagefile.sys"], 3 * GIB, "pass"),
            (["C:\\pagefile.sys 800 800", "D:\\pagefile.sys 0 0"], 1 * GIB, "pass"),  # one of the two can grow
        ],
    )
    def test_only_without_a_page_file_that_can_grow(self, entries: list[str], left: int, outcome: str) -> None:
        snapshot = recorded.build("windows")
        assert snapshot.windows is not None
        snapshot.windows.page_file = known(PageFile(False, entries))
        snapshot.machine.memory = known(Memory(16 * GIB, 8 * GIB, commit_limit=20 * GIB, commit_available=left))
        finding = find("windows-pagefile", snapshot)
        assert finding.outcome == outcome
        if outcome == "fail":
            assert "3.0 GiB" in finding.summary
            assert finding.severity == "warning"

    def test_memory_that_was_not_asked_is_unknown(self) -> None:
        snapshot = recorded.load("windows-pagefile-off")
        snapshot.machine.memory = known(Memory(16 * GIB, 8 * GIB))
        assert find("windows-pagefile", snapshot).outcome == "unknown"


class TestStore:
    def test_the_stub_as_a_target(self) -> None:
        finding = find("python-store-stub", recorded.load("python-store-stub-target"))
        assert "only opens the Microsoft Store" in finding.summary
        assert finding.remedy is not None
        assert any("App execution aliases" in step.text for step in finding.remedy.steps)

    def test_which_python_is_hidden(self) -> None:
        finding = find("python-store-stub", recorded.load("python-store-stub-hides"))
        assert finding.summary.endswith("Python312\\python.exe")

    def test_a_healthy_store_python_is_no_alarm(self) -> None:
        assert find("python-store-stub", recorded.load("windows-store-python-korean")).outcome == "pass"

    @pytest.mark.parametrize(
        ("cache", "outcome"),
        [
            ("C:\\Users\\ana\\appdata\\Local\\models\\hub", "fail"),
            ("C:\\Users\\ana\\.cache\\huggingface\\hub", "pass"),
            ("D:\\AppData\\Local\\hub", "pass"),
            ("C:\\Users\\ana\\AppDataOld\\hub", "pass"),
        ],
    )
    def test_only_a_cache_below_appdata_is_private(self, cache: str, outcome: str) -> None:
        snapshot = recorded.load("python-store-stub-private-cache")
        snapshot.machine.home = known("C:\\Users\\ana")
        snapshot.hub.cache.need().path = cache
        assert find("python-store-stub", snapshot).outcome == outcome


class TestFolders:
    def test_the_environment_is_made_anew_outside(self) -> None:
        finding = find("onedrive-folder", recorded.load("onedrive-folder-venv"))
        assert finding.remedy is not None
        first = finding.remedy.steps[0]
        assert first.argv[1:] == ["-m", "venv", "C:\\Users\\ana\\venvs\\hf"]
        assert first.argv[0].endswith("python.exe")
        assert "the environment" in finding.summary

    def test_the_cache_gets_another_home(self) -> None:
        finding = find("onedrive-folder", recorded.load("onedrive-folder-cache"))
        assert finding.remedy is not None
        assert finding.remedy.steps[-1].argv == ["setx", "HF_HOME", "C:\\Users\\ana\\.cache\\huggingface"]
        assert "the model cache" in finding.summary

    def test_defender_names_the_folder_and_the_error(self) -> None:
        finding = find("controlled-folder-access", recorded.load("controlled-folder-access-refused"))
        assert "C:\\Users\\ana\\Documents" in finding.evidence[0].text
        assert "FileNotFoundError" in finding.evidence[0].text
        assert finding.remedy is not None
        commands = [" ".join(step.argv) for step in finding.remedy.steps]
        assert any("Add-MpPreference" in command and "Python312\\python.exe" in command for command in commands)
        assert not any("Set-MpPreference" in command for command in commands)
