"""Whether paths may be longer than 260 characters: the setting, who sets it, and what a new process really gets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ..child import Ended, finish_child, start_child
from ..fact import Fact, absent, denied, failed, from_error, known, not_run, timed_out
from ..legible import legible
from ..probe import Context
from ..sections.windows import PathProof, RegistryValue
from . import windows_policy_file, windows_registry

KEY = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
NAME = "LongPathsEnabled"

#: where device management (MDM, Intune) keeps the policies that it applies: <enabled/> or <disabled/>
MDM_KEY = r"HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\ADMX_FileSys"

#: answers to a path that is found too long: file not found (the same as errno), path not found, name too long
TOO_LONG_CODES = (2, 3, 206)

PROOF_SOURCE = "a fresh process of the target interpreter"

# Runs in the target interpreter (3.8+): asks ntdll, then makes a path longer than MAX_PATH inside the folder named by
# the first argument and removes it again. Removal goes through the \\?\ form, which works whatever the setting is.
CHILD = r"""
import ctypes, json, os, sys
said = {}
try:
    ask = ctypes.WinDLL("ntdll").RtlAreLongPathsEnabled
    ask.restype = ctypes.c_ubyte
    said["enabled"] = bool(ask())
except Exception as error:
    said["enabled_error"] = "%s: %s" % (type(error).__name__, error)
made = []
try:
    folder = sys.argv[1]
    control = os.path.join(folder, "short.txt")
    with open(control, "w"):
        made.append(control)
    said["control"] = True
    path = folder
    while len(path) + 41 <= 240:
        path = os.path.join(path, "p" * 40)
        os.mkdir(path)
        made.append(path)
    path = os.path.join(path, "f" * max(1, 269 - len(path)))
    said["length"] = len(path)
    with open(path, "w"):
        made.append(path)
    with open(path):
        said["ok"] = True
except Exception as error:
    said["ok"] = False
    said["error"] = "%s: %s" % (type(error).__name__, getattr(error, "strerror", None) or error)
    # open() goes through the C library and knows no Windows number, only errno
    said["code"] = getattr(error, "winerror", None) or getattr(error, "errno", None)
for path in reversed(made):
    try:
        whole = os.path.abspath(path)
        whole = whole if whole[:4] == "\\\\?\\" or whole[:2] == "\\\\" else "\\\\?\\" + whole
        (os.rmdir if os.path.isdir(whole) else os.remove)(whole)
    except OSError as error:
        said["left"] = "%s: %s" % (path, error)
try:
    os.rmdir(folder)
except Exception:
    pass
print(json.dumps(said))
"""


def registry_fact() -> Fact[RegistryValue]:
    """The value that switches long paths on. Raises OSError if the registry cannot be read."""
    return windows_registry.value_fact(KEY, NAME)


def policy_fact(environ: Mapping[str, str]) -> Fact[RegistryValue]:
    r"""The Group Policy or device management setting behind the value; absent where nobody manages it.

    The policy "Enable Win32 long paths" writes the same registry value as a person would, so that only the policy
    files tell who set it: that of the local policy, and ntuser.pol, where Windows keeps all that it has applied.
    """
    system_root = environ.get("SYSTEMROOT") or environ.get("SystemRoot") or r"C:\Windows"
    program_data = environ.get("PROGRAMDATA") or environ.get("ProgramData") or r"C:\ProgramData"
    files = [
        Path(program_data) / "ntuser.pol",
        _system_folder(Path(system_root)) / "GroupPolicy" / "Machine" / "Registry.pol",
    ]
    unread: Fact[Any] | None = None
    for path in files:
        try:
            if path.stat().st_size > windows_policy_file.LARGEST:
                raise windows_policy_file.NotAPolicyFile("the file is too large to be one")
            found = in_policy_file(path.read_bytes())
        except FileNotFoundError:
            continue
        except PermissionError as error:
            unread = unread or denied(f"PermissionError: {error}"[:300], str(path))
            continue
        except (OSError, windows_policy_file.NotAPolicyFile) as error:
            unread = unread or failed(f"{type(error).__name__}: {error}"[:300], str(path))
            continue
        if found is not None:
            return known(found, str(path))
    managed = windows_registry.value_fact(MDM_KEY, NAME)
    if managed.known:
        return managed
    if unread is not None:
        return unread
    return absent("no policy file and no device management sets it", ", ".join(map(str, files)))


def git(environ: Mapping[str, str]) -> Fact[str]:
    """The git on PATH, which has a setting of its own for long paths; it is not started."""
    found = shutil.which("git", path=environ.get("PATH") or "")
    return known(legible(found), "PATH") if found else absent("git is not on PATH", "PATH")


def in_policy_file(data: bytes) -> RegistryValue | None:
    """The long-path setting in a Registry.pol file, or None. Raises NotAPolicyFile."""
    wanted = windows_registry.split(KEY)[1].lower()
    found = None
    for key, name, kind, value in windows_policy_file.entries(data):
        if key.lower() == wanted and name.lower() == NAME.lower():
            # policies write numbers in the machine's own byte order, little-endian on every Windows
            content: Any = int.from_bytes(value[:4], "little") if kind == 4 else value
            found = windows_registry.plain(KEY, NAME, kind, content)
    return found


@dataclass
class FreshProcess:
    """A process of the target that was started to tell what it gets, or the fact why there is none."""

    temp: str = ""
    folder: str = ""
    child: subprocess.Popen[bytes] | None = None
    refused: Fact[Any] = field(default_factory=Fact)

    def answer(self, timeout_s: float) -> tuple[Fact[bool], Fact[PathProof]]:
        """``(RtlAreLongPathsEnabled, proof by a real path)``; waits at most ``timeout_s`` seconds. Never raises."""
        if self.child is None:
            return msgspec.structs.replace(self.refused), msgspec.structs.replace(self.refused)
        try:
            ended = finish_child(self.child, timeout_s)
        finally:
            # the process removes what it made and the folder; if it was killed meanwhile, this does
            remove(self.folder)
        return understand(ended, self.temp)


def start_fresh_process(ctx: Context) -> FreshProcess:
    """Start a process of the target that tries a long path. Never raises.

    Windows reads the setting once a process, and it needs the consent of the program's own manifest: neither this
    process nor the registry can answer for the target. Nothing is left behind in the temporary folder.
    """
    chosen = ctx.snapshot.target.chosen.maybe()
    start = ctx.snapshot.target.start.maybe()
    if chosen is None or start is None or not start.ok:
        reason = "the target interpreter does not start" if start and not start.ok else "no target interpreter is known"
        return FreshProcess(refused=not_run(reason, PROOF_SOURCE))
    environ = ctx.request.environ
    folder = ""
    try:
        temp = environ.get("TEMP") or environ.get("TMP") or tempfile.gettempdir()
        folder = tempfile.mkdtemp(prefix="hfdoctor-", dir=temp)
        # -I and -S: neither settings nor start-up files have a say in what Windows grants to the program
        child = start_child([chosen.python, "-I", "-S", "-c", CHILD, folder], environ=environ, cwd=temp)
    except (OSError, ValueError) as error:
        if folder:
            remove(folder)
        return FreshProcess(refused=from_error(error, PROOF_SOURCE))
    return FreshProcess(temp, folder, child)


def remove(folder: str) -> None:
    """Remove ``folder`` with everything in it, however long the names are and whatever the setting."""
    extended = "\\\\?\\" + folder if os.name == "nt" and folder[1:2] == ":" else folder
    shutil.rmtree(extended, ignore_errors=True)


def understand(ended: Ended, temp: str) -> tuple[Fact[bool], Fact[PathProof]]:
    """The two facts in what the child said; ``temp`` is the folder below which it tried."""
    if ended.timed_out:
        late: Fact[Any] = timed_out("the process did not end in time", PROOF_SOURCE)
        return late, timed_out("the process did not end in time", PROOF_SOURCE)
    text = ended.stdout.decode("utf-8", "replace").strip()
    try:
        said = json.loads(text.splitlines()[-1])
        assert isinstance(said, dict)
    except (ValueError, IndexError, AssertionError):
        tail = ended.stderr.decode("utf-8", "replace").strip()[-200:]
        reason = legible(f"exit code {ended.code}, said {text[:100]!r}: {tail}")
        return failed(reason, PROOF_SOURCE), failed(reason, PROOF_SOURCE)
    process: Fact[bool]
    if "enabled" in said:
        process = known(bool(said["enabled"]), f"RtlAreLongPathsEnabled in {PROOF_SOURCE}")
    else:
        process = failed(str(said.get("enabled_error", "no answer"))[:300], f"RtlAreLongPathsEnabled in {PROOF_SOURCE}")
    error, code = legible(str(said.get("error", "")))[:300], said.get("code")
    source = f"a path made and removed by {PROOF_SOURCE} below {temp}"
    length = int(said.get("length") or 0)
    if said.get("ok"):
        return process, known(PathProof(ok=True, length=length), source)
    if said.get("control") and code in TOO_LONG_CODES:
        return process, known(PathProof(ok=False, length=length, error=error, code=code), source)
    # a full disk, a read-only folder: says nothing about long paths
    return process, failed(error or "the path could not be made", source)


def _system_folder(root: Path) -> Path:
    """System32 as this process must name it: a 32-bit one is shown another folder under that name."""
    sysnative = root / "Sysnative"
    return sysnative if sysnative.is_dir() else root / "System32"
