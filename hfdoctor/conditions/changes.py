"""What a step of a remedy changes, as plain data: which value, which tree, which packages.

A change says what is wanted and nothing of how it is done: the room ``remedies`` holds it against the machine, shows
the old and the new value, does it and takes it back.
"""

from __future__ import annotations

import msgspec


class RegistryChange(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="registry"):
    """A value in the Windows registry. ``key`` begins with HKLM or HKCU; ``value`` None takes the value away."""

    key: str
    name: str
    #: REG_DWORD, REG_SZ, REG_EXPAND_SZ ...
    type: str = "REG_SZ"
    value: int | str | None = None


class VariableChange(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="variable"):
    """An environment variable of the person, for all programs started from now on; ``value`` None takes it away."""

    name: str
    value: str | None = None


class TreeMove(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="move"):
    """A file or folder that moves to another place, also on another volume. ``destination`` does not exist yet."""

    source: str
    destination: str


class PutAway(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="quarantine"):
    """A file or folder that goes into quarantine, from where it can be put back."""

    path: str


class PackageChange(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="packages"):
    """Packages of one environment that are installed, changed or taken away, all together or not at all.

    ``install`` are requirements (``torch>=2.6``), ``remove`` are names. ``reinstall``: what fits already is written
    anew, too. ``upgrade``: the newest release that fits is taken although an older one fits. ``no_deps``: nothing else
    is touched. ``index`` is the only index to ask, "" the one that pip (or uv) is set up to ask; ``pre`` admits
    pre-releases.
    """

    #: the target's interpreter
    python: str
    install: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    reinstall: bool = False
    upgrade: bool = False
    no_deps: bool = False
    index: str = ""
    extra_index: str = ""
    pre: bool = False


class NewEnvironment(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="environment"):
    """A virtual environment made by ``python`` in ``folder``, which does not exist yet, with ``packages`` in it.

    ``extra_index`` is asked for them beside the one that pip (or uv) is set up to ask.
    """

    python: str
    folder: str
    packages: tuple[str, ...] = ()
    extra_index: str = ""


class GitChange(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="git"):
    """A value of the person's global git configuration (``core.longpaths``); ``value`` None takes it away."""

    name: str
    value: str | None = None


class Command(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="command"):
    """A program to run, as an argument list. ``undo`` takes it back; empty: it cannot be taken back (and says so).

    ``network``: it connects. ``bytes``: what it frees (negative) or needs, where that is known.
    """

    argv: tuple[str, ...]
    undo: tuple[str, ...] = ()
    network: bool = False
    bytes: int = 0


Change = RegistryChange | VariableChange | TreeMove | PutAway | PackageChange | NewEnvironment | GitChange | Command
