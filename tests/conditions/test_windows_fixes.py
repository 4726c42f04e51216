"""What `hfdoctor fix` can do for the Windows conditions: the ways, in their order, and what each changes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hfdoctor.conditions.changes import (
    Change,
    GitChange,
    NewEnvironment,
    PackageChange,
    RegistryChange,
    TreeMove,
    VariableChange,
)
from hfdoctor.conditions.engine import Policy, diagnose
from hfdoctor.conditions.install_commands import together
from hfdoctor.conditions.model import Finding
from hfdoctor.conditions.ways import automatic, change_of, ways
from hfdoctor.facts.fact import absent, known
from hfdoctor.facts.sections.storage import Place, Writable
from hfdoctor.facts.sections.windows import ControlledFolders, SyncFolder
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded
from tests.conditions.test_windows_paths import longest, machine

HOME = "C:\\Users\\ana"
DEFAULT = f"{HOME}\\.cache\\huggingface"
SWITCH = RegistryChange(r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem", "LongPathsEnabled", "REG_DWORD", 1)


def find(condition: str, snapshot: Snapshot | str) -> Finding:
    if isinstance(snapshot, str):
        snapshot = recorded.load(snapshot)
    (finding,) = diagnose(snapshot, None, Policy(select=frozenset({condition}))).findings
    assert finding.outcome == "fail", finding.summary
    return finding


def changes(finding: Finding) -> list[list[Change] | None]:
    """What each way changes; None for one that is left to the person."""
    assert finding.remedy is not None
    if finding.remedy.fix_class == "print-only":
        return [None for _ in ways(finding.remedy.steps)]
    return [
        together([change for step in way if (change := change_of(step)) is not None]) if automatic(way) else None
        for way in ways(finding.remedy.steps)
    ]


class TestLongPaths:
    def test_switch_then_short_environment(self) -> None:
        snapshot = recorded.load("windows-long-path-pip")
        chosen = snapshot.target.chosen.need().python
        assert changes(find("windows-long-path", snapshot))[:2] == [
            [SWITCH, GitChange("core.longpaths", "true")],
            [NewEnvironment(chosen, "C:\\hf", ("transformers", "torch"))],
        ]

    def test_git_only_where_it_is(self) -> None:
        snapshot = recorded.load("windows-long-path-pip")
        assert snapshot.windows is not None
        snapshot.windows.git = absent("git is not on PATH")
        assert changes(find("windows-long-path", snapshot))[0] == [SWITCH]

    def test_uv_where_only_what_python_never_opens_is_too_long(self) -> None:
        licence, module = longest("torch")
        assert licence > module
        snapshot = machine(259 - 1 - max(module, longest("transformers")[0]))
        uv = PackageChange(snapshot.target.chosen.need().python, ("transformers", "torch"))
        assert changes(find("windows-long-path", snapshot))[2:] == [[uv]]
        # a module that is too long helps neither
        snapshot = machine(259 - module)
        assert len(changes(find("windows-long-path", snapshot))) == 2

    def test_uv_knows_no_packages_of_the_person(self) -> None:
        """The Store's Python, say, into which nobody may install: pip goes elsewhere, uv would fail."""
        snapshot = machine(100)
        paths = snapshot.target.paths.need()
        paths.user_site_enabled, paths.user_site = True, "C:\\" + "x" * (259 - 1 - longest("transformers")[0] - 3)
        snapshot.target.isolated = known(False)
        assert snapshot.windows is not None
        snapshot.windows.store_python = known(True)
        assert not any(isinstance(one, PackageChange) for way in changes(find("windows-long-path", snapshot)) if way
                       for one in way)  # fmt: skip

    def test_a_policy_leaves_the_short_folder_and_the_question(self) -> None:
        found = changes(find("windows-long-path", "windows-long-path-policy"))
        assert SWITCH not in [one for way in found if way for one in way]
        assert found[-1] is None

    def test_models_move_to_a_short_folder(self) -> None:
        finding = find("windows-long-path", "windows-long-path-deep-cache")
        switch, move, set_only = changes(finding)
        assert switch is not None
        assert switch[0] == SWITCH
        assert move is not None
        assert isinstance(move[0], TreeMove)
        assert move[0].source.endswith("\\huggingface")
        assert move[0].destination == "C:\\hf-cache"
        assert move[1:] == [VariableChange("HF_HOME", "C:\\hf-cache")] == set_only

    @pytest.mark.parametrize(("length", "outcome"), [(186, "skip"), (187, "fail")])
    def test_the_shortest_model_to_the_character(self, length: int, outcome: str) -> None:
        snapshot = recorded.load("windows-long-path-deep-cache")
        snapshot.hub.cache.need().path = "C:\\" + "x" * (length - 3)
        (finding,) = diagnose(snapshot, None, Policy(select=frozenset({"windows-long-path"}))).findings
        assert finding.outcome == outcome
        if outcome == "fail":
            assert "248 characters, Windows allows 247" in finding.summary

    def test_a_path_that_is_taken_as_it_is_has_no_limit(self) -> None:
        snapshot = recorded.load("windows-long-path-deep-cache")
        snapshot.hub.cache.need().literal = "\\\\?\\" + snapshot.hub.cache.need().path
        (finding,) = diagnose(snapshot, None, Policy(select=frozenset({"windows-long-path"}))).findings
        assert finding.outcome != "fail"

    def test_a_cache_with_a_variable_of_its_own_keeps_it(self) -> None:
        snapshot = recorded.load("windows-long-path-deep-cache")
        for place in snapshot.storage.places.need():
            if place.role == "hf-cache":
                place.set_by = "HF_HUB_CACHE"
        new = "C:\\hf-cache\\hub"
        assert changes(find("windows-long-path", snapshot))[2] == [VariableChange("HF_HUB_CACHE", new)]

    @pytest.mark.parametrize(("more", "count"), [(0, 3), (1, 1)])
    def test_a_move_that_would_not_help_is_not_offered(self, more: int, count: int) -> None:
        r"""A file that fits below C:\hf-cache\hub to the character, and one that does not."""
        snapshot = recorded.load("windows-long-path-cached-file")
        name = "models--x\\snapshots\\"
        room = 259 - len("C:\\hf-cache\\hub\\") + more
        snapshot.hub.health.need().longest_file = name + (room - len(name)) * "n"
        assert len(changes(find("windows-long-path", snapshot))) == count

    def test_compiled_functions(self) -> None:
        found = changes(find("windows-long-path", "windows-long-path-compiled"))
        assert found[1] == [VariableChange("TORCHINDUCTOR_CACHE_DIR", "C:\\hf-compiled")]

    def test_what_is_installed_and_what_is_cached_are_two_findings(self) -> None:
        snapshot = recorded.load("windows-long-path-pip")
        snapshot.hub.cache.need().path = "C:\\" + "x" * 200
        findings = diagnose(snapshot, None, Policy(select=frozenset({"windows-long-path"}))).findings
        assert [finding.severity for finding in findings] == ["error", "warning"]


class TestLinks:
    def test_developer_mode_or_silence(self) -> None:
        key = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\AppModelUnlock"
        finding = find("cache-symlink", "cache-symlink-no-developer-mode")
        assert changes(finding) == [
            [RegistryChange(key, "AllowDevelopmentWithoutDevLicense", "REG_DWORD", 1)],
            [VariableChange("HF_HUB_DISABLE_SYMLINKS_WARNING", "1")],
        ]
        assert finding.remedy is not None
        assert finding.remedy.steps[0].administrator

    @pytest.mark.parametrize("name", ["cache-symlink-exfat", "cache-symlink-developer-mode-on"])
    def test_where_the_switch_would_not_help(self, name: str) -> None:
        assert changes(find("cache-symlink", name)) == [None, [VariableChange("HF_HUB_DISABLE_SYMLINKS_WARNING", "1")]]

    def test_a_person_who_accepted_copies_hears_no_more(self) -> None:
        snapshot = recorded.load("cache-symlink-accepted")
        (finding,) = diagnose(snapshot, None, Policy(select=frozenset({"cache-symlink"}))).findings
        assert finding.outcome == "skip"


def places(snapshot: Snapshot, **moved: tuple[str, str]) -> None:
    """Give places (underscores for hyphens) other paths and what set them."""
    for place in snapshot.storage.places.need():
        if new := moved.get(place.role.replace("-", "_")):
            place.path, place.set_by = new


class TestOneDrive:
    ONEDRIVE = f"{HOME}\\OneDrive - Hanbit"

    def snapshot(self, **moved: tuple[str, str]) -> Snapshot:
        snapshot = recorded.build("windows")
        assert snapshot.windows is not None
        snapshot.windows.sync_folders = known([SyncFolder(self.ONEDRIVE, "Business1")])
        places(snapshot, **moved)
        return snapshot

    def test_an_environment_is_made_anew(self) -> None:
        finding = find("onedrive-folder", "onedrive-folder-venv")
        python = recorded.load("onedrive-folder-venv").target.chosen.need().python
        assert changes(finding) == [[NewEnvironment(python, f"{HOME}\\venvs\\hf", ("transformers", "torch"))]]
        assert finding.remedy is not None
        assert "delete the old environment" in finding.remedy.steps[-1].text

    def test_hf_home_takes_everything_below_it_along(self) -> None:
        old = f"{self.ONEDRIVE}\\hf"
        snapshot = self.snapshot(
            hf_home=(old, "HF_HOME"), hf_cache=(f"{old}\\hub", "HF_HOME"), xet_cache=(f"{old}\\xet", "HF_HOME")
        )
        assert changes(find("onedrive-folder", snapshot)) == [
            [TreeMove(old, DEFAULT), VariableChange("HF_HOME", DEFAULT)],
            [VariableChange("HF_HOME", DEFAULT)],
        ]

    def test_a_cache_alone_goes_below_the_home_that_stays(self) -> None:
        snapshot = self.snapshot(hf_cache=(f"{self.ONEDRIVE}\\hub", "HF_HUB_CACHE"))
        new = f"{DEFAULT}\\hub"
        assert changes(find("onedrive-folder", snapshot))[0] == [
            TreeMove(f"{self.ONEDRIVE}\\hub", new),
            VariableChange("HF_HUB_CACHE", new),
        ]

    def test_two_variables_one_folder_inside_the_other(self) -> None:
        """The inner one leaves first, to a place of its own: the outer one must not take it along."""
        old = f"{self.ONEDRIVE}\\hf"
        snapshot = self.snapshot(
            hf_home=(old, "HF_HOME"),
            hf_cache=(f"{old}\\models", "HF_HUB_CACHE"),
            xet_cache=(f"{old}\\xet", "HF_HOME"),
        )
        assert changes(find("onedrive-folder", snapshot))[0] == [
            TreeMove(f"{old}\\models", f"{DEFAULT}-hub"),
            VariableChange("HF_HUB_CACHE", f"{DEFAULT}-hub"),
            TreeMove(old, DEFAULT),
            VariableChange("HF_HOME", DEFAULT),
        ]

    def test_where_nothing_is_yet_nothing_moves(self) -> None:
        snapshot = self.snapshot(hf_cache=(f"{self.ONEDRIVE}\\hub", "HUGGINGFACE_HUB_CACHE"))
        snapshot.storage.places.value = [
            replace(place, exists=False) if place.role == "hf-cache" else place
            for place in snapshot.storage.places.need()
        ]
        assert changes(find("onedrive-folder", snapshot)) == [
            [VariableChange("HUGGINGFACE_HUB_CACHE", f"{DEFAULT}\\hub")]
        ]


class TestGuardedFolders:
    def snapshot(self, *roles: str) -> Snapshot:
        snapshot = recorded.build("windows")
        assert snapshot.windows is not None
        guarded = f"{HOME}\\Documents"
        snapshot.windows.controlled_folders = known(ControlledFolders("block", [guarded]))
        found: list[Place] = []
        for place in snapshot.storage.places.need():
            if place.role in roles:
                path = f"{guarded}\\{place.role}"
                refused = known(Writable(False, "created", "FileNotFoundError: No such file or directory", "other"))
                place = replace(place, path=path, measured_at=path, set_by="HF_HUB_CACHE", writable=refused)
            found.append(place)
        snapshot.storage.places.value = found
        return snapshot

    def test_out_of_the_way_without_touching_what_is_guarded(self) -> None:
        finding = find("controlled-folder-access", self.snapshot("hf-cache"))
        assert changes(finding) == [[VariableChange("HF_HUB_CACHE", f"{DEFAULT}\\hub")], None]
        assert finding.remedy is not None
        assert any("Explorer" in step.text for step in finding.remedy.steps)

    def test_another_folder_is_the_persons_to_choose(self) -> None:
        assert changes(find("controlled-folder-access", self.snapshot("cwd"))) == [None, None]

    def test_the_line_for_defender_is_quoted(self) -> None:
        snapshot = self.snapshot("hf-cache")
        snapshot.target.interpreter.need().base_prefix = "C:\\Users\\O'Brien\\Python312"
        finding = find("controlled-folder-access", snapshot)
        assert finding.remedy is not None
        (line,) = [step.argv[-1] for step in finding.remedy.steps if step.argv[:1] == ["powershell"]]
        assert line.endswith("'C:\\Users\\O''Brien\\Python312\\python.exe'")


class TestByHand:
    """Steps for someone who never saw the registry: in words, with every click."""

    @pytest.mark.parametrize(
        ("condition", "name", "named"),
        [
            ("windows-pagefile", "windows-pagefile-off", ["SystemPropertiesPerformance", "Change", "restart Windows"]),
            ("vc-redist-missing", "vc-redist-missing-msvcp140", ["vc_redist.x64.exe", "Install", "hfdoctor check"]),
            ("vc-redist-missing", "vc-redist-missing-old", ["vc_redist.x64.exe", "Install", "hfdoctor check"]),
            ("python-store-stub", "python-store-stub-target", ["python.org", "App execution aliases", "new terminal"]),
            ("python-store-stub", "python-store-stub-hides", ["App execution aliases", "App Installer"]),
        ],
    )
    def test_guided(self, condition: str, name: str, named: list[str]) -> None:
        finding = find(condition, name)
        assert set(changes(finding)) == {None}
        assert finding.remedy is not None
        first = ways(finding.remedy.steps)[0]
        text = " / ".join(step.text for step in first)
        assert [word for word in named if word not in text] == []
        assert not any(step.argv for step in first)

    def test_the_own_copy_is_named_before_the_other_way(self) -> None:
        snapshot = recorded.load("vc-redist-missing-old")
        assert snapshot.windows is not None
        for copy in snapshot.windows.vc_libraries.need():
            copy.via = "torch"
        finding = find("vc-redist-missing", snapshot)
        assert finding.remedy is not None
        first, second = ways(finding.remedy.steps)
        assert "comes before the one in System32" in first[-1].text
        assert second[0].argv[0] == "winget"

    @pytest.mark.parametrize(
        ("set_by", "name", "value"),
        [("HF_HOME", "HF_HOME", DEFAULT), ("HF_HUB_CACHE", "HF_HUB_CACHE", f"{DEFAULT}\\hub")],
    )
    def test_a_private_cache_by_the_variable_that_decides(self, set_by: str, name: str, value: str) -> None:
        snapshot = recorded.load("python-store-stub-private-cache")
        snapshot.machine.home = known(HOME)
        cache = snapshot.hub.cache.need()
        cache.path, cache.set_by = f"{HOME}\\AppData\\Local\\models\\hub", set_by
        assert changes(find("python-store-stub", snapshot)) == [[VariableChange(name, value)]]


def test_no_way_changes_the_same_thing_twice() -> None:
    """It would if a way began with the wrong words: it is then taken for more steps of the one before it."""
    for name in recorded.names():
        if not name.startswith(("windows-", "onedrive-", "controlled-", "cache-symlink", "vc-redist", "python-store")):
            continue
        for finding in diagnose(recorded.load(name), None).failed():
            for way in changes(finding) if finding.remedy else []:
                assert len(set(way or ())) == len(way or ()), (name, finding.condition)
                assert sum(isinstance(one, NewEnvironment | RegistryChange) for one in way or ()) <= 1, name
