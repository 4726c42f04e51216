"""Whether an environment can be reused, and whose folder it is: stamps, ownership, one set-up at a time.

An environment is trusted only if its stamp says it was finished for exactly this checkout, this Python and these
requirements. The stamp is the last thing written, in one step: an environment whose making was killed at any moment
has none and is made anew. Only a folder that carries our mark is ever emptied.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failures import SetUpError, say

#: changes when environments made by an older version of these files must not be reused
FORMAT = 1
STAMP = "hfdoctor-setup.json"
LOCK = "hfdoctor-setup.lock"
LOG = "hfdoctor-setup.log"


@dataclass(frozen=True)
class Environment:
    """One virtual environment that the set-up makes."""

    folder: Path
    #: the base Python it is made from
    base: Path
    #: what must be the same for a finished environment to be reused: file contents and paths
    inputs: tuple[bytes, ...]
    #: the extras of the project it holds (sorted); a finished environment with more of them serves as well
    extras: tuple[str, ...] = ()
    #: false: HFDOCTOR_VENV named the folder, and what else is in it is not ours to replace
    ours_by_place: bool = True
    #: characters of the longest path inside, on Windows (measured 2026-11-22)
    longest_inside: int = 121
    #: programs without which a finished environment is not whole
    programs: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.program("python")

    def program(self, name: str) -> Path:
        """Where the environment keeps the program ``name``."""
        if os.name == "nt":
            return self.folder / "Scripts" / f"{name}.exe"
        return self.folder / "bin" / name

    def key(self) -> str:
        """What identifies a finished environment: SHA-256 over everything that it depends on."""
        from hashlib import sha256

        digest = sha256()
        for part in (str(FORMAT), os.path.realpath(self.base), sys.version, str(self.folder)):
            digest.update(os.fsencode(part) + b"\0")
        for content in self.inputs:
            digest.update(content + b"\0")
        return digest.hexdigest()

    # -- the stamp -----------------------------------------------------------------------------------------------

    def _read_stamp(self) -> dict[str, Any]:
        try:
            stamp = json.loads((self.folder / STAMP).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def write_stamp(self, *, finished: bool, made_here: bool) -> None:
        """Mark the folder as ours (``made_here``), and as finished or under construction.

        Raises OSError.
        """
        stamp = {"made_here": made_here, "key": self.key() if finished else None, "extras": list(self.extras)}
        partial = self.folder / (STAMP + ".new")
        partial.write_text(json.dumps(stamp), encoding="ascii")
        partial.replace(self.folder / STAMP)

    def finished(self) -> bool:
        """Whether the environment is complete and its interpreter still there. Opens two small files."""
        stamp = self._read_stamp()
        extras = stamp.get("extras")
        return (
            stamp.get("key") == self.key()
            and isinstance(extras, list)
            and set(self.extras) <= set(extras)
            and self._has_programs()
        )

    def made_here(self) -> bool:
        """Whether the folder carries our mark."""
        return self._read_stamp().get("made_here") is True

    def made_for_this(self) -> bool:
        """Whether it was finished for these inputs, if perhaps with fewer extras: adding to it is enough."""
        return self._read_stamp().get("key") == self.key() and self._has_programs()

    def _has_programs(self) -> bool:
        return self.has_interpreter() and all(self.program(name).is_file() for name in self.programs)

    def has_interpreter(self) -> bool:
        """Whether the interpreter and the base installation it needs exist."""
        # on POSIX python is a link to the base, so its absence shows here; on Windows it is a copy
        if not self.python.is_file():
            return False
        try:
            text = (self.folder / "pyvenv.cfg").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return False
        for line in text.splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "home":
                return Path(value.strip()).is_dir()
        return False

    # -- whose folder it is --------------------------------------------------------------------------------------

    def site_packages(self) -> list[Path]:
        """The folder of the installed packages (one, if the environment is whole)."""
        pattern = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"
        return list(self.folder.glob(pattern))

    def ownership(self) -> str:
        """``free`` (nothing there), ``ours``, ``foreign`` (a working environment somebody else made) or ``other``.

        Raises OSError when the folder cannot be listed.
        """
        try:
            names = {entry.name for entry in self.folder.iterdir()} - {LOCK, LOG, STAMP + ".new"}
        except FileNotFoundError:
            return "free"
        if not names:
            return "free"
        if self.made_here():
            return "ours"
        return "foreign" if self.has_interpreter() else "other"

    def empty(self) -> None:
        """Remove everything inside but the mark and the lock, the mark being what allows us to.

        Raises OSError.
        """
        import shutil

        def writable_again(function: Any, path: str, _: object) -> None:
            Path(path).chmod(stat.S_IRWXU)
            function(path)

        def remove_tree(path: Path) -> None:
            if sys.version_info >= (3, 12):
                shutil.rmtree(path, onexc=writable_again)
            else:
                shutil.rmtree(path, onerror=writable_again)

        for entry in sorted(self.folder.iterdir()):
            if entry.name in (STAMP, LOCK, LOG):
                continue
            if entry.is_dir() and not entry.is_symlink():
                remove_tree(entry)
            else:
                entry.unlink()


@contextlib.contextmanager
def only_one(environment: Environment) -> Iterator[int | None]:
    """Hold the environment's lock, waiting for another set-up to end; yields its file descriptor.

    The system drops the lock when its holder ends, however it ends. None: locks do not work on this file system
    (some network drives), where two set-ups at once are not kept apart. Raises OSError.
    """
    environment.folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(environment.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        said = False
        while True:
            taken = _try_lock(descriptor)
            if taken is not False:
                break
            if not said:
                say(f"hfdoctor set-up: waiting for another set-up of {environment.folder}")
                said = True
            time.sleep(0.1)
        yield descriptor if taken else None
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool | None:
    """True: taken, False: another process has it, None: this file system has no locks."""
    import errno

    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        return None
    return True


def refuse_what_is_not_ours(environment: Environment) -> None:
    """Stop before anything is touched when the folder named by HFDOCTOR_VENV holds something else.

    Raises SetUpError, OSError.
    """
    if environment.ownership() == "other" and not environment.ours_by_place:
        raise SetUpError(
            f"HFDOCTOR_VENV names {environment.folder}, which is neither empty nor a virtual environment",
            exit_code=2,
        )
