"""How long the list of GPU architectures of a library takes to read: from a cold disk, and warm.

    python scripts/benchmark_library.py [--library PATH] [--check]

Without PATH: a sparse file with the recorded headers of torch 2.8.0's libtorch_cuda.so, 1 GB. "Fetched" is what the
disk gave up for it, whole pages (Linux). ``--check`` exits with 1 if a limit of the project is passed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hfdoctor.binaries.gpu_code import read_library  # noqa: E402
from hfdoctor.binaries.sections import Reader  # noqa: E402

#: seconds from a cold disk and warm, and the share of the library that may be read
LIMIT_COLD_S, LIMIT_WARM_S, LIMIT_SHARE = 0.3, 0.05, 0.01
RECORDED = "torch-2.8.0-linux"


def recorded_library(folder: Path) -> Path:
    """The recorded headers laid out as the library they come from, the rest holes."""
    from tests.binaries.sparse import load

    recorded = load(RECORDED)
    path = folder / "libtorch_cuda.so"
    with path.open("wb") as file:
        file.truncate(recorded.size)
        for offset, data in recorded.pieces:
            file.seek(offset)
            file.write(data)
        os.fsync(file.fileno())
    return path


def forget(path: Path) -> None:
    """Drop what the system keeps of a file in memory (Linux; elsewhere the file stays warm)."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def fetched_bytes() -> int:
    """Bytes that this process had fetched from disks so far; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/io").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("read_bytes:")), 0)


def once(path: Path, cold: bool) -> tuple[float, int, int, str]:
    """Seconds, bytes asked for, bytes fetched from the disk, and what was read."""
    if cold:
        forget(path)
    before, started = fetched_bytes(), time.perf_counter()
    with path.open("rb", buffering=0) as file:
        reader = Reader(file)
        found = read_library(reader)
    taken = time.perf_counter() - started
    return taken, reader.bytes_read, fetched_bytes() - before, " ".join(found.code) if found else "no GPU code"


def measure(path: Path, rounds: int = 7) -> list[tuple[str, bool]]:
    """Lines to print, and whether each limit was held."""
    cold = [once(path, cold=True) for _ in range(rounds)]
    warm = [once(path, cold=False) for _ in range(rounds)]
    size = path.stat().st_size
    cold_s, warm_s = (statistics.median(run[0] for run in runs) for runs in (cold, warm))
    asked, fetched = cold[-1][1], max(run[2] for run in cold)
    return [
        (
            f"architectures of {size / 1e6:.0f} MB, cold: {cold_s:.3f} s, less than {LIMIT_COLD_S}",
            cold_s < LIMIT_COLD_S,
        ),
        (
            f"architectures of {size / 1e6:.0f} MB, warm: {warm_s:.4f} s, less than {LIMIT_WARM_S}",
            warm_s < LIMIT_WARM_S,
        ),
        (
            f"read of it: {asked} bytes, {asked / size:.3%}; fetched by the disk: {fetched / size:.2%}, less than 1 %",
            max(asked, fetched) < LIMIT_SHARE * size,
        ),
        (f"the list: {cold[-1][3]}", cold[-1][3] == warm[-1][3]),
    ]


def measured(library: Path | None) -> list[tuple[str, bool]]:
    """As measure, of ``library`` or of the recorded one."""
    if library is not None:
        return measure(library)
    with tempfile.TemporaryDirectory(prefix="hfdoctor-bench-", dir=ROOT) as folder:  # /tmp may be no disk
        return measure(recorded_library(Path(folder)))


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, help="a library with GPU code")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is passed")
    arguments = parser.parse_args()
    lines = measured(arguments.library)
    for text, held in lines:
        print(f"{'ok  ' if held else 'OVER'}  {text}")
    return 0 if all(held for _, held in lines) or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
