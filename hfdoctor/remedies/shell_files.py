"""Which file a person's shell reads at its start, and how a variable is written in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from .action import Refused

#: shells that read ~/.profile when somebody logs in, and nothing else without further settings
_PROFILE_SHELLS = frozenset({"sh", "dash", "ash", "ksh", "ksh93", "mksh", "yash", "busybox"})
#: what bash reads on macOS, whose terminals start login shells: the first that there is
_BASH_LOGIN = (".bash_profile", ".bash_login", ".profile")


class StartFile(msgspec.Struct, frozen=True):
    """The start-up file of a shell (``bash``, ``zsh``, ``fish`` or ``sh``); it need not exist.

    ``program`` is the shell's own path, "" where it is not known.
    """

    shell: str
    program: str
    path: Path

    def line(self, name: str, value: str | None) -> str:
        """The line that sets the variable for all programs started from this shell; None takes it away."""
        return shell_line(self.shell, name, value)

    @property
    def next_read(self) -> str:
        """What a person does to have the file read: a plain shell reads its own at a login only."""
        return "log out and in again" if self.shell == "sh" else "open a new terminal"

    def read_again(self, shown: str) -> str:
        """What a person types to have the file, called ``shown``, read in a terminal that is open already."""
        return f". {shown}" if self.shell == "sh" else f"source {shown}"


def shell_line(shell: str, name: str, value: str | None) -> str:
    """A line of ``shell`` that sets or (None) takes away an environment variable; the value is never expanded."""
    if shell == "fish":
        if value is None:
            return f"set -e {name}"
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"set -gx {name} '{quoted}'"
    if value is None:
        return f"unset {name}"
    quoted = value.replace("'", "'\\''")
    return f"export {name}='{quoted}'"


def start_file(name: str, environ: Mapping[str, str], home: Path, system: str) -> StartFile:
    """The file of the person's shell that a line about the variable ``name`` belongs into; ``system`` as in OsInfo.

    Raises Refused where the shell is not known, or reads its settings from where hfdoctor cannot tell.
    """
    program = environ.get("SHELL") or _login_shell()
    shell = program.rpartition("/")[2].lstrip("-")
    if shell in ("bash", "rbash"):
        return StartFile("bash", program, _bash(home, system))
    if shell == "zsh":
        return StartFile("zsh", program, _zsh(environ, home) / ".zshrc")
    if shell == "fish":
        return StartFile("fish", program, _fish(name, environ, home))
    if shell in _PROFILE_SHELLS:
        return StartFile("sh", program, home / ".profile")
    known = f"what {shell} reads at its start" if shell else "which shell you use (SHELL is not set)"
    raise Refused(f"hfdoctor does not know {known}: set or unset {name} there yourself")


def _login_shell() -> str:
    """The shell in the system's list of users; "" where it has none."""
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_shell
    except (ImportError, KeyError, AttributeError):
        return ""


def _bash(home: Path, system: str) -> Path:
    if system != "macos":
        return home / ".bashrc"
    return next((home / name for name in _BASH_LOGIN if (home / name).exists()), home / _BASH_LOGIN[0])


def _zsh(environ: Mapping[str, str], home: Path) -> Path:
    # an editor's terminal may lend zsh a folder of its own, and keeps the person's in the other variable
    named = environ.get("USER_ZDOTDIR") or environ.get("ZDOTDIR")
    if named:
        return Path(named)
    try:
        moved = b"ZDOTDIR" in (home / ".zshenv").read_bytes()
    except OSError:
        moved = False
    if moved:
        raise Refused(
            f"{home / '.zshenv'} gives zsh another folder (ZDOTDIR): add the line to the .zshrc there yourself"
        )
    return home


def _fish(name: str, environ: Mapping[str, str], home: Path) -> Path:
    configured = environ.get("XDG_CONFIG_HOME", "")
    base = Path(configured) if configured.startswith("/") else home / ".config"
    folder = base / "fish"
    about = re.compile(rb"\b" + re.escape(name.encode()) + rb"\b")
    for file in (folder / "fish_variables", folder / "config.fish"):
        try:
            found = about.search(file.read_bytes())
        except OSError:
            continue
        if found and file.name == "config.fish":
            raise Refused(f"{file} itself speaks of {name}, after what hfdoctor could write: change it there")
        if found:
            raise Refused(f"fish keeps {name} as a universal variable: change it with set -Ux {name} or set -eU {name}")
    return folder / "conf.d" / "hfdoctor.fish"
