"""Touches files below folders that are known by identity, never through a link that somebody put on the way.

A place is a root's number and a path below it with forward slashes. On POSIX each folder is opened from the one above
it without following links; on Windows, which has no such calls in Python, the way is looked at before each change.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Sequence

from ..action import Refused
from ..path_text import long_path
from .target import Root

_POSIX = os.name == "posix"
#: folders that are held open at once; a process may have 256 files open on macOS
_MOST_OPEN = 64


class Tree:
    """``roots`` by their numbers; one that is another folder by now is refused. Close it after use (``with``)."""

    def __init__(self, roots: Sequence[Root]) -> None:
        self.roots = list(roots)
        self._open: dict[tuple[int, str], int] = {}
        self._looked: set[tuple[int, str]] = set()
        for root in self.roots:
            _same_folder(root)

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_all()

    def _close_all(self) -> None:
        for handle in self._open.values():
            os.close(handle)
        self._open.clear()
        self._looked.clear()

    def _make_room(self) -> None:
        """Before an operation, never within one: it may need two handles at once."""
        if len(self._open) >= _MOST_OPEN:
            self._close_all()

    def path(self, root: int, path: str) -> str:
        """The whole path, as the system's calls take it (however long it is)."""
        base = self.roots[root].path
        whole = os.path.join(base, *path.split("/")) if path else base
        return long_path(whole)

    def stat(self, root: int, path: str) -> os.stat_result | None:
        """What is there, itself if it is a link; None for nothing."""
        self._make_room()
        try:
            if not _POSIX:
                return os.lstat(self.path(root, path))
            folder, name = _split(path)
            if not name:
                return os.stat(self._folder(root, ""))
            return os.stat(name, dir_fd=self._folder(root, folder), follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def rename(self, root: int, path: str, to_root: int, to_path: str) -> None:
        """Rename; what is at the new place already is never written over."""
        if self.stat(to_root, to_path) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self.path(to_root, to_path))
        try:
            if not _POSIX:
                self._look_at_way(root, _split(path)[0])
                self._look_at_way(to_root, _split(to_path)[0])
                os.rename(self.path(root, path), self.path(to_root, to_path))
                return
            (folder, name), (to_folder, to_name) = _split(path), _split(to_path)
            target = self._folder(to_root, to_folder)
            os.rename(name, to_name, src_dir_fd=self._folder(root, folder), dst_dir_fd=target)
        except OSError as error:
            raise self._told(error, root, path) from None

    def mkdir(self, root: int, path: str, mode: int = 0o700) -> None:
        """Make a folder; one that is there is fine, a link in its place is not."""
        found = self.stat(root, path)
        if found is not None:
            if not stat.S_ISDIR(found.st_mode):
                raise Refused(f"{self.path(root, path)} is not a folder: nothing is written there")
            return
        folder, name = _split(path)
        try:
            if not _POSIX:
                self._look_at_way(root, folder)
                os.mkdir(self.path(root, path))
                return
            parent = self._folder(root, folder)
            os.mkdir(name, mode, dir_fd=parent)
            if stat.S_IMODE(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode) != mode:
                os.chmod(name, mode, dir_fd=parent)  # whatever the umask is
        except OSError as error:
            raise self._told(error, root, path) from None

    def mkdirs(self, root: int, path: str, mode: int = 0o700) -> None:
        """Make a folder and those above it."""
        if path and self.stat(root, path) is None:
            self.mkdirs(root, _split(path)[0], mode)
        if path:
            self.mkdir(root, path, mode)

    def rmdir(self, root: int, path: str) -> bool:
        """Take an empty folder away; False if there is none, or something is in it."""
        self._forget(root, path)
        folder, name = _split(path)
        try:
            if not _POSIX:
                self._look_at_way(root, folder)
                os.rmdir(self.path(root, path))
            else:
                os.rmdir(name, dir_fd=self._folder(root, folder))
            return True
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                return False
            if not _POSIX and self.names(root, path):
                return False
            raise self._told(error, root, path) from None

    def names(self, root: int, path: str) -> list[str]:
        """The names in a folder, sorted; none if it is not there."""
        self._make_room()
        try:
            return sorted(os.listdir(self._folder(root, path) if _POSIX else self.path(root, path)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def set_folder(self, root: int, path: str, mode: int, mtime_ns: int) -> None:
        """Give a folder its mode and time back. What cannot be set is left: it is no file's content."""
        with contextlib.suppress(OSError):
            if _POSIX:
                handle = self._folder(root, path)
                if stat.S_IMODE(os.fstat(handle).st_mode) != mode:
                    os.fchmod(handle, mode)
                os.utime(handle, ns=(os.fstat(handle).st_atime_ns, mtime_ns))
            else:
                whole = self.path(root, path)
                os.utime(whole, ns=(os.stat(whole).st_atime_ns, mtime_ns))

    def _folder(self, root: int, path: str) -> int:
        """A handle of a folder; raises Refused where a link stands on the way."""
        handle = self._open.get((root, path))
        if handle is not None:
            return handle
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        if not path:
            handle = os.open(self.roots[root].path, flags)
            found = os.fstat(handle)
            if (found.st_dev, found.st_ino) != (self.roots[root].device, self.roots[root].inode):
                os.close(handle)
                raise _swapped(self.roots[root])
        else:
            folder, name = _split(path)
            above = self._folder(root, folder)
            try:
                handle = os.open(name, flags, dir_fd=above)
            except OSError as error:
                found_there = self.stat(root, path)
                if found_there is not None and stat.S_ISLNK(found_there.st_mode):
                    raise Refused(f"{self.path(root, path)} is a link: hfdoctor changes nothing behind it") from None
                raise self._told(error, root, path) from None
        self._open[root, path] = handle
        return handle

    def _forget(self, root: int, path: str) -> None:
        gone = [key for key in self._open if key[0] == root and (key[1] == path or key[1].startswith(path + "/"))]
        for key in gone:
            os.close(self._open.pop(key))
        self._looked = {key for key in self._looked if not (key[0] == root and key[1].startswith(path))}

    def _look_at_way(self, root: int, folder: str) -> None:
        """On Windows: no folder between the root and this one may be a link or a junction."""
        if (root, folder) in self._looked:
            return
        while folder:
            whole = self.path(root, folder)
            found = os.lstat(whole)
            if getattr(found, "st_reparse_tag", 0) or stat.S_ISLNK(found.st_mode):
                raise Refused(f"{whole} is a link: hfdoctor changes nothing behind it")
            self._looked.add((root, folder))
            folder = _split(folder)[0]

    def _told(self, error: OSError, root: int, path: str) -> OSError | Refused:
        """The error with the whole path in it; what is in use is said in words."""
        whole = self.path(root, path)
        if getattr(error, "winerror", 0) in (5, 32, 33):
            return Refused(f"{whole} is in use by another program: close what runs from this environment, then again")
        if error.errno == errno.EXDEV:
            return Refused(f"{whole} lies on another volume than the rest of the environment: hfdoctor leaves it alone")
        return type(error)(error.errno, error.strerror, whole)


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _same_folder(root: Root) -> None:
    try:
        found = os.stat(root.path) if not _POSIX else os.lstat(root.path)
    except OSError as error:
        raise Refused(f"{root.path} cannot be read any more: {error.strerror or error}") from None
    if (found.st_dev, found.st_ino) != (root.device, root.inode):
        raise _swapped(root)


def _swapped(root: Root) -> Refused:
    return Refused(f"{root.path} is not the folder that it was: hfdoctor leaves it alone")
