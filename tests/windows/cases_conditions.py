"""The ways out of the Windows conditions, each gone for real and back: registry, variables, folders; see inside.py.

What Wine cannot do (deny a link, refuse a long path) is taken from the value that decides it on Windows, read anew for
each look as a new process reads it. Everything else is the machine's own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from hfdoctor.conditions.engine import Policy, diagnose
from hfdoctor.conditions.model import Finding
from hfdoctor.facts.cache_paths import cache_paths
from hfdoctor.facts.fact import known
from hfdoctor.facts.probes import storage, windows, windows_folders, windows_long_paths
from hfdoctor.facts.probes.places import hub_places
from hfdoctor.facts.probes.settings import variables
from hfdoctor.facts.sections.hub import LinkTrial
from hfdoctor.facts.sections.storage import Place, Writable
from hfdoctor.facts.sections.windows import PathProof
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies import engine
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.plan import Appetite, Choice, Person, plan_finding
from tests import recorded

from . import exports

FILE_SYSTEM = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
DEVELOPER = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\AppModelUnlock"
DEFENDER = r"HKLM\SOFTWARE\Microsoft\Windows Defender\Windows Defender Exploit Guard\Controlled Folder Access"
WATCHED = (FILE_SYSTEM, DEVELOPER, "HKCU")

Observe = Callable[[Mapping[str, str]], Snapshot]


def found(condition: str, snapshot: Snapshot) -> Finding:
    (finding,) = diagnose(snapshot, None, Policy(select=frozenset({condition}))).findings
    assert finding.outcome != "crash", finding.evidence
    return finding


def there_and_back(condition: str, observe: Observe, number: int, environ: Mapping[str, str] | None = None) -> Choice:
    """Go way ``number`` (from 1) out of the condition, look again, find nothing left to do, and take it back."""
    home = Path.home()
    person = Person(dict(environ or os.environ), home, home)
    before = exports.whole(*WATCHED)
    snapshot = observe(person.environ)
    finding = found(condition, snapshot)
    assert finding.outcome == "fail", finding.summary
    wanted = Appetite(number=number)
    choice = plan_finding(finding, snapshot, person, wanted).choices[number - 1]
    assert choice.actions, choice.refused
    with tempfile.TemporaryDirectory() as state, Journal(Path(state)).locked() as journal:
        run = engine.begin(journal, condition, choice.text, choice.actions, token=choice.token)
        ended = engine.carry_out(journal, run)
        assert ended.done, ended.reason
        after: Mapping[str, str] = person.environ
        for action in choice.actions:
            after = action.environ_after(after)
        assert found(condition, observe(after)).outcome in ("pass", "skip")
        again = plan_finding(finding, snapshot, Person(after, home, home), wanted).choices[number - 1]
        assert not again.actions or again.refused, again.actions
        engine.take_back(journal, journal.runs[run.number])
        assert journal.runs[run.number].how == "undone"
    assert exports.whole(*WATCHED) == before
    assert found(condition, observe(person.environ)).outcome == "fail"
    return choice


def long_paths(snapshot: Snapshot) -> None:
    """The setting as the probe reads it, and what a new process would get with it."""
    assert snapshot.windows is not None
    fact = windows_long_paths.registry_fact()
    on = fact.known and (fact.need().type, fact.need().value) == ("REG_DWORD", 1)
    snapshot.windows.long_paths_registry = fact
    snapshot.windows.long_paths_process = known(on)
    snapshot.windows.long_paths_proof = known(PathProof(on, 270, "" if on else "FileNotFoundError"))


def too_long_to_install(environ: Mapping[str, str]) -> Snapshot:
    snapshot = recorded.load("windows-long-path-pip")
    long_paths(snapshot)
    assert snapshot.windows is not None
    snapshot.windows.git = windows_long_paths.git(environ)
    return snapshot


def case_long_paths_are_switched_on_whatever_stood_there() -> None:
    for kind, data in ((4, b"\0\0\0\0"), (1, "1\0".encode("utf-16-le")), (3, b""), (4, b"\2\0\0\0")):
        exports.put(FILE_SYSTEM, "LongPathsEnabled", kind, data)
        there_and_back("windows-long-path", too_long_to_install, 1)


def hub_folders(environ: Mapping[str, str]) -> Snapshot:
    """A look at the hub's folders and at what watches over folders."""
    snapshot = recorded.build("windows")
    long_paths(snapshot)
    home = str(Path.home())
    paths = cache_paths(environ, home, "windows")
    cache = snapshot.hub.cache.need()
    cache.path, cache.set_by, cache.literal = paths.hub, paths.hub_set_by, paths.hub
    looked: list[Place] = [storage.look(named, True, []) for named in hub_places(environ, home, "C:\\")]
    snapshot.machine.home = known(home)
    assert snapshot.windows is not None
    snapshot.windows.sync_folders = windows_folders.sync_folders()
    snapshot.windows.controlled_folders = windows_folders.controlled_folders(environ)
    guard = snapshot.windows.controlled_folders.maybe()
    guarded = guard.folders if guard is not None and guard.mode == "block" else []
    for place in looked:
        if any(Path(place.path).is_relative_to(folder) for folder in guarded):
            place.measured_at = place.path
            place.writable = known(Writable(False, "created", "FileNotFoundError: No such file or directory", "other"))
    others = [place for place in snapshot.storage.places.need() if place.role not in {one.role for one in looked}]
    snapshot.storage.places.value = [*others, *looked]
    return snapshot


def case_models_move_out_of_a_folder_that_is_too_deep() -> None:
    exports.put(FILE_SYSTEM, "LongPathsEnabled", 4, b"\0\0\0\0")
    deep = "C:\\" + "\\".join(5 * ["깊은 폴더 ".ljust(38, "x")])
    (Path(deep) / "hub" / "models--ana--tiny").mkdir(parents=True)
    (Path(deep) / "token").write_bytes(b"hf_x")
    assert len(deep) + len("\\hub") > 186
    choice = there_and_back("windows-long-path", hub_folders, 2, {**os.environ, "HF_HOME": deep})
    assert [one.what.partition(" ")[0] for action in choice.actions for one in action.describe()] == [
        "folder",
        "environment",
    ]
    assert (Path(deep) / "token").read_bytes() == b"hf_x"
    assert not Path("C:\\hf-cache").exists()
    # the other way: models are downloaded anew
    there_and_back("windows-long-path", hub_folders, 3, {**os.environ, "HF_HOME": deep})
    shutil.rmtree("\\\\?\\" + deep)


def case_a_folder_that_is_there_is_not_moved_into() -> None:
    exports.put(FILE_SYSTEM, "LongPathsEnabled", 4, b"\0\0\0\0")
    deep = "C:\\" + "\\".join(5 * ["folder ".ljust(38, "x")])
    Path(deep, "hub").mkdir(parents=True)
    mine = Path("C:\\hf-cache")
    mine.mkdir()
    (mine / "mine.txt").write_bytes(b"1")
    environ = {**os.environ, "HF_HOME": deep}
    snapshot = hub_folders(environ)
    choices = plan_finding(
        found("windows-long-path", snapshot), snapshot, Person(environ, Path.home(), Path.home())
    ).choices
    assert "hf-cache" in choices[1].refused
    assert not choices[1].actions
    assert choices[2].actions
    assert (mine / "mine.txt").read_bytes() == b"1"
    shutil.rmtree(mine)


def links(environ: Mapping[str, str]) -> Snapshot:
    """Links are allowed where Developer Mode is on, as for everybody who is no administrator."""
    snapshot = recorded.load("cache-symlink-no-developer-mode")
    assert snapshot.windows is not None
    snapshot.windows.developer_mode = windows.developer_mode()
    at = snapshot.hub.link.need().at
    denied = LinkTrial(False, "A required privilege is not held by the client", 1314, at)
    snapshot.hub.link = known(LinkTrial(True, at=at) if snapshot.windows.developer_mode.maybe() else denied)
    snapshot.settings.variables = variables(environ)
    return snapshot


def case_links_by_developer_mode() -> None:
    """The key is not there at all on most machines: it goes again."""
    assert (DEVELOPER, None) not in exports.whole(DEVELOPER)
    there_and_back("cache-symlink", links, 1)
    assert (DEVELOPER, None) not in exports.whole(DEVELOPER)
    exports.put(DEVELOPER, "AllowDevelopmentWithoutDevLicense", 4, b"\0\0\0\0")
    there_and_back("cache-symlink", links, 1)


def case_copies_accepted() -> None:
    there_and_back("cache-symlink", links, 2)
    exports.put(r"HKCU\Environment", "HF_HUB_DISABLE_SYMLINKS_WARNING", 2, "0\0".encode("utf-16-le"))
    there_and_back("cache-symlink", links, 2)


def case_compiled_functions_in_a_short_folder() -> None:
    exports.put(FILE_SYSTEM, "LongPathsEnabled", 4, b"\0\0\0\0")

    def observe(environ: Mapping[str, str]) -> Snapshot:
        snapshot = recorded.build("windows")
        long_paths(snapshot)
        snapshot.settings.variables = variables(environ)
        return snapshot

    deep = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": "D:\\" + 200 * "x"}
    there_and_back("windows-long-path", observe, 2, deep)


def case_a_private_cache() -> None:
    private = str(Path.home() / "AppData" / "Local" / "모델")

    def observe(environ: Mapping[str, str]) -> Snapshot:
        snapshot = recorded.load("python-store-stub-private-cache")
        home = str(Path.home())
        paths = cache_paths(environ, home, "windows")
        cache = snapshot.hub.cache.need()
        cache.path, cache.set_by = paths.hub, paths.hub_set_by
        snapshot.machine.home = known(home)
        return snapshot

    for name in ("HF_HOME", "HF_HUB_CACHE"):
        there_and_back("python-store-stub", observe, 1, {**os.environ, name: private})


def onedrive() -> Path:
    """A folder that OneDrive keeps for an account."""
    folder = Path.home() / "OneDrive - 한국상사"
    account = r"HKCU\Software\Microsoft\OneDrive\Accounts\Business1"
    exports.put(account, "UserFolder", 1, f"{folder}\0".encode("utf-16-le"))
    return folder


def case_one_cache_inside_the_other_leaves_onedrive() -> None:
    home = onedrive() / "hf"
    models = home / "모델"
    models.mkdir(parents=True)
    (models / "version.txt").write_bytes(b"1")
    (home / "token").write_bytes(b"hf_x")
    environ = {**os.environ, "HF_HOME": str(home), "HF_HUB_CACHE": str(models)}
    there_and_back("onedrive-folder", hub_folders, 1, environ)
    assert (models / "version.txt").read_bytes() == b"1"
    assert (home / "token").read_bytes() == b"hf_x"
    there_and_back("onedrive-folder", hub_folders, 2, environ)
    shutil.rmtree(home.parent)
    exports.put(r"HKCU\Software\Microsoft\OneDrive\Accounts\Business1", "UserFolder", 1, b"\0\0")


def case_out_of_a_guarded_folder() -> None:
    """Nothing in it may be changed, so that nothing is moved."""
    guarded = Path.home() / "작업"
    (guarded / "hub").mkdir(parents=True)
    exports.put(DEFENDER, "EnableControlledFolderAccess", 4, b"\1\0\0\0")
    exports.put(rf"{DEFENDER}\ProtectedFolders", str(guarded), 4, b"\0\0\0\0")
    choice = there_and_back(
        "controlled-folder-access", hub_folders, 1, {**os.environ, "HUGGINGFACE_HUB_CACHE": str(guarded / "hub")}
    )
    assert [type(action).__name__ for action in choice.actions] == ["WindowsVariableAction"]
    exports.put(DEFENDER, "EnableControlledFolderAccess", 4, b"\0\0\0\0")
