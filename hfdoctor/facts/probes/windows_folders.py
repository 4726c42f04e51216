"""Folders that something watches over: those that OneDrive synchronises, and those that Defender protects."""

from __future__ import annotations

import contextlib
import ntpath
import re
from collections.abc import Mapping

from ..fact import Fact, absent, from_error, known
from ..legible import legible
from ..sections.windows import ControlledFolders, RegistryValue, SyncFolder
from . import windows_registry

ONEDRIVE_KEY = r"HKCU\Software\Microsoft\OneDrive\Accounts"

DEFENDER = r"Windows Defender\Windows Defender Exploit Guard\Controlled Folder Access"
#: a Group Policy wins over what was chosen in Windows Security
DEFENDER_KEYS = (rf"HKLM\SOFTWARE\Policies\Microsoft\{DEFENDER}", rf"HKLM\SOFTWARE\Microsoft\{DEFENDER}")

MODES = {0: "off", 1: "block", 2: "audit", 3: "disk-only", 4: "disk-audit", 6: "disk-only"}

SHELL_FOLDERS = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Explorer\User Shell Folders"

#: what Defender always protects: the name in the registry, and the folder below the profile where it is not moved
DEFAULT_FOLDERS = {
    "Personal": "Documents",
    "My Pictures": "Pictures",
    "My Video": "Videos",
    "My Music": "Music",
    "Favorites": "Favorites",
}
PUBLIC_FOLDERS = ("Documents", "Pictures", "Videos", "Music")


def sync_folders() -> Fact[list[SyncFolder]]:
    """The folders that OneDrive keeps in step with an account; absent where no account is signed in.

    The environment variable ``OneDrive`` is set on machines that never signed in: it says nothing.
    """
    try:
        accounts = windows_registry.subkeys(ONEDRIVE_KEY)
    except FileNotFoundError:
        return absent("OneDrive has no account here", ONEDRIVE_KEY)
    found = []
    for account in accounts:
        try:
            value = windows_registry.read_value(rf"{ONEDRIVE_KEY}\{account}", "UserFolder")
        except FileNotFoundError:
            continue  # an account that is known but not linked to a folder
        if isinstance(value.value, str) and ntpath.isabs(value.value):
            found.append(SyncFolder(value.value, legible(account)))
    if not found:
        return absent("no OneDrive account is linked to a folder", ONEDRIVE_KEY)
    return known(sorted(found, key=lambda folder: folder.path), ONEDRIVE_KEY)


def controlled_folders(environ: Mapping[str, str]) -> Fact[ControlledFolders]:
    """Defender's controlled folder access; absent where it was never configured, which is off."""
    for key in DEFENDER_KEYS:
        fact = windows_registry.converted(
            windows_registry.value_fact(key, "EnableControlledFolderAccess"), ("REG_DWORD",), int
        )
        if fact.absent:
            continue
        if not fact.known:
            return fact
        number = fact.need()
        mode = MODES.get(number, f"mode {number}")
        if mode != "block":
            return known(ControlledFolders(mode), fact.source)
        folders, complete = default_folders(environ), True
        try:
            folders += [value.name for value in windows_registry.values(rf"{key}\ProtectedFolders")]
        except FileNotFoundError:
            pass  # none was added by hand
        except OSError:
            complete = False
        return known(ControlledFolders(mode, folders, complete), fact.source)
    return absent("controlled folder access was never configured", DEFENDER_KEYS[-1])


def allowed_programs() -> Fact[list[str]]:
    """The programs that were let through by hand; who is no administrator may usually not read them."""
    found: list[str] = []
    seen = False
    for key in DEFENDER_KEYS:
        try:
            found += [value.name for value in windows_registry.values(rf"{key}\AllowedApplications")]
            seen = True
        except FileNotFoundError:
            continue
        except OSError as error:
            return from_error(error, rf"{key}\AllowedApplications")
    source = rf"{DEFENDER_KEYS[-1]}\AllowedApplications"
    return known(found, source) if seen else absent("no program was allowed by hand", source)


def default_folders(environ: Mapping[str, str]) -> list[str]:
    """The folders that controlled folder access always protects, where this person's really are."""
    profile = environ.get("USERPROFILE") or ""
    moved: dict[str, RegistryValue] = {}
    with contextlib.suppress(OSError):  # then they are taken to be where Windows puts them
        moved = {value.name: value for value in windows_registry.values(SHELL_FOLDERS)}
    found = []
    for name, usual in DEFAULT_FOLDERS.items():
        value = moved.get(name)
        path = expanded(value.value, environ) if value is not None and isinstance(value.value, str) else ""
        if not ntpath.isabs(path):
            path = ntpath.join(profile, usual) if profile else ""
        if path:
            found.append(path)
    public = environ.get("PUBLIC")
    return found + [ntpath.join(public, usual) for usual in PUBLIC_FOLDERS if public]


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """``text`` with each %NAME% replaced from ``environ`` (whatever the case); unknown names stay."""
    folded = {name.upper(): value for name, value in environ.items()}
    return re.sub("%([^%]+)%", lambda match: folded.get(match[1].upper(), match[0]), text)
