"""Folders on Windows that something else watches over: OneDrive synchronises them, Defender guards them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PureWindowsPath

from ..facts.sections.storage import Place
from ..facts.snapshot import Snapshot
from .first_torch import in_their_builds
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Unknown, Verdict
from .move_cache import set_steps, ways_out

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
    flagged = [place for place, _ in synced]
    fields = {"what": " and ".join(dict.fromkeys(_group(place.role) for place in flagged))}
    treatment = Treatment("confirm", _out_of_onedrive(s, flagged, goal))
    return Fail("inside", "warning", "derived", clues, fields, treatment, len(places))


def _group(role: str) -> str:
    """What a person calls the place: several folders of one thing are one thing."""
    if role in CACHE:
        return "the model cache"
    return "the environment" if role in ENVIRONMENT else CALLED[role]


def _out_of_onedrive(s: Snapshot, flagged: Sequence[Place], goal: Goal) -> list[Step]:
    home = s.machine.home.maybe()
    if home is None:
        return [Step(says="move")]
    environment = _new_environment(s, home, flagged, goal)
    caches = [place for place in flagged if place.role in CACHE]
    return ways_out(caches, _new_cache(home), environment)


def _out_of_guarded_folders(s: Snapshot, flagged: Sequence[Place], goal: Goal) -> list[Step]:
    """Nothing is moved: what may not be changed may not be taken away from there either."""
    home = s.machine.home.maybe()
    if home is None or not any(place.role in (*ENVIRONMENT, *CACHE) for place in flagged):
        return [Step(says="move")]
    caches = [place for place in flagged if place.role in CACHE]
    steps = [*_new_environment(s, home, flagged, goal), *set_steps(caches, _new_cache(home))]
    if any(place.exists for place in caches):
        steps.append(Step(says="by_explorer", fields={"new": _new_cache(home)}))
    return steps


def _new_cache(home: str) -> str:
    """Right below the home folder, which nothing synchronises or guards as a whole; also the libraries' own default."""
    return str(PureWindowsPath(home, ".cache", "huggingface"))


def _new_environment(s: Snapshot, home: str, flagged: Sequence[Place], goal: Goal) -> list[Step]:
    """A new environment right below the home folder, if the old one is among ``flagged``: they cannot be moved."""
    chosen = s.target.chosen.maybe()
    if chosen is None or not any(place.role in ENVIRONMENT for place in flagged):
        return []
    environment = str(PureWindowsPath(home, "venvs", "hf"))
    python = environment + r"\Scripts\python.exe"
    fields: dict[str, Plain] = {"folder": environment, "python": python}
    steps = [
        Step([chosen.python, "-m", "venv", environment], "new_environment", fields),
        Step([python, "-m", "pip", "install", *in_their_builds(s, goal.packages)], "install_there", network=True),
        Step(says="use_it", fields=fields),
    ]
    interpreter = s.target.interpreter.maybe()
    if interpreter is not None and s.target.isolated.maybe():
        steps.append(Step(says="delete_old", fields={"folder": interpreter.prefix}))
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
    flagged = [place for place, _ in refused]
    needed = any(place.role in (*ENVIRONMENT, *CACHE) for place in flagged)
    steps = _out_of_guarded_folders(s, flagged, goal)
    interpreter = s.target.interpreter.maybe()
    if interpreter is not None:
        # two quotation marks in a row stand for one inside PowerShell's quotation marks
        program = str(PureWindowsPath(interpreter.base_prefix, "python.exe")).replace("'", "''")
        allow = f"Add-MpPreference -ControlledFolderAccessAllowedApplications '{program}'"
        steps.append(Step(["powershell", "-NoProfile", "-Command", allow], "allow", administrator=True))
        steps.append(Step(says="start_again"))
    fields = {"what": " and ".join(dict.fromkeys(_group(place.role) for place in flagged)), "path": flagged[0].path}
    treatment = Treatment("confirm", steps)
    return Fail("guarded", "error" if needed else "warning", "observed", clues, fields, treatment, len(refused))


ONEDRIVE_FOLDER = Condition(
    id="onedrive-folder",
    family="windows",
    title="The environment or the model cache lies in a folder that OneDrive synchronises",
    reads=("windows", "storage", "target", "machine", "packages", "gpu"),
    detect=_onedrive,
    words={
        "not_windows": "OneDrive folders are looked for on Windows",
        "no_account": "OneDrive is not signed in",
        "no_places": "there is no place to look at",
        "inside": "OneDrive synchronises {what}: files are locked or missing while it works",
        "synced": "{what}, {path}, is inside {folder}",
        "move": "move it out of the OneDrive folder",
        "new_environment": "make an environment outside of it, {folder}",
        "install_there": "and install there",
        "use_it": "start your programs with {python}",
        "delete_old": "when everything works there, delete the old environment, {folder}",
        "move_there": "move the models out of it, from {old} to {new}",
        "keep_there": "set {name} to {new}, so that models are kept there (open a new terminal afterwards)",
        "leave_there": "or leave the models where they are and download them anew",
    },
)

CONTROLLED_FOLDER_ACCESS = Condition(
    id="controlled-folder-access",
    family="windows",
    title="Windows Defender does not let Python write to a folder that it guards",
    reads=("windows", "storage", "target", "machine", "packages", "gpu"),
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
        "new_environment": "make an environment in a folder that is not guarded, {folder}",
        "install_there": "and install there",
        "use_it": "start your programs with {python}",
        "delete_old": "when everything works there, delete the old environment, {folder}",
        "keep_there": "set {name} to {new}, which is not guarded, so that models are kept there "
        "(open a new terminal afterwards)",
        "by_explorer": "with the Explorer, which Defender trusts, move what you want to keep to {new}",
        "allow": "or let this Python write to guarded folders; that holds for every program that it runs",
        "start_again": "start your program again afterwards",
        "move": "use a folder outside Documents, Pictures, Videos, Music and Favorites",
    },
)

CONDITIONS: tuple[Condition, ...] = (ONEDRIVE_FOLDER, CONTROLLED_FOLDER_ACCESS)
