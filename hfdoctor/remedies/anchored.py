"""Folders that are held while something is done in them, so that no link swapped in leads elsewhere.

On Linux and macOS a folder is held by its handle, and names are looked up in it (``dir_fd``), never by their whole
path again. Windows' Python has no such handles: there each step first looks whether the path still is the same folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType

import msgspec

from .action import Refused
from .durable import settle
from .path_text import long_path, shown

#: a reparse point that stands for another place (a link, a junction), unlike OneDrive's files
_NAME_SURROGATE = 0x20000000


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """Which file or folder it is, whatever it is called: its volume and its number there."""

    device: int
    number: int


def identity(found: os.stat_result) -> Identity:
    """Of what ``lstat`` found."""
    return Identity(found.st_dev, found.st_ino)


def is_link(found: os.stat_result) -> bool:
    """Whether it leads to another place: a symbolic link, or a junction on Windows."""
    return stat.S_ISLNK(found.st_mode) or bool(getattr(found, "st_reparse_tag", 0) & _NAME_SURROGATE)


def is_folder(found: os.stat_result) -> bool:
    """Whether it is a real folder."""
    return stat.S_ISDIR(found.st_mode) and not is_link(found)


class Folder:
    """One open folder. Names given to its methods are single names in it; links among them are never followed."""

    def __init__(self, path: str, handle: int | None, who: Identity) -> None:
        self.path = path
        self.who = who
        self._handle = handle

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _at(self, name: str) -> str:
        if (
            name in ("", ".", "..")
            or "/" in name
            or "\0" in name
            or (os.name == "nt" and ("\\" in name or ":" in name))
        ):
            raise Refused(f"{shown(name)!r} is not the name of a file")
        if os.name != "nt":
            return name
        self._still()
        return long_path(os.path.join(self.path, name))

    def _still(self) -> None:
        now = os.lstat(long_path(self.path))
        if is_link(now) or identity(now) != self.who:
            raise Refused(f"{shown(self.path)} was replaced while hfdoctor worked in it")

    def of(self, name: str) -> str:
        """The path of ``name``, for words and for other programs."""
        return os.path.join(self.path, name)

    def itself(self) -> os.stat_result:
        """``lstat`` of the folder."""
        return os.fstat(self._handle) if self._handle is not None else os.lstat(long_path(self.path))

    def names(self) -> list[str]:
        """What is in it. Raises PermissionError where it may not be listed, OSError."""
        try:
            if self._handle is None:
                self._still()
                return os.listdir(long_path(self.path))
            return os.listdir(self._handle)
        except OSError as error:
            if error.errno == errno.EBADF:  # such a folder is held by a handle that opens nothing
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self.path) from None
            error.filename = self.path  # not the number of the handle
            raise

    def look(self, name: str) -> os.stat_result:
        """``lstat`` of what is called so. Raises FileNotFoundError, OSError."""
        with self._named(name):
            return os.lstat(self._at(name), dir_fd=self._handle)

    def find(self, name: str) -> os.stat_result | None:
        """``lstat`` of what is called so, or None."""
        try:
            return self.look(name)
        except FileNotFoundError:
            return None

    def enter(self, name: str) -> Folder:
        """The folder called so; a link is not entered. Raises OSError, Refused."""
        if os.name == "nt":
            found = self.look(name)
            if not is_folder(found):
                raise Refused(f"{shown(self.of(name))} is not a folder any more")
            return Folder(self.of(name), None, identity(found))
        return _opened(self.of(name), self._at(name), self._handle)

    def read(self, name: str) -> int:
        """A handle to read the file called so. Raises OSError."""
        # without O_NONBLOCK a pipe that was put there would keep us waiting for ever
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with self._named(name):
            return os.open(self._at(name), flags | getattr(os, "O_CLOEXEC", 0), dir_fd=self._handle)

    def create(self, name: str) -> int:
        """A handle to write a new file, which nobody else can read yet. Raises FileExistsError, OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        with self._named(name):
            return os.open(self._at(name), flags | getattr(os, "O_CLOEXEC", 0), 0o600, dir_fd=self._handle)

    def mkdir(self, name: str, mode: int = 0o700) -> None:
        """Make a folder."""
        with self._named(name):
            os.mkdir(self._at(name), mode, dir_fd=self._handle)

    def readlink(self, name: str) -> str:
        """The text of a symbolic link."""
        with self._named(name):
            return os.readlink(self._at(name), dir_fd=self._handle)

    def symlink(self, text: str, name: str, *, folder: bool) -> None:
        """Make a symbolic link; Windows must know whether to a ``folder``."""
        with self._named(name):
            os.symlink(text, self._at(name), target_is_directory=folder, dir_fd=self._handle)

    def link(self, old: Folder, old_name: str, name: str) -> None:
        """A second name here for a file in ``old``."""
        with self._named(name):
            if os.name == "nt":
                os.link(old._at(old_name), self._at(name))
            else:
                os.link(
                    old._at(old_name),
                    self._at(name),
                    src_dir_fd=old._handle,
                    dst_dir_fd=self._handle,
                    follow_symlinks=False,
                )

    def rename(self, name: str, into: Folder, new: str, *, over_empty: bool = False) -> None:
        """Give ``name`` another name, in ``into``. Nothing is replaced, save an empty folder with ``over_empty``.

        Raises FileExistsError, OSError.
        """
        there = into.find(new)
        same = there is not None and identity(there) == identity(self.look(name))  # another spelling of one name
        if there is not None and not same:
            if not (over_empty and is_folder(there) and into.empty(new)):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), into.of(new))
            if os.name == "nt" or not is_folder(self.look(name)):
                into.rmdir(new)
        with self._named(name):
            os.rename(self._at(name), into._at(new), src_dir_fd=self._handle, dst_dir_fd=into._handle)

    def empty(self, name: str) -> bool:
        """Whether the folder called so has nothing in it."""
        with self.enter(name) as inner:
            return not inner.names()

    def unlink(self, name: str) -> None:
        """Remove a file or a link."""
        with self._named(name):
            os.unlink(self._at(name), dir_fd=self._handle)

    def rmdir(self, name: str) -> None:
        """Remove an empty folder (on Windows a junction, too: not what it leads to)."""
        with self._named(name):
            os.rmdir(self._at(name), dir_fd=self._handle)

    def set_mode(self, name: str, mode: int) -> None:
        """Change the rights of a file or folder; a link's never."""
        if os.name == "nt":
            with self._named(name):
                os.chmod(self._at(name), mode)
        elif sys.platform == "linux":  # it has no chmod that leaves links alone, but handles that open nothing
            with self._named(name):
                handle = os.open(self._at(name), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._handle)
                try:
                    if is_link(os.fstat(handle)):
                        raise Refused(f"{shown(self.of(name))} was replaced by a link while hfdoctor worked on it")
                    os.chmod(f"/proc/self/fd/{handle}", mode)
                finally:
                    os.close(handle)
        else:
            with self._named(name):
                os.chmod(self._at(name), mode, dir_fd=self._handle, follow_symlinks=False)

    def set_time(self, name: str, found: os.stat_result) -> None:
        """Give it the times of ``found``; not to a link on Windows, which has no way."""
        times = (found.st_atime_ns, found.st_mtime_ns)
        with self._named(name):
            if os.name != "nt":
                os.utime(self._at(name), ns=times, dir_fd=self._handle, follow_symlinks=False)
            elif not is_link(found):
                os.utime(self._at(name), ns=times)

    def set_owner(self, name: str, found: os.stat_result) -> None:
        """Give it the owner of ``found`` (only root can), and its group where that is allowed. Never on Windows."""
        if sys.platform == "win32":
            return
        now = self.look(name)
        if now.st_uid != found.st_uid:
            with self._named(name):
                os.chown(self._at(name), found.st_uid, found.st_gid, dir_fd=self._handle, follow_symlinks=False)
        elif now.st_gid != found.st_gid:
            with contextlib.suppress(OSError):
                os.chown(self._at(name), -1, found.st_gid, dir_fd=self._handle, follow_symlinks=False)

    def sync_volume(self) -> None:
        """Wait until all that was written on its volume is on the disk. Not on Windows; raises OSError."""
        if self._handle is None:
            return
        if sys.platform != "linux":
            settle(self._handle)  # what was handed to the drive file by file, it now keeps
            return
        import ctypes

        if ctypes.CDLL(None, use_errno=True).syncfs(self._handle) == 0:
            return
        if ctypes.get_errno() != errno.EBADF:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), self.path)
        os.sync()  # a folder that may not be listed is held by a handle that opens nothing

    def sync(self) -> None:
        """Wait until the names in it are on the disk, where the system can do that."""
        if self._handle is not None:
            with contextlib.suppress(OSError):  # some file systems cannot, and an O_PATH handle is none for this
                os.fsync(self._handle)

    @contextlib.contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Errors that name the whole path."""
        try:
            yield
        except OSError as error:
            error.filename, error.filename2 = self.of(name), None
            raise


def open_folder(path: str, expected: Identity | None = None) -> Folder:
    """The folder at the absolute ``path``, none of whose parts may be a link.

    Raises FileNotFoundError, OSError; Refused if there is a link, or another folder than the ``expected`` one.
    """
    folder = _windows_folder(path) if os.name == "nt" else _posix_folder(path)
    if expected is not None and folder.who != expected:
        folder.close()
        raise Refused(f"{shown(path)} is not the folder any more that it was when this was planned: plan it again")
    return folder


def _windows_folder(path: str) -> Folder:
    drive, tail = os.path.splitdrive(path)
    at = drive + "\\"
    found = os.lstat(long_path(at))
    for part in tail.replace("/", "\\").split("\\"):
        if part:
            at = os.path.join(at, part)
            found = os.lstat(long_path(at))
            _no_link(at, found)
    return Folder(path, None, identity(found))


def _posix_folder(path: str) -> Folder:
    folder = _opened("/", "/", None)
    for part in path.split("/"):
        if not part:
            continue
        try:
            inner = _opened(folder.of(part), folder._at(part), folder._handle)
        finally:
            folder.close()
        folder = inner
    return folder


def _opened(path: str, name: str, parent: int | None) -> Folder:
    flags = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        try:
            handle = os.open(name, os.O_RDONLY | flags, dir_fd=parent)
        except PermissionError:
            if sys.platform != "linux":
                raise
            handle = os.open(name, os.O_PATH | flags, dir_fd=parent)  # a folder that may be passed but not listed
    except OSError as error:
        error.filename = path
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            _no_link(path, os.lstat(name, dir_fd=parent))
        raise
    return Folder(path, handle, identity(os.fstat(handle)))


def _no_link(path: str, found: os.stat_result) -> None:
    if is_link(found):
        raise Refused(f"{shown(path)} is a link now: hfdoctor follows none where it changes something")
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


def make_way(start: Folder, names: Sequence[str], modes: Sequence[int]) -> Folder:
    """The folder at ``names`` below ``start``, with those made that are missing, each with its mode.

    ``start`` is closed. Raises OSError, Refused at a link.
    """
    at = start
    for name, mode in zip(names, modes, strict=True):
        try:
            try:
                inner = at.enter(name)
            except FileNotFoundError:
                at.mkdir(name)
                if mode != 0o700:
                    at.set_mode(name, mode)
                at.sync()
                inner = at.enter(name)
        finally:
            at.close()
        at = inner
    return at


def chain_of(folder: str) -> list[str]:
    """The absolute ``folder`` and all above it, topmost first."""
    found = [folder]
    while os.path.dirname(found[-1]) != found[-1]:
        found.append(os.path.dirname(found[-1]))
    return found[::-1]


def modes_of(folder: str) -> list[int]:
    """The rights of the folders of ``chain_of`` as far down as they exist. Raises OSError."""
    modes = []
    for at in chain_of(folder):
        try:
            modes.append(stat.S_IMODE(os.lstat(long_path(at)).st_mode))
        except FileNotFoundError:
            break
    return modes


def open_way(folder: str, modes: Sequence[int]) -> Folder:
    """As ``open_folder``, but what is missing is made, with ``modes`` for the folders of ``chain_of``."""
    top, *below = chain_of(folder)
    return make_way(open_folder(top), [os.path.basename(at) for at in below], modes[1:])
