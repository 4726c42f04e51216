"""An environment variable of the person: a line in their shell's start-up file, elsewhere than on Windows."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...conditions.changes import VariableChange
from .. import own_file, shell_block
from ..action import Action, Difference, Needs, NothingToDo, Progress, Refused, Seen, Workplace, plain
from ..shell_files import StartFile, start_file

if TYPE_CHECKING:
    from .variable_windows import WindowsVariableAction

WINDOWS = os.name == "nt"

#: lists of folders: hfdoctor adds nothing to them, and takes none away whole ...
LISTS = frozenset({"PATH", "MANPATH", "CDPATH", "FPATH", "INFOPATH", "PKG_CONFIG_PATH", "XDG_DATA_DIRS"})
#: ... but for these, which nothing but a mistake or an old habit sets for good
LISTS_THAT_MAY_GO = frozenset(
    {"PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"}
)
#: what the system itself, or the shell, lives by
OF_THE_SYSTEM = frozenset(
    {"HOME", "SHELL", "USER", "LOGNAME", "IFS", "ENV", "BASH_ENV", "ZDOTDIR", "TERM", "PWD", "SHLVL"}
)
#: schedulers and containers set these for one job: hfdoctor takes them away only where the person set them for good
_OF_ONE_JOB = "_VISIBLE_DEVICES"
#: a line that hands the shell over to another one: what stands after it is never read
_HANDS_OVER = re.compile(
    rb"(?m)^(?!\s*alias\b)(?:[^#\n]*(?:;|&&|\|\||\bthen|\bdo|\belse))?\s*exec\s+(?:-\w+\s+)*\S*\b(?:bash|zsh|fish|nu|xonsh)\b"
)
#: seconds; a shell reads one file without running it
_TIMEOUT_S = 5.0


class _NotForGood(Refused):
    """No start-up file sets it, so that there is no line to add either."""


class VariableAction(Action, tag_field="kind", tag="variable"):
    """One line about ``name`` in hfdoctor's block in ``file``.

    ``file`` is the real one; ``shown`` is how a person names it. ``line`` is the new line, ``said`` what the block
    said before. ``new`` and ``old`` are the variable's values, None where it is not set; ``old`` is what the
    person's environment had, without credentials. ``partial`` is the private name of the file while it is written.
    ``folders`` are made for it, the outermost first.
    """

    name: str
    new: str | None
    old: str | None
    file: str
    shown: str
    again: str
    line: str
    said: str | None
    partial: str
    folders: tuple[str, ...] = ()
    #: what a login shell reads instead (over ssh, say), where that does not go on to ``file``
    passed_over_by: str = ""
    #: what a person does to have the file read
    next_read: str = "open a new terminal"

    def describe(self) -> list[Difference]:
        """The value, and the line in the file."""
        return [
            Difference(f"environment variable {self.name}", plain(self.old), plain(self.new)),
            Difference(self.shown, self._words(self.said), self.line),
        ]

    def needs(self) -> Needs:
        """Nothing: it is the person's own file."""
        return Needs()

    def stands_on(self) -> list[str]:
        """The variable: each has a line of its own in the file."""
        return [f"environment variable {self.name}"]

    def look(self) -> Seen:
        """What the block says now."""
        folder, name = os.path.split(self.file)
        said: str | None = None
        partial = False
        try:
            with own_file.held_folder(folder) as held:
                content = own_file.read(held, name)
                partial = _exists(held, self.partial)
            if content is not None:
                said = _text(shell_block.line_about(content.data, self.name))
        except FileNotFoundError:
            pass  # the folder is not there: neither is the line
        except (Refused, OSError, shell_block.Damaged) as error:
            return Seen("other", [Difference(self.shown, self.line, _why(error))])
        if said == self.line:
            return Seen("after")
        if said == self.said:
            return Seen("between" if partial or self._half_made() else "before")
        return Seen("other", [Difference(f"{self.name} in {self.shown}", self.line, self._words(said))])

    def apply(self, progress: Progress) -> None:
        """Write the file anew with the line in it."""
        self._write(self.line, self.folders)

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """Take the line out, or put back what the block said before; everything else in the file stays."""
        seen = self.look()
        if seen.state == "before":
            return
        if seen.state == "other" and not force:
            raise Refused("; ".join(f"{one.what} is now {one.new}" for one in seen.shows))
        self._write(self.said, ())
        for folder in reversed(self.folders):
            with contextlib.suppress(OSError):  # not empty: others' files are in it
                Path(folder).rmdir()

    def environ_after(self, environ: Mapping[str, str]) -> dict[str, str]:
        """With the variable as the line says."""
        after = {name: value for name, value in environ.items() if name != self.name}
        if self.new is not None:
            after[self.name] = self.new
        return after

    def still_to_do(self, *, undone: bool = False) -> list[str]:
        """Programs that run already keep the value they were started with."""
        if undone:
            return [f"{self.next_read}, and start editors and notebook servers anew from there"]
        words = [f"{self.next_read}, or type: {self.again}"]
        if self.passed_over_by:
            words.append(
                f"for logins over ssh add the line {self.again} to {self.passed_over_by}, which does without it"
            )
        return [*words, "start editors and notebook servers anew from that terminal"]

    def _words(self, said: str | None) -> str:
        return f"no line about {self.name}" if said is None else said

    def _half_made(self) -> bool:
        """Whether a dead process made folders for the file and nothing in them."""
        return not os.path.lexists(self.file) and any(Path(folder).is_dir() for folder in self.folders)

    def _write(self, line: str | None, make: tuple[str, ...]) -> None:
        folder, name = os.path.split(self.file)
        try:
            with own_file.held_folder(folder, make) as held:
                content = own_file.read(held, name)
                data = content.data if content else None
                edited = shell_block.with_line(
                    data, self.name, None if line is None else line.encode(), len(self.folders)
                )
                if edited.data is None:
                    if content is not None:
                        own_file.remove(held, name, content)
                elif edited.data != data:
                    own_file.replace(held, name, content, edited.data, self.partial)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.partial, dir_fd=held)
        except shell_block.Damaged:
            raise Refused(_damaged(self.shown)) from None
        except FileNotFoundError:
            if line is not None:
                raise
            return  # its folder is gone, and the line with it
        if edited.data is None:
            with contextlib.suppress(OSError):  # not empty: others' files are in it
                for made in [Path(self.file), *Path(self.file).parents][1 : edited.folders + 1]:
                    made.rmdir()


def prepare_variable(change: VariableChange, place: Workplace) -> VariableAction | WindowsVariableAction:
    """See ``registered.prepare``. Changes of secrets and of lists of folders are refused: they are a person's."""
    _refuse_secrets(change)
    if WINDOWS:
        from .variable_windows import prepare_windows_variable

        return prepare_windows_variable(change, place)
    _refuse_what_is_the_persons(change)
    system = "macos" if sys.platform == "darwin" else "linux"
    start = start_file(change.name, place.environ, place.home, system)
    line = start.line(change.name, change.value)
    try:
        return _prepared(change, place, start, line)
    except shell_block.Damaged:
        raise Refused(f"{_damaged(str(start.path))}; then add: {line}") from None
    except _NotForGood:
        raise
    except Refused as refused:
        raise Refused(f"{refused}; add this line to {start.path} yourself: {line}") from None
    except OSError as error:
        raise Refused(f"{_why(error)}; add this line to {start.path} yourself: {line}") from None


def _refuse_secrets(change: VariableChange) -> None:
    """Raises Refused for what must stand in no plan and in no journal."""
    from ...facts.redaction import is_secret

    if is_secret(change.name) or _without_secrets(change.name, change.value) != change.value:
        raise Refused(f"{change.name} holds a secret, which hfdoctor does not write: set or unset it yourself")


def _refuse_what_is_the_persons(change: VariableChange) -> None:
    """Raises Refused for names and values that hfdoctor does not write: lists of folders, the system's own."""
    name, value = change.name, change.value
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Refused(f"a shell cannot set a variable called {name!r}")
    upper = name.upper()
    if upper in OF_THE_SYSTEM or upper in LISTS or (upper in LISTS_THAT_MAY_GO and value is not None):
        raise Refused(f"{name} is more than one setting's business: change it yourself where you set it")
    if value is not None and any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
        raise Refused(f"the value for {name} contains a line end or a control character")
    if value is not None and re.search("[\ud800-\udfff]", value):
        raise Refused(f"the value for {name} is not text in UTF-8")


def _prepared(change: VariableChange, place: Workplace, start: StartFile, line: str) -> VariableAction:
    from ...facts.legible import legible
    from ...facts.redaction import without_credentials

    home = os.path.realpath(place.home)
    if not Path(home).is_dir():
        raise Refused(f"your home folder {place.home} does not exist")
    file = os.path.realpath(start.path)
    if not file.startswith(home.rstrip("/") + "/"):
        what = "leads" if start.path.is_symlink() else "is"
        raise Refused(f"{start.path} {what} outside your home folder")
    if start.path.is_symlink() and not Path(file).exists():
        raise Refused(f"{start.path} is a link that leads nowhere")
    folder, name = os.path.split(file)
    missing: list[str] = []
    while not os.path.lexists(folder):
        missing.insert(0, folder)
        folder = str(Path(folder).parent)
    shown = _shown(start.path, place.home)
    with own_file.held_folder(folder) as held:
        content = None if missing else own_file.read(held, name)
        if not os.access(folder, os.W_OK | os.X_OK) or (content and not content.mode & 0o200):
            raise Refused(f"{file if content else folder} is write-protected")
    data = content.data if content else b""
    said = _text(shell_block.line_about(data, change.name))
    old = place.environ.get(change.name)
    if said is None and old == change.value:
        raise NothingToDo("it is so already")
    if said is not None and (("\\" in said and said != line) or without_credentials(said) != said):
        raise Refused(f"hfdoctor's block in {shown} was edited")
    if said != line or old != change.value:
        _refuse_what_is_never_read(start, file, shown, data, change.name)
    if change.value is None and change.name.endswith(_OF_ONE_JOB) and not sets(data, change.name):
        raise _NotForGood(
            f"{shown} does not set {change.name}: it was set in this terminal, or by what started it (a scheduler, a "
            f"container): type unset {change.name} there"
        )
    if said == line:
        raise NothingToDo(f"{shown} says so already: {start.next_read}")
    return VariableAction(
        name=change.name,
        new=change.value,
        old=_without_secrets(change.name, None if old is None else legible(old)),
        file=file,
        shown=shown,
        again=start.read_again(shown),
        line=line,
        said=said,
        partial=f"{name}.hfdoctor-{place.token}",
        folders=tuple(missing),
        passed_over_by=_passed_over_by(start, place.home),
        next_read=start.next_read,
    )


def _passed_over_by(start: StartFile, home: Path) -> str:
    """The file that bash reads at a login instead of ~/.bashrc, if it says nothing of that; "" else."""
    if start.path.name != ".bashrc":
        return ""
    for name in (".bash_profile", ".bash_login", ".profile"):
        try:
            return "" if b"bashrc" in (home / name).read_bytes() else f"~/{name}"
        except OSError:
            continue
    return ""


def _refuse_what_is_never_read(start: StartFile, file: str, shown: str, data: bytes, name: str) -> None:
    """Raises Refused where a line at the end of the file would not have the last word."""
    if data.rstrip(b"\n") == data and data.endswith(b"\\"):
        raise Refused(f"the last line of {shown} is not finished")
    if _HANDS_OVER.search(data):
        raise Refused(f"{shown} hands over to another program (exec), and what stands after that is never read")
    if sets(shell_block.split(data).tail, name):
        raise Refused(f"{shown} speaks of {name} again below hfdoctor's block")
    if data and start.program and os.access(start.program, os.X_OK):
        _refuse_bad_syntax(start, file, shown)


def sets(text: bytes, name: str) -> bool:
    """Whether a line of a start-up file seems to set or unset the variable."""
    return bool(re.search(rb"(?m)^[^#\n]*(?<![$\w{])" + name.encode() + rb"(?:=|\s|$)", text))


def _refuse_bad_syntax(start: StartFile, file: str, shown: str) -> None:
    """Let the shell read the file without running it: behind an error it would not get to our line."""
    from ...facts.child import run_child

    options = {"bash": ["-O", "extglob", "-n"], "zsh": ["-f", "-n"], "fish": ["--no-config", "-n"]}
    argv = [start.program, *options.get(start.shell, ["-n"]), file]
    try:
        ended = run_child(argv, _TIMEOUT_S, environ={"PATH": os.defpath, "LC_ALL": "C"})
    except OSError:
        return
    if ended.code not in (0, None):
        # the message itself quotes the file, which may hold secrets
        where = re.search(rb"(?:line |:)(\d+)", ended.stderr.replace(os.fsencode(file), b""))
        raise Refused(f"{start.shell} does not understand {shown}" + (f", line {int(where[1])}" if where else ""))


def _without_secrets(name: str, value: str | None) -> str | None:
    from ...facts.redaction import proxy_without_credentials, without_credentials

    if value is None:
        return None
    if name.upper().endswith("_PROXY"):
        return proxy_without_credentials(value)[0]
    return without_credentials(value)


def _shown(path: Path, home: Path) -> str:
    """The path as a person types it in a shell."""
    try:
        below = str(path.relative_to(home))
    except ValueError:
        below = ""
    if below and re.fullmatch(r"[\w./-]+", below):
        return f"~/{below}"
    return str(path) if re.fullmatch(r"[\w./-]+", str(path)) else "'" + str(path).replace("'", "'\\''") + "'"


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _text(line: bytes | None) -> str | None:
    return None if line is None else line.decode("utf-8", "backslashreplace")


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'the file'}: {error.strerror or error}"
    return "the marks of hfdoctor's block are damaged" if isinstance(error, shell_block.Damaged) else str(error)


def _damaged(shown: str) -> str:
    marks = f"{shell_block.BEGIN.decode()} and {shell_block.END.decode()}"
    return f"the marks of hfdoctor's block in {shown} ({marks}) are damaged: put them right first"
