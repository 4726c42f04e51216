"""windows-long-path: the arithmetic to the single character, and what it advises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hfdoctor.conditions.engine import Policy, diagnose
from hfdoctor.conditions.model import Finding, Goal
from hfdoctor.conditions.path_lengths import longest_for_pip, longest_for_python, reach, source, units
from hfdoctor.facts.fact import absent, failed, known
from hfdoctor.facts.sections.windows import PathProof, RegistryValue
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.knowledge.paths import install_paths
from tests import recorded

ID = "windows-long-path"
SWITCH = ["reg", "add", r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem", "/v", "LongPathsEnabled"]
SWITCH += ["/t", "REG_DWORD", "/d", "1", "/f"]


def find(snapshot: Snapshot, *packages: str) -> Finding:
    goal = Goal(packages) if packages else None
    (finding,) = diagnose(snapshot, goal, Policy(select=frozenset({ID}))).findings
    assert finding.outcome != "crash", finding.evidence
    return finding


def machine(length: int, name: str = "windows-long-path-pip") -> Snapshot:
    """A recorded machine with nothing installed, whose site-packages folder has ``length`` characters."""
    snapshot = recorded.load(name)
    paths = snapshot.target.paths.need()
    paths.purelib = paths.platlib = "C:\\" + "x" * (length - 3)
    return snapshot


def longest(package: str, python: tuple[int, int] = (3, 12)) -> tuple[int, int]:
    """The longest file, and the longest that Python opens, of an install of ``package``: characters."""
    table = install_paths(package, python)
    assert table is not None
    code = max(len(source(entry.path)) for entry in table.bytecode)
    return table.files[0].length, code


class TestKorean:
    """The case that the project began with."""

    finding = find(recorded.load("windows-store-python-korean"))

    def test_says_what_fails(self) -> None:
        assert (self.finding.outcome, self.finding.severity, self.finding.basis) == ("fail", "error", "derived")
        assert "pip will fail to install transformers 5.23.0 and torch 2.15.0" in self.finding.summary

    def test_names_each_file_and_its_length(self) -> None:
        values = {str(e.value).rpartition("\\")[2]: e for e in self.finding.evidence if e.fact == "target.paths"}
        module = values["feature_extraction_audio_spectrogram_transformer.py"]
        licence = values["LICENSE.Apache-2.0"]
        for evidence, length in ((module, 266), (licence, 291)):
            assert len(str(evidence.value)) == length  # every character here is one UTF-16 unit
            assert str(length) in evidence.text
        assert "한빛고등학교 인공지능 동아리" in str(module.value)

    def test_says_where_the_setting_was_read(self) -> None:
        texts = " ".join(e.text for e in self.finding.evidence)
        assert r"LongPathsEnabled is not set in HKLM\SYSTEM\CurrentControlSet\Control\FileSystem" in texts
        assert "could not make a path of 270 characters" in texts

    def test_says_what_to_do(self) -> None:
        assert self.finding.remedy is not None
        steps = self.finding.remedy.steps
        assert (steps[0].argv, steps[0].administrator) == (SWITCH, True)
        assert "new terminal" in steps[1].text
        assert steps[2].argv[1:] == ["-m", "venv", "C:\\hf"]
        assert "한빛고등학교" in steps[2].argv[0]
        assert steps[3].argv == ["C:\\hf\\Scripts\\python.exe", "-m", "pip", "install", "transformers", "torch"]
        assert not any(step.administrator for step in steps[1:])

    def test_the_advice_holds(self) -> None:
        """In the environment that is advised everything fits; with the switch set nothing is wrong either."""
        advised = machine(len(r"C:\hf\Lib\site-packages"))
        assert find(advised).outcome == "pass"
        switched = recorded.load("windows-store-python-korean")
        assert switched.windows is not None
        switched.windows.long_paths_proof = known(PathProof(True, 270))
        assert find(switched).outcome == "pass"


class TestLimit:
    @pytest.mark.parametrize("package", ["transformers", "torch"])
    def test_to_the_character(self, package: str) -> None:
        room = 259 - 1 - longest(package)[0]
        assert find(machine(room), package).outcome == "pass"
        finding = find(machine(room + 1), package)
        assert (finding.outcome, finding.severity) == ("fail", "error")
        assert "260 characters" in finding.summary

    def test_compiled_files_do_not_count(self) -> None:
        """pip goes on without a .pyc that cannot be written."""
        table = install_paths("transformers", (3, 12))
        assert table is not None
        room = 259 - 1 - table.files[0].length
        assert room + 1 + table.bytecode[0].length > 259
        assert find(machine(room), "transformers").outcome == "pass"

    def test_a_folder_has_its_own_limit(self) -> None:
        """A folder that is to be made may have 247 characters, 12 fewer than a file."""
        table = install_paths("torch", (3, 12))
        assert table is not None
        files = replace(table, files=table.directories[:1])
        room = 247 - 1 - table.directories[0].length
        assert longest_for_pip("C:\\" + "x" * (room - 3), files).over == 0
        assert longest_for_pip("C:\\" + "x" * (room - 2), files).limit == 247

    @given(st.text(min_size=1, max_size=30))
    def test_windows_counts_in_utf16_units(self, name: str) -> None:
        assert units(name) == sum(2 if ord(letter) > 0xFFFF else 1 for letter in name)

    def test_a_name_outside_the_first_plane_counts_twice(self) -> None:
        assert reach("C:\\Users\\\U00020000", "a").length == len("C:\\Users\\") + 2 + 2
        assert reach("C:\\Users\\한글\\", "a/b").path == "C:\\Users\\한글\\a\\b"

    @settings(max_examples=25)
    @given(st.integers(20, 240))
    def test_longer_folders_never_pass_where_shorter_ones_fail(self, length: int) -> None:
        rank = {"pass": 0, "unknown": 1, "fail": 2}
        assert rank[find(machine(length)).outcome] <= rank[find(machine(length + 1)).outcome]

    def test_which_module_a_compiled_file_belongs_to(self) -> None:
        assert source("a/b/__pycache__/c.cpython-311.pyc") == "a/b/c.py"
        assert source("__pycache__/six.cpython-38.pyc") == "six.py"


class TestUv:
    """Without pip the environment is filled by uv, which writes any length; Python opens only what is short."""

    def test_a_licence_beyond_the_limit_does_no_harm(self) -> None:
        licence, module = longest("torch")
        room = 259 - 1 - module
        assert room + 1 + licence > 259
        assert find(machine(room, "windows-long-path-uv"), "torch").outcome == "pass"
        finding = find(machine(room + 1, "windows-long-path-uv"), "torch")
        assert finding.outcome == "fail"
        assert "Python cannot open" in finding.summary

    def test_the_steps_use_uv(self) -> None:
        finding = find(recorded.load("windows-long-path-uv-in-vain"))
        assert finding.remedy is not None
        programs = [step.argv[0] for step in finding.remedy.steps if step.argv]
        assert programs == ["reg", "git", "uv", "uv"]

    def test_not_knowing_about_pip_is_unknown(self) -> None:
        snapshot = recorded.load("windows-long-path-pip")
        snapshot.target.pip = failed("no answer")
        assert find(snapshot).outcome == "unknown"


class TestWhetherLongPathsWork:
    """The proof decides, then what Windows says to a fresh process; the registry alone never does."""

    @pytest.mark.parametrize("value", [None, 0, 1])
    @pytest.mark.parametrize("process", [None, False, True])
    @pytest.mark.parametrize("proof", [None, False, True])
    def test_every_combination(self, value: int | None, process: bool | None, proof: bool | None) -> None:
        snapshot = recorded.load("windows-long-path-pip")
        w = snapshot.windows
        assert w is not None
        entry: Any = absent("no")
        if value is not None:
            entry = known(RegistryValue("HKLM\\X", "LongPathsEnabled", "REG_DWORD", value))
        w.long_paths_registry = entry
        w.long_paths_process = failed("x") if process is None else known(process)
        w.long_paths_proof = failed("x") if proof is None else known(PathProof(proof, 270, "" if proof else "no"))
        decides = process if proof is None else proof
        assert find(snapshot).outcome == {None: "unknown", False: "fail", True: "pass"}[decides]

    def test_what_the_registry_says_already_is_not_advised(self) -> None:
        finding = find(recorded.load("windows-long-path-not-consented"))
        assert finding.remedy is not None
        assert SWITCH not in [step.argv for step in finding.remedy.steps]
        assert any("LongPathsEnabled" in e.text and "is 1" in e.text for e in finding.evidence)

    def test_a_policy_is_not_fought(self) -> None:
        finding = find(recorded.load("windows-long-path-policy"))
        assert finding.remedy is not None
        assert SWITCH not in [step.argv for step in finding.remedy.steps]
        assert "ask" in finding.remedy.steps[-1].text
        assert any("ntuser.pol" in e.text for e in finding.evidence)

    def test_a_text_is_no_number(self) -> None:
        finding = find(recorded.load("windows-long-path-wrong-type"))
        assert any("is 1 (REG_SZ)" in e.text for e in finding.evidence)
        assert finding.remedy is not None
        assert finding.remedy.steps[0].argv == SWITCH

    def test_below_the_limit_it_does_not_matter(self) -> None:
        snapshot = recorded.load("windows-long-path-short-venv")
        w = snapshot.windows
        assert w is not None
        w.long_paths_proof = w.long_paths_process = failed("could not be started")
        finding = find(snapshot)
        assert finding.outcome == "pass"
        assert "are left" in finding.evidence[0].text


def test_libraries_keep_the_limit() -> None:
    finding = find(recorded.load("windows-long-path-libraries"))
    assert "libraries of transformers 5.23.0" in finding.summary
    assert any(str(e.value).endswith(".dll") for e in finding.evidence)
    assert finding.remedy is not None
    assert SWITCH not in [step.argv for step in finding.remedy.steps]


def test_python_opens_what_is_short_enough() -> None:
    table = install_paths("transformers", (3, 12))
    assert table is not None
    for length in (100, 160, 200):
        folder = "C:\\" + "x" * (length - 3)
        assert longest_for_python(folder, table).over <= longest_for_pip(folder, table).over


def test_other_platforms_of_python_were_not_measured() -> None:
    snapshot = machine(200)
    snapshot.target.interpreter.need().platform = "win-arm64"
    finding = find(snapshot)
    assert finding.outcome == "unknown"
    assert "win-arm64" in finding.summary


def test_elsewhere_it_does_not_apply() -> None:
    assert find(recorded.build("linux")).outcome == "skip"
