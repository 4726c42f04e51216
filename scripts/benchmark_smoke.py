"""What ``hfdoctor smoke --level generate`` costs beside a bare script, and how long ``--level full`` takes.

    python scripts/benchmark_smoke.py --env PREFIX [--rounds 7] [--check]

The bare script imports torch and the classes of transformers that the stages use, in the same environment. ``--check``
exits with 1 if a limit of the project is passed. scripts/benchmark.py calls it with the rest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: what the stages up to generate import, too
BARE = (
    "import torch\n"
    "from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification\n"
    "from transformers import AutoTokenizer, BertForMaskedLM, BertForSequenceClassification, LlamaForCausalLM\n"
    "from transformers import PreTrainedTokenizerFast, pipeline\n"
)
#: the project's limits: the run / the bare script, and seconds for the whole of it on two cores
LIMIT_BARE, LIMIT_FULL_S = 1.25, 60.0


def seconds(argv: Sequence[str], environ: Mapping[str, str]) -> float:
    """Wall time of one run. Raises RuntimeError if it does not end with 0."""
    started = time.perf_counter()
    done = subprocess.run(argv, env=dict(environ), capture_output=True, check=False)
    spent = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{(done.stdout + done.stderr).decode()}")
    return spent


def smoke_cost(python: str, environ: Mapping[str, str], rounds: int) -> list[tuple[str, bool]]:
    """The lines of the report, each with whether its limit holds. ``environ`` lets this Python find hfdoctor."""
    bare = {name: value for name, value in environ.items() if name != "PYTHONPATH"}
    run = [sys.executable, "-m", "hfdoctor", "smoke", "--python", python, "--level"]
    taken: dict[str, list[float]] = {"bare": [], "generate": []}
    for turn in range(rounds + 1):  # in turns, so that a noisy minute hits both; the first round warms
        for name, spent in (
            ("bare", lambda: seconds([python, "-c", BARE], bare)),
            ("generate", lambda: seconds([*run, "generate"], environ)),
        ):
            value = spent()
            if turn:
                taken[name].append(value)
    middle = {name: statistics.median(values) for name, values in taken.items()}
    full = seconds([*run, "full"], environ)
    ratio = middle["generate"] / middle["bare"]
    both = f"{middle['generate']:.2f} s / {middle['bare']:.2f} s = {ratio:.2f}"
    return [
        (f"smoke --level generate / bare script = {both}, at most {LIMIT_BARE}", ratio <= LIMIT_BARE),
        (f"smoke --level full takes {full:.1f} s, less than {LIMIT_FULL_S:g}", full < LIMIT_FULL_S),
    ]


def main() -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", type=Path, required=True, help="an environment with torch and transformers")
    parser.add_argument("--rounds", type=int, default=7, help="at least 5")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is passed")
    arguments = parser.parse_args()
    windows = os.name == "nt"
    python = arguments.env / ("Scripts/python.exe" if windows else "bin/python")
    if not python.exists():
        parser.error("--env must name an environment with torch and transformers")
    with tempfile.TemporaryDirectory(prefix="hfdoctor-bench-") as home:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ |= {"HOME": home, "USERPROFILE": home, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        limits = smoke_cost(str(python), environ, max(5, arguments.rounds))
    for text, held in limits:
        print(f"{'ok  ' if held else 'OVER'}  {text}")
    return 0 if all(held for _, held in limits) or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
