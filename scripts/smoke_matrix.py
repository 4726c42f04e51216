"""Run ``hfdoctor smoke --level full`` with many pairs of transformers and torch, on every Python there is.

    python scripts/smoke_matrix.py                                 the pairs below, every Python; hours and gigabytes
    python scripts/smoke_matrix.py --pair 4.57.6:2.9.1 --python 3.12
    python scripts/smoke_matrix.py --only-missing                  adds to the table what is not in it yet
    python scripts/smoke_matrix.py --env PREFIX                    an environment that exists already

uv makes the environments from the package index, one at a time (2 to 6 GB each), and each is removed after its run. The
table (Markdown) and the same as JSON beside it are written after every run, so that a run may be broken off. Exits
with 1 if a stage failed or an environment could not be made, although its wheels exist. The versions are in
version_matrix/pairs.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.version_matrix import table
from scripts.version_matrix.environments import NotMade, Uv, prefix, remove
from scripts.version_matrix.pairs import DEFAULT_PAIRS, Pair, minor, pair
from scripts.version_matrix.trial import Row, try_out

OUTPUT = Path(__file__).resolve().parent / "smoke_matrix.md"


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument(
        "--pair",
        type=pair,
        action="append",
        metavar="TRANSFORMERS:TORCH",
        help=f"versions, or newest; may be repeated (default: {' '.join(DEFAULT_PAIRS)})",
    )
    words.add_argument("--python", type=minor, action="append", metavar="3.12", help="may be repeated (default: all)")
    words.add_argument("--env", type=Path, action="append", metavar="PREFIX", help="run in this one; makes none")
    words.add_argument("--only-missing", action="store_true", help="leave out what the table has already")
    words.add_argument("--keep", action="store_true", help="do not remove the environments")
    words.add_argument(
        "--into", type=Path, metavar="FOLDER", help="where (default: a temporary folder; with --keep, here)"
    )
    words.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE.md", help="the table; JSON beside it")
    words.add_argument("--fresh", action="store_true", help="forget the rows that the table has")
    words.add_argument("--table-only", action="store_true", help="write the table again from the JSON; run nothing")
    return words


class Matrix:
    """The table as it grows."""

    def __init__(self, output: Path, *, fresh: bool) -> None:
        """Raises ValueError where the table that exists cannot be read."""
        self.output = output
        self.rows, self.not_built = ([], []) if fresh else table.read(output)
        self.good = True

    def has(self, transformers: str, torch: str, python: str) -> bool:
        """Whether there is a row of these versions."""
        wanted = (transformers.partition("+")[0], torch.partition("+")[0], python)
        return any(table.identity(row) == wanted for row in self.rows)

    def add(self, row: Row) -> None:
        """Take a row in, write the table, and say how it went."""
        self.rows = table.merged(self.rows, row)
        done = row["asked"], table.minor_of(row)
        self.not_built = [one for one in self.not_built if (one["asked"], one["python"]) != done]
        table.write(self.output, self.rows, self.not_built)
        failed = [stage["key"] for stage in row["stages"] if stage["outcome"] == "fail"]
        self.good &= not failed and not row["exit_code"]
        print(f"  {row['seconds']:.0f} s, {'FAILED: ' + ', '.join(failed) if failed else 'nothing failed'}", flush=True)

    def refuse(self, asked: Pair, python: str, why: str) -> None:
        """Note what could not be made."""
        entry = {"asked": str(asked), "python": python, "why": why}
        kept = [one for one in self.not_built if (one["asked"], one["python"]) != (str(asked), python)]
        self.not_built = [*kept, entry]
        table.write(self.output, self.rows, self.not_built)
        print(f"  not installed: {why}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make, run, write; return the exit code."""
    words = parser()
    asked = words.parse_args(arguments)
    if asked.env and (asked.pair or asked.python or asked.into or asked.keep):
        words.error("--env makes no environment: --pair, --python, --into and --keep mean nothing with it")
    if asked.fresh and asked.only_missing:
        words.error("--fresh forgets what --only-missing asks for")
    try:
        matrix = Matrix(asked.output, fresh=asked.fresh)
        if asked.table_only:
            table.write(asked.output, matrix.rows, matrix.not_built)
            return 0
        if asked.env:
            for folder in asked.env:
                print(folder, flush=True)
                matrix.add(try_out(prefix(folder.absolute()), "an environment that existed"))
            return 0 if matrix.good else 1
        uv = Uv()
        pythons = uv.pythons()
    except (NotMade, ValueError) as error:
        words.error(str(error))
    for name in asked.python or ():
        if name not in pythons:
            words.error(f"there is no Python {name} here; there are {', '.join(pythons) or 'none'}")
    pairs: Sequence[Pair] = asked.pair or [pair(text) for text in DEFAULT_PAIRS]
    chosen = {name: pythons[name] for name in asked.python or pythons}
    with tempfile.TemporaryDirectory(prefix="hfdoctor-matrix-", ignore_cleanup_errors=True) as temporary:
        into = Path(temporary) if asked.into is None and not asked.keep else Path(asked.into or Path.cwd())
        into.mkdir(parents=True, exist_ok=True)
        for one in pairs:
            for name, python in chosen.items():
                build_and_try(matrix, uv, one, (name, python), into, asked)
    return 0 if matrix.good else 1


def build_and_try(
    matrix: Matrix, uv: Uv, one: Pair, on: tuple[str, Path], into: Path, asked: argparse.Namespace
) -> None:
    """One environment: resolve, make, run, remove."""
    name, python = on
    print(f"{one} on Python {name}", flush=True)
    try:
        packages = uv.resolve(one, python)
    except NotMade as error:
        matrix.refuse(one, name, str(error))
        return
    versions = packages["transformers"], packages["torch"]
    if asked.only_missing and matrix.has(*versions, name):
        print("  is in the table", flush=True)
        return
    folder = into / f"py{name}-torch{versions[1]}-tf{versions[0]}"
    try:
        if folder.exists():
            raise NotMade(f"{folder.name} exists already; remove it or use --env")
        began = time.monotonic()
        made = uv.make(folder, python, packages)
        print(f"  made in {time.monotonic() - began:.0f} s", flush=True)
        matrix.add(try_out(made, str(one)))
    except NotMade as error:
        matrix.good = False
        matrix.refuse(one, name, str(error))
        if "exists already" in str(error):
            return
    if not asked.keep and folder.exists():
        remove(folder)


if __name__ == "__main__":
    sys.exit(main())
