"""Options that several commands share, and the refusals that several commands make."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ..smoke.plan import LEVELS

F = TypeVar("F", bound=Callable[..., Any])


def observing(function: F) -> F:
    """Add the options of every command that looks at a machine."""
    for option in reversed(
        [
            click.option(
                "--python",
                metavar="PATH",
                help="What to inspect: an interpreter, a virtual environment's folder, or a conda prefix.",
            ),
            click.option(
                "--deep",
                is_flag=True,
                help="Also hash installed files and let the target import its own libraries, in a child process.",
            ),
            click.option("--online", is_flag=True, help="Also connect to the hub and the package index."),
            click.option(
                "--timeout",
                type=click.FloatRange(min=0.1),
                metavar="SECONDS",
                help="Give up on what has not answered after this long.  [default: 60; 300 with --deep]",
            ),
        ]
    ):
        function = option(function)
    return function


def fix_options(
    python: str | None, *, deep: bool = False, online: bool = False, smoke: str = "", local_model: str = ""
) -> list[str]:
    """What ``hfdoctor fix`` must be told to see what was seen with these options."""
    words = ["--python", python] if python else []
    words += [*(["--deep"] if deep else []), *(["--online"] if online else [])]
    words += ["--smoke", smoke] if smoke else []
    return [*words, *(["--local-model", local_model] if local_model else [])]


def running(function: F) -> F:
    """Add the options of every command that looks at a machine and may run the libraries, too."""
    for option in (
        click.option(
            "--local-model",
            metavar="FOLDER",
            callback=model_folder,
            help="With --smoke: also load the model in FOLDER, as from_pretrained does.",
        ),
        click.option(
            "--smoke",
            is_flag=False,
            flag_value="full",
            metavar="[LEVEL]",
            type=click.Choice(LEVELS),
            help="Also run the libraries, as `hfdoctor smoke` does, up to LEVEL (full where none is named).",
        ),
    ):
        function = option(function)
    return function


def model_folder(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """The folder of a model that --local-model names. Raises click.UsageError if there is none in it."""
    if value is None:
        return ""
    from ..smoke.model_folder import trouble_with

    trouble = trouble_with(value)
    if trouble:
        raise click.UsageError(f"--local-model: {trouble}")
    return value


def refuse_model_without_run(local_model: str, smoke: str | None) -> None:
    """Raises click.UsageError for a --local-model that nothing would load."""
    if local_model and not smoke:
        raise click.UsageError("--local-model is loaded by a run of the libraries, which needs --smoke")


def output_option(function: F) -> F:
    """Add ``--output``."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=True),
        metavar="FILE",
        help="Write to FILE instead of standard output.",
    )(function)


#: seconds for a whole run of the stages
SMOKE_TIMEOUT_S = 1800.0


def timeout_or_default(timeout: float | None, deep: bool) -> float:
    """Seconds for the whole run: importing torch from a cold disk takes minutes where reading files takes one."""
    return timeout if timeout is not None else (300.0 if deep else 60.0)


def split_ids(values: Sequence[str]) -> list[str]:
    """The ids of a repeatable option, each of which may hold several separated by commas."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def known_ids(option: str, values: Sequence[str]) -> frozenset[str]:
    """The ids, if all are known. Raises click.UsageError with the nearest known one otherwise."""
    ids = split_ids(values)
    if not ids:
        return frozenset()
    from ..conditions.catalogue import CATALOGUE

    known = [condition.id for condition in CATALOGUE]
    for name in ids:
        if name not in known:
            raise click.UsageError(f"{option}: no condition is called {name!r}{did_you_mean(name, known)}")
    return frozenset(ids)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A question with the nearest of ``known``, or how to see them all."""
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else "; `hfdoctor conditions` lists them"


#: bytes by the units of --min-vram: makers of GPUs and people say GB, NVIDIA's tools mean GiB
UNITS = {"": 1, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9, "T": 10**12, "TB": 10**12}
UNITS |= {"MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def memory_size(option: str, text: str) -> int:
    """Bytes of ``24G``, ``16GiB``, ``8000M``. Raises click.UsageError for anything else, and for less than a MiB."""
    number = text.strip().rstrip("TtGgMmIiBb ")
    unit = text.strip()[len(number) :].strip().upper()
    plain = number.replace(".", "", 1)
    numeric = plain.isascii() and plain.isdigit() and len(plain) < 16
    size = int(float(number) * UNITS[unit]) if numeric and unit in UNITS else 0
    if size < 2**20 or size > 2**60:
        raise click.UsageError(f"{option}: {text!r} is no size of memory; write it like 24G, 16GiB or 8000M")
    return size


class OutputFile:
    """A file that is replaced only once the new content is complete.

    Made before any work is done: raises click.UsageError then if the file could not be written at the end.
    """

    def __init__(self, name: str) -> None:
        import tempfile  # slow to load, and most runs write no file

        self.path = Path(name)
        if self.path.is_dir():
            raise click.UsageError(f"--output: {name} is a folder; name a file in it")
        if self.path.exists() and not os.access(self.path, os.W_OK):
            raise click.UsageError(f"--output: {name} may not be written")
        try:
            handle, self.temporary = tempfile.mkstemp(prefix=".hfdoctor-", dir=self.path.parent)
        except OSError as error:
            raise click.UsageError(f"--output: cannot write {name}: {error.strerror or error}") from None
        os.close(handle)

    def write(self, data: bytes) -> None:
        """Put ``data`` in place of the old content, all at once."""
        if self.path.exists() and not self.path.is_file():  # /dev/stdout, a pipe: nothing to replace
            self.path.write_bytes(data)
            self.discard()
            return
        temporary = Path(self.temporary)
        temporary.write_bytes(data)
        mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o666 & ~_umask()
        temporary.chmod(mode)
        temporary.replace(self.path)

    def discard(self) -> None:
        """Remove the temporary file; the old content stays."""
        Path(self.temporary).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def emit(text: str, output: OutputFile | None) -> None:
    """Write ``text`` to the output file (UTF-8) or to standard output."""
    if output is not None:
        output.write(text.encode("utf-8", "backslashreplace"))
    else:
        sys.stdout.write(text)
