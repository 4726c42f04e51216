"""A tree brought to another volume: copied, checked, switched, and only then removed where it was.

Killed at any moment, what is on the disks together with one small file of marks says how far it came:

    mark       on the disks                                            how it goes on / how it is cancelled
    -          source                                                  -
    copying    source, perhaps a copy under a private name             copied anew / the copy is removed
    copied     source, the whole copy under one of its two names       switched / the copy is removed
    leaving    destination; source under one of its two names          renamed and compared / named as before
    left       destination, perhaps what is left of the source         removed / (too late: brought back instead)
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path
from typing import Literal

import msgspec

from .action import Progress, Refused
from .anchored import Folder, Identity, identity, open_folder, open_way
from .copying import Copy, looks_of
from .durable import write_whole
from .path_text import long_path, shown
from .place import own_folder
from .quarantine import rename_words
from .trees import Size, remove_tree

Phase = Literal["", "copying", "copied", "leaving", "left"]


class Mark(msgspec.Struct):
    """How far it came.

    ``copy`` is which folder or file the whole copy is, whatever its name; ``copied`` and ``original`` are what
    ``looks_of`` says of it and of the source: what does not look so any more was changed by somebody else.
    """

    phase: Phase = ""
    copy: Identity = Identity(0, 0)
    copied: str = ""
    original: str = ""

    def at(self, phase: Phase) -> Mark:
        """The same, further on."""
        return Mark(phase, self.copy, self.copied, self.original)


class Transfer:
    """Brings ``source`` to ``destination``, both absolute and without links above their last names.

    ``marks`` is the file of marks; ``token`` makes its private names; ``modes`` are those of the folders above the
    destination, topmost (the root) first, for the ones that are missing.
    """

    def __init__(
        self, source: str, destination: str, marks: str, token: str, modes: list[int], *, over_empty: bool = False
    ) -> None:
        self.source, self.destination, self.marks = source, destination, marks
        self.modes = modes
        self.over_empty = over_empty
        own = hashlib.blake2b(os.fsencode(f"{source}\0{destination}"), digest_size=4).hexdigest()
        self.copy_name = f".hfdoctor-{token}-{own}-copy"
        self.old_name = f".hfdoctor-{token}-{own}-old"

    # what is there

    @property
    def mark(self) -> Mark:
        """The last mark. Raises OSError; Refused if it is none of ours."""
        try:
            with open(long_path(self.marks), "rb") as stream:
                return msgspec.json.decode(stream.read(), type=Mark)
        except FileNotFoundError:
            return Mark()
        except msgspec.MsgspecError:
            raise Refused(f"{shown(self.marks)} is damaged: hfdoctor cannot tell how far the move came") from None

    @property
    def copy(self) -> str:
        """Where the copy is made."""
        return os.path.join(os.path.dirname(self.destination), self.copy_name)

    @property
    def old(self) -> str:
        """Where the source waits to be removed."""
        return os.path.join(os.path.dirname(self.source), self.old_name)

    def arrived(self, mark: Mark) -> bool:
        """Whether the destination is our copy."""
        try:
            return identity(os.lstat(long_path(self.destination))).number == mark.copy.number
        except (FileNotFoundError, NotADirectoryError):
            return False

    # forth

    def run(self, progress: Progress, size: Size) -> None:
        """Do it, or go on with it; ``size`` is about how much it is.

        Raises OSError, Refused; ``cancel`` then brings everything back, unless the mark is "left".
        """
        mark = self.run_until_leaving(progress, size)
        if mark.phase == "leaving":
            self._leave(mark)
            mark = self._write(mark.at("left"))
        self.remove_old(progress)

    def run_until_leaving(self, progress: Progress, size: Size) -> Mark:
        """Do it up to that mark, if it is not further already. Raises as ``run``."""
        mark = self.mark
        if mark.phase in ("", "copying"):
            mark = self._copied(progress, size)
        if mark.phase == "copied":
            self._switch(mark)
            mark = self._write(mark.at("leaving"))
        return mark

    def drop_part(self) -> None:
        """Remove a copy that was not finished, and its room with it. Raises OSError, Refused."""
        if self.mark.phase == "copying":
            with contextlib.suppress(FileNotFoundError), self._above(self.destination) as into:
                if into.find(self.copy_name) is not None:
                    remove_tree(into, self.copy_name)

    def _copied(self, progress: Progress, size: Size) -> Mark:
        self.drop_part()
        self._write(Mark("copying"))
        with self._above(self.source) as above, self._way() as into:
            copy = Copy(above, os.path.basename(self.source), into, self.copy_name, size.bytes, progress)
            try:
                copy.make()
            except OSError as error:
                raise _full(error, into.path) from None
            copied = copy.verify()
            copy.refuse_change(above, os.path.basename(self.source))
            return self._write(Mark("copied", identity(into.look(self.copy_name)), copied, copy.original))

    def _switch(self, mark: Mark) -> None:
        with self._above(self.destination) as into:
            if into.find(self.copy_name) is not None:
                try:
                    into.rename(self.copy_name, into, os.path.basename(self.destination), over_empty=self.over_empty)
                except FileExistsError:
                    raise Refused(f"something new stands at {shown(self.destination)}: nothing was moved") from None
                into.sync()
        if not self.arrived(mark):
            raise Refused(f"{shown(self.destination)} was replaced while hfdoctor worked on it")

    def _leave(self, mark: Mark) -> None:
        with self._above(self.source) as above:
            if above.find(self.old_name) is None:
                try:
                    above.rename(os.path.basename(self.source), above, self.old_name)
                except OSError as error:
                    raise Refused(rename_words(error, self.source)) from None
                above.sync()
            # what a program did between the comparison and the renaming
            if looks_of(above, self.old_name) != mark.original:
                raise Refused(f"something in {shown(self.source)} changed while it was moved: end what uses it")

    def remove_old(self, progress: Progress) -> None:
        """Remove what waits to be removed. Raises OSError, Refused."""
        with contextlib.suppress(FileNotFoundError), self._above(self.source) as above:
            if above.find(self.old_name) is not None:
                progress(f"removing {shown(self.source)}", 0, 0)
                remove_tree(above, self.old_name)
                above.sync()

    # back, before it is too late

    def cancel(self, *, force: bool = False) -> None:
        """Bring everything back from any mark but "left". Raises OSError, Refused.

        Refused also where somebody changed the copy since it stands at the destination; ``force`` leaves it there.
        """
        mark = self.mark
        if not mark.phase:
            return
        if mark.phase == "leaving":
            with self._above(self.source) as above:
                if above.find(self.old_name) is not None:
                    try:
                        above.rename(self.old_name, above, os.path.basename(self.source))
                    except FileExistsError:
                        raise Refused(f"something new stands at {shown(self.source)}: move it away first") from None
                    above.sync()
            mark = self._write(mark.at("copied"))
        try:
            into = self._above(self.destination)
        except (FileNotFoundError, NotADirectoryError):
            return
        with into:
            if mark.phase == "copied" and self.arrived(mark):
                if self.changed(mark) and not force:
                    raise Refused(f"{shown(self.destination)} was changed since it was copied there")
                if not self.changed(mark):
                    into.rename(os.path.basename(self.destination), into, self.copy_name)
                    into.sync()
            if into.find(self.copy_name) is not None:
                self._write(mark.at("copying"))
                remove_tree(into, self.copy_name)
                into.sync()

    def changed(self, mark: Mark) -> bool:
        """Whether somebody changed our copy since it stands at the destination."""
        with self._above(self.destination) as into:
            return looks_of(into, os.path.basename(self.destination)) != mark.copied

    def unmark(self) -> None:
        """Forget how far it came: nothing of it is left."""
        for name in (f"{self.marks}.new", self.marks):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(long_path(name))

    # pieces

    def _above(self, path: str) -> Folder:
        return open_folder(os.path.dirname(path))

    def _way(self) -> Folder:
        return open_way(os.path.dirname(self.destination), self.modes)

    def _write(self, mark: Mark) -> Mark:
        own_folder(Path(self.marks).parent)
        write_whole(Path(long_path(self.marks)), msgspec.json.encode(mark))
        return mark


def _full(error: OSError, folder: str) -> OSError | Refused:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refused(f"the volume of {shown(folder)} became full while the copy was made: nothing was moved")
    return error
