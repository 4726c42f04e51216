"""How long ``hfdoctor check`` takes, as ratios within one run (machines are noisy, ratios less so).

    python scripts/benchmark.py --env PREFIX [--rounds 15] [--check]

PREFIX is an environment with torch and transformers. Prints the median wall time of each command, its ratio to
starting the same Python with the libraries that hfdoctor is built on, what a hub cache of 100,000 files adds, and
the share of each probe. ``--check`` exits with 1 if a limit of the project is passed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmark_family import family_cost, judged
from benchmark_library import measured
from benchmark_smoke import smoke_cost

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = "import click, rich.console, psutil, packaging.requirements, msgspec"
#: the project's limits: check <= 2 x the libraries' start, >= 15 x faster than `transformers env`, and seconds
#: that a hub cache of 100,000 files may add
LIMIT_START, LIMIT_PEER, LIMIT_CACHE_S = 2.0, 15.0, 1.0
#: variables without which programs do not start
KEPT = frozenset({"PATH", "PATHEXT", "SYSTEMROOT", "COMSPEC", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL"})
CACHE_REPOS, CACHE_FILES = 200, 250  # each file is a blob and a link: 100,000 entries


def program(prefix: Path, name: str) -> str:
    """Path of a program of the environment ``prefix``."""
    windows = os.name == "nt"
    return str(prefix / ("Scripts" if windows else "bin") / (f"{name}.exe" if windows else name))


def seconds(argv: Sequence[str], environ: Mapping[str, str], codes: Sequence[int] = (0, 1)) -> float:
    """Wall time of one run. Raises RuntimeError if it ends with a code that is not one of ``codes``."""
    started = time.perf_counter()
    done = subprocess.run(argv, env=dict(environ), capture_output=True, check=False)
    spent = time.perf_counter() - started
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
    return spent


def make_cache(folder: Path) -> None:
    """A hub cache of 100,000 entries: half blobs, half links to them."""
    commit = "a" * 40
    for repo in range(CACHE_REPOS):
        base = folder / f"models--bench--repo-{repo}"
        snapshot = base / "snapshots" / commit
        (base / "blobs").mkdir(parents=True)
        (base / "refs").mkdir()
        snapshot.mkdir(parents=True)
        (base / "refs" / "main").write_text(commit)
        for index in range(CACHE_FILES):
            blob = f"{repo:08x}{index:032x}"
            (base / "blobs" / blob).write_bytes(b"{}")
            (snapshot / f"file-{index}.json").symlink_to(f"../../blobs/{blob}")


def medians(rounds: int, runs: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Median of each run over ``rounds`` rounds; the runs take turns, so that a noisy minute hits all alike."""
    for run in runs.values():
        run()  # warm: files in the page cache, byte code written
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    return {name: statistics.median(values) for name, values in taken.items()}


def probe_shares(check: Sequence[str], environ: Mapping[str, str], rounds: int) -> dict[str, float]:
    """Median seconds of each probe, as the report itself says."""
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        argv = [*check, "--format", "json", "--with-facts"]
        report = json.loads(subprocess.run(argv, env=dict(environ), capture_output=True, check=False).stdout)
        for name, run in report["snapshot"]["probes"].items():
            taken.setdefault(name, []).append(run["seconds"])
        taken.setdefault("(all probes)", []).append(report["elapsed_s"])
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", type=Path, default=os.environ.get("HFDOCTOR_TORCH_ENV"), help="environment to inspect")
    parser.add_argument("--library", type=Path, help="a library with GPU code; without it a recorded one")
    parser.add_argument("--rounds", type=int, default=15, help="at least 5; few are a matter of luck on a busy machine")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is passed")
    arguments = parser.parse_args()
    if arguments.env is None or not Path(program(arguments.env, "python")).exists():
        parser.error("--env must name an environment with torch and transformers")
    with tempfile.TemporaryDirectory(prefix="hfdoctor-bench-") as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        # nothing of this machine's own settings: certificates, proxies and indexes would be read and judged too
        environ = {name: value for name, value in os.environ.items() if name.upper() in KEPT}
        environ |= {"HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        environ["PIP_CONFIG_FILE"] = os.devnull  # pip's own word for: read no configuration, the system's neither
        environ["HF_HUB_OFFLINE"] = "1"  # for the peer: without it `transformers env` may look for the hub
        crowded = {**environ, "HF_HUB_CACHE": str(Path(scratch) / "hub")}
        make_cache(Path(scratch) / "hub")
        check = [sys.executable, "-m", "hfdoctor", "check", "--python", str(arguments.env)]
        peer = [program(arguments.env, "transformers"), "env"]
        rounds = max(5, arguments.rounds)
        plain = {k: v for k, v in environ.items() if k != "PYTHONPATH"}
        result = medians(
            rounds,
            {
                "python -c pass": lambda: seconds([sys.executable, "-c", "pass"], plain),
                "the libraries": lambda: seconds([sys.executable, "-c", LIBRARIES], plain),
                "hfdoctor --version": lambda: seconds([sys.executable, "-m", "hfdoctor", "--version"], environ),
                "hfdoctor check": lambda: seconds(check, environ),
                "hfdoctor check, 100,000 cache files": lambda: seconds(check, crowded),
                "transformers env": lambda: seconds(peer, plain),
            },
        )
        base, took = result["the libraries"], result["hfdoctor check"]
        print(f"medians of {rounds} rounds, Python {sys.version.split()[0]}, {os.cpu_count()} CPUs\n")
        for name, value in result.items():
            print(f"{name:<38}{value:8.3f} s   {value / base:6.2f} x the libraries")
        shares = probe_shares(check, environ, rounds)
        print("\nprobes (one that waits does not hold up the others)")
        for name, value in sorted(shares.items(), key=lambda item: -item[1]):
            print(f"  {name:<36}{value * 1000:8.1f} ms")
        added = result["hfdoctor check, 100,000 cache files"] - took
        limits = [
            (f"check / libraries = {took / base:.2f}, at most {LIMIT_START}", took <= LIMIT_START * base),
            (
                f"transformers env / check = {result['transformers env'] / took:.1f}, at least {LIMIT_PEER}",
                result["transformers env"] >= LIMIT_PEER * took,
            ),
            (f"100,000 cache files add {added:.2f} s, less than {LIMIT_CACHE_S}", added < LIMIT_CACHE_S),
        ]
        report = subprocess.run(
            [*check, "--format", "json", "--with-facts"], env=environ, capture_output=True, check=False
        )
        limits.append(judged(family_cost(report.stdout, shares, environ, rounds), report.stdout))
        limits += measured(arguments.library)
        limits += smoke_cost(program(arguments.env, "python"), environ, min(rounds, 7))
        print()
        for text, held in limits:
            print(f"{'ok  ' if held else 'OVER'}  {text}")
    return 0 if all(held for _, held in limits) or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
