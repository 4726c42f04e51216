"""Folders on Windows that something else watches over: OneDrive synchronises them, Defender guards them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PureWindowsPath

from ..facts.sections.storage import Place
from ..facts.snapshot import Snapshot
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Unknown, Verdict

#: how a place is called in a sentence
CALLED = {
    "site-packages": "the environment",
    "user-site": "your own packages",
    "scripts": "the environment's scripts",
    "hf-home": "the Hugging Face folder",
    "hf-cache": "the model cache",
    "xet-cache": "the download cache (xet)",
    "uv-cache": "uv's cache",
    "pip-cache": "pip's cache",
    "temp": "the folder for temporary files",
    "cwd": "the folder you are in",
}

ENVIRONMENT = ("site-packages", "user-site", "scripts")
CACHE = ("hf-home", "hf-cache", "xet-cache")


def inside(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or below it, as Windows compares names."""
    return bool(folder) and PureWindowsPath(path).is_relative_to(PureWindowsPath(folder))


def _places(s: Snapshot, roles: Sequence[str]) -> Iterator[Place]:
    for place in s.storage.places.need():
        if place.role in roles and place.path:
            yield place


def _onedrive(s: Snapshot, goal: Goal) -> Verdict:
    windows = s.windows
    if windows is None:
        return Skip("not_windows")
    folders = windows.sync_folders.or_absent()
    if folders is None:
        return Skip("no_account")
    # a project in OneDrive is fine as long as what Python installs and downloads is not: the current folder is no place
    places = list(_places(s, (*ENVIRONMENT, *CACHE)))
    if not places:
        return Skip("no_places")
    synced = [(place, folder) for place in places for folder in folders if inside(place.path, folder.path)]
    if not synced:
        return Pass(len(places), [Clue(windows.sync_folders, [folder.path for folder in folders])])
    clues, shown = [], set()
    for place, folder in synced:
        fields: dict[str, Plain] = {"what": _group(place.role), "path": place.path, "folder": folder.path}
        says = "synced" if _group(place.role) not in shown else ""
        shown.add(_group(place.role))
        clues.append(Clue(windows.sync_folders, place.path, says, fields))
    roles = [place.role for place, _ in synced]
    fields = {"what": " and ".join(dict.fromkeys(_group(role) for role in roles))}
    treatment = Treatment("confirm", _elsewhere(s, roles, goal))
    return Fail("inside", "warning", "derived", clues, fields, treatment, len(places))


def _group(role: str) -> str:
    """What a person calls the place: several folders of one thing are one thing."""
    if role in CACHE:
        return "the model cache"
    return "the environment" if role in ENVIRONMENT else CALLED[role]


def _elsewhere(s: Snapshot, roles: Sequence[str], goal: Goal) -> list[Step]:
    """An environment and a cache right below the home folder, which nothing synchronises or guards as a whole."""
    home, chosen = s.machine.home.maybe(), s.target.chosen.maybe()
    steps: list[Step] = []
    if home is None:
        return [Step(says="move")]
    if chosen is not None and any(role in ENVIRONMENT for role in roles):
        environment = str(PureWindowsPath(home, "venvs", "hf"))
        python = environment + r"\Scripts\python.exe"
        steps.append(Step([chosen.python, "-m", "venv", environment], "new_environment"))
        steps.append(Step([python, "-m", "pip", "install", *goal.packages], "install_there", network=True))
    if any(role in CACHE for role in roles):
        steps.append(Step(["setx", "HF_HOME", str(PureWindowsPath(home, ".cache", "huggingface"))], "new_cache"))
    return steps


def _controlled(s: Snapshot, goal: Goal) -> Verdict:
    windows = s.windows
    if windows is None:
        return Skip("not_windows")
    setting = windows.controlled_folders.or_absent()
    if setting is None or setting.mode != "block":
        return Skip("not_blocking", {"mode": setting.mode if setting else "off"})
    places = list(_places(s, tuple(CALLED)))
    guarded: dict[str, tuple[Place, str]] = {}
    for place in places:
        for folder in setting.folders:
            if inside(place.path, folder):
                guarded[place.role] = (place, folder)
    refused, untried = [], []
    for place, folder in guarded.values():
        # where the place does not exist yet, a parent was tried: that says something only if it is guarded too
        if not place.writable.known or not inside(place.measured_at or place.path, folder):
            untried.append((place, folder))
        elif not place.writable.need().ok:
            refused.append((place, folder))
    if refused:
        return _refused(s, goal, refused)
    if untried and not _allowed(s):
        fields: dict[str, Plain] = {"path": untried[0][0].path, "folder": untried[0][1]}
        return Unknown("not_tried", fields, [Clue(windows.controlled_folders, setting.folders)])
    if not setting.complete and not guarded:
        return Unknown("list_unread", {}, [Clue(windows.controlled_folders, setting.folders)])
    if not places:
        return Skip("no_places")
    return Pass(len(places), [Clue(windows.controlled_folders, setting.folders)])


def _allowed(s: Snapshot) -> bool:
    """Whether the target's program was let through by hand."""
    assert s.windows is not None
    interpreter = s.target.interpreter.maybe()
    programs = s.windows.controlled_allowed.maybe() or []
    if interpreter is None:
        return False
    mine = {PureWindowsPath(interpreter.executable), PureWindowsPath(interpreter.base_prefix, "python.exe")}
    return any(PureWindowsPath(program) in mine for program in programs)


def _refused(s: Snapshot, goal: Goal, refused: Sequence[tuple[Place, str]]) -> Fail:
    assert s.windows is not None
    clues, shown = [], set()
    for place, folder in refused:
        fields: dict[str, Plain] = {"path": place.path, "folder": folder, "error": place.writable.need().error}
        says = "refused" if _group(place.role) not in shown else ""
        shown.add(_group(place.role))
        clues.append(Clue(place.writable, place.path, says, fields))
    clues.append(Clue(s.windows.controlled_folders, "block", "blocking"))
    roles = [place.role for place, _ in refused]
    needed = any(role in (*ENVIRONMENT, *CACHE) for role in roles)
    steps = _elsewhere(s, roles, goal) if needed else [Step(says="move")]
    interpreter = s.target.interpreter.maybe()
    if interpreter is not None:
        program = str(PureWindowsPath(interpreter.base_prefix, "python.exe"))
        allow = f"Add-MpPreference -ControlledFolderAccessAllowedApplications '{program}'"
        steps.append(Step(["powershell", "-NoProfile", "-Command", allow], "allow", administrator=True))
    fields = {"what": " and ".join(dict.fromkeys(_group(role) for role in roles)), "path": refused[0][0].path}
    treatment = Treatment("print-only", steps)
    return Fail("guarded", "error" if needed else "warning", "observed", clues, fields, treatment, len(refused))


ONEDRIVE_FOLDER = Condition(
    id="onedrive-folder",
    family="windows",
    title="The environment or the model cache lies in a folder that OneDrive synchronises",
    reads=("windows", "storage", "target", "machine"),
    detect=_onedrive,
    words={
        "not_windows": "OneDrive folders are looked for on Windows",
        "no_account": "OneDrive is not signed in",
        "no_places": "there is no place to look at",
        "inside": "OneDrive synchronises {what}: files are locked or missing while it works",
        "synced": "{what}, {path}, is inside {folder}",
        "move": "move it out of the OneDrive folder",
        "new_environment": "make the environment outside of it",
        "install_there": "and install there",
        "new_cache": "keep models outside of it (open a new terminal afterwards)",
    },
)

CONTROLLED_FOLDER_ACCESS = Condition(
    id="controlled-folder-access",
    family="windows",
    title="Windows Defender does not let Python write to a folder that it guards",
    reads=("windows", "storage", "target", "machine"),
    detect=_controlled,
    words={
        "not_windows": "only Windows has controlled folder access",
        "not_blocking": "controlled folder access does not block (it is {mode})",
        "no_places": "there is no place to look at",
        "not_tried": "whether Python may write to {path}, inside the guarded folder {folder}, was not tried",
        "list_unread": "which folders are guarded besides Windows' own could not be read",
        "guarded": "Windows Defender does not let Python write to {what}, {path}",
        "refused": "a file could not be made in {path} ({error}); Defender guards {folder}",
        "blocking": "controlled folder access is on",
        "new_environment": "make the environment in a folder that is not guarded",
        "install_there": "and install there",
        "new_cache": "keep models in a folder that is not guarded (open a new terminal afterwards)",
        "allow": "or let this Python write to guarded folders; that holds for every program that it runs",
        "move": "use a folder outside Documents, Pictures, Videos, Music and Favorites",
    },
)

CONDITIONS: tuple[Condition, ...] = (ONEDRIVE_FOLDER, CONTROLLED_FOLDER_ACCESS)
