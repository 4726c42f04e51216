"""A program that is run, as an argument list.

What a program does has no state that could be looked at. Two small files in the fix's own folder keep it instead: one
is on the disk before the program starts, the other after it ended well. So "between" means that it was started and did
not end well, or was cut short; whether it helped, the detector says on a fresh observation.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ...conditions.changes import Command
from ...facts.child import Ended, finish_child, kill_group, start_child
from ..action import Action, Difference, Needs, Progress, Refused, Seen, Workplace
from ..durable import settle, settle_folder
from ..place import own_folder

#: seconds; the longest are downloads of gigabytes over a slow line
_TIMEOUT_S = 6 * 3600.0
#: letters of what a failed program said that a person is shown
_SHOWN = 300
#: what keeps programs to what they were asked for: no colours, and no look of the hub's own for a newer release
_PLAINLY = {"NO_COLOR": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
#: a line in which a program says what is wrong: "Error: no such file", "fatal: ...", "OSError: [Errno 28] ..."
_ERROR = re.compile(r"(?:error|fatal|[\w.]+(?:Error|Exception))\b\S*:? +\S", re.IGNORECASE)


class CommandAction(Action, tag_field="kind", tag="command"):
    """``argv`` is run, with the program as an absolute path; ``back`` takes it back (empty: nothing does).

    ``folder`` and ``name`` are where the two files are kept, ``cwd`` is where the program runs.
    """

    argv: tuple[str, ...]
    back: tuple[str, ...]
    cwd: str
    folder: str
    name: str
    network: bool = False
    bytes: int = 0

    def describe(self) -> list[Difference]:
        """The command as it would be typed."""
        return [Difference("run", "", shown(self.argv))]

    def needs(self) -> Needs:
        """What was told of it; without a way back it is for good."""
        for_good = "" if self.back else f"{shown(self.argv)} cannot be undone"
        return Needs(network=self.network, disk_bytes=self.bytes, for_good=for_good)

    def stands_on(self) -> list[str]:
        """The command itself: what it changes is not known."""
        return [shown(self.argv)]

    def look(self) -> Seen:
        """Whether it was started, and whether it ended well."""
        if self._done.exists():
            return Seen("after")
        return Seen("between" if self._started.exists() else "before")

    def apply(self, progress: Progress) -> None:
        """Run the program to its end, unless it ended well already. Raises Refused with what it said if it fails."""
        if self._done.exists():
            return
        own_folder(Path(self.folder))
        _mark(self._started)
        progress(f"running {shown(self.argv)}", 0, 0)
        _run(self.argv, self.cwd)
        _mark(self._done)

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """Run the way back. Without one nothing is done, as was said beforehand (``needs().for_good``)."""
        if self.look().state == "before":
            return
        if self.back:
            progress(f"running {shown(self.back)}", 0, 0)
            _run(self.back, self.cwd)
        self.forget()

    def forget(self) -> None:
        """Nothing but the two files is kept."""
        for path in (self._done, self._started):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is kept there, too
            Path(self.folder).rmdir()

    @property
    def _started(self) -> Path:
        return Path(self.folder) / f"{self.name}.started"

    @property
    def _done(self) -> Path:
        return Path(self.folder) / f"{self.name}.done"


def prepare_command(change: Command, place: Workplace) -> CommandAction:
    """See ``registered.prepare``. The programs must be there; they are never looked for in the current folder."""
    number = hashlib.sha256("\0".join(change.argv).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return CommandAction(
        argv=_with_program(change.argv, place),
        back=_with_program(change.undo, place) if change.undo else (),
        cwd=str(place.home),
        folder=str(place.folder),
        name=f"command-{number}",
        network=change.network,
        bytes=change.bytes,
    )


def _with_program(argv: Sequence[str], place: Workplace) -> tuple[str, ...]:
    from ...facts.redaction import without_credentials

    if not argv:
        raise Refused("there is no command to run")
    if any(without_credentials(word) != word for word in argv):
        raise Refused(f"a command with a password in it is not for hfdoctor to run: {argv[0]}")
    program = argv[0]
    if not Path(program).is_absolute():
        if Path(program).name != program:
            raise Refused(f"{program} is not a program that can be found from everywhere")
        folders = place.environ.get("PATH", "").split(os.pathsep)
        search = os.pathsep.join(folder for folder in folders if Path(folder).is_absolute())
        found = shutil.which(program, path=search) if search else None
        if found is None or not Path(found).is_absolute() or Path(found).parent == place.cwd:
            raise Refused(f"{program} is not installed here, so that {shown(argv)} cannot be run")
        program = found
    elif not os.access(program, os.X_OK):
        raise Refused(f"{program} is not a program that can be run here")
    return (program, *argv[1:])


def shown(argv: Sequence[str]) -> str:
    """The command as a person types it on this system."""
    return subprocess.list2cmdline(argv) if os.name == "nt" else shlex.join(argv)


def _run(argv: Sequence[str], cwd: str) -> None:
    child = start_child(argv, environ={**os.environ, **_PLAINLY}, cwd=cwd)
    try:
        ended = finish_child(child, _TIMEOUT_S)
    except BaseException:  # Ctrl-C reaches only us: it runs in a group of its own
        kill_group(child)
        raise
    if ended.timed_out:
        raise Refused(f"{shown(argv)} was stopped after {_TIMEOUT_S / 3600:.0f} hours")
    if ended.code != 0:
        raise Refused(f"{shown(argv)} failed ({ended.signal or f'exit code {ended.code}'}): {_said(ended)}")


def _said(ended: Ended) -> str:
    """What it said was wrong, or the end of what it printed, in one line, without secrets."""
    import click

    from ...facts.redaction import without_credentials

    printed = click.unstyle((ended.stderr.strip() or ended.stdout.strip()).decode("utf-8", "replace"))
    lines = [line.strip() for line in printed.splitlines()]
    errors = [line for line in lines if _ERROR.match(line)]
    words = " ".join((errors[-1] if errors else printed).split())
    words = "".join(letter if letter.isprintable() else "?" for letter in without_credentials(words))
    return f"...{words[-_SHOWN:]}" if len(words) > _SHOWN else words or "it said nothing"


def _mark(path: Path) -> None:
    """Make an empty file that survives a power cut."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        settle(handle)
    finally:
        os.close(handle)
    settle_folder(path.parent)
