"""Hold hfdoctor against descriptions of machines whose trouble is known.

python scripts/measure_corpus.py FILE.jsonl            prints the table
python scripts/measure_corpus.py FILE.jsonl --check    exits with 1 below 97 % or with any false alarm
python scripts/measure_corpus.py FILE.jsonl --facts    also lists the facts that were read otherwise

A line of FILE is {"id", "dump", "verdict": [condition ids, or one of the words of HEALTHY], "facts": {...}}. The text
in ``dump`` goes through the readers and the whole catalogue, as ``hfdoctor check --snapshot`` does it.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hfdoctor.conditions.catalogue import CATALOGUE
from hfdoctor.conditions.engine import diagnose
from hfdoctor.facts.readers import read_text
from hfdoctor.facts.snapshot import Snapshot, SnapshotError

#: verdicts under which nothing of the GPU family may be an error or a warning
HEALTHY = frozenset({"healthy", "unknown", "rocm", "mps", "no-gpu"})
#: conditions about the GPU family that other families hold
NEIGHBOURS = frozenset(
    {"torch-companion-mismatch", "extension-abi-mismatch", "glibc-too-old", "vc-redist-missing", "dll-load-failed"}
    | {"cuda-libs-mixed", "cuda-libs-missing", "cudnn-failure", "triton-missing", "torch-cpu-build", "driver-missing"}
    | {"driver-too-old", "driver-mismatch", "gpu-arch-unsupported", "gpu-hidden", "wsl-gpu", "rocm-mismatch"}
    | {"gpu-required"}
)
FAMILY = NEIGHBOURS | {condition.id for condition in CATALOGUE if condition.family == "gpu"}
#: share of the faults that must be named
WANTED = 0.97
FACTS = (
    *("torch", "torch_cuda", "cuda_available", "driver", "gpus", "python", "os", "torchvision", "torchaudio"),
    *("numpy", "transformers"),
)


def read_facts(s: Snapshot) -> dict[str, list[Any]]:
    """What was read of each fact: several where the text lists several, none where it is not known."""
    build, word, driver = s.packages.torch_build.maybe(), s.gpu.torch.maybe(), s.gpu.driver.maybe()
    devices, python, os = s.gpu.devices.maybe(), s.target.interpreter.maybe(), s.machine.os.maybe()
    listed = s.packages.distributions.maybe() or []
    found: dict[str, list[Any]] = {name: [] for name in FACTS}
    found["torch"] = [build.version] if build else [e.version for e in listed if e.name == "torch" and not e.shadowed]
    found["torch_cuda"] = [build.cuda] if build and build.cuda else []
    found["cuda_available"] = [word.cuda] if word and word.cuda is not None else []
    found["driver"] = [driver.version] if driver and driver.version else []
    # as torch writes a ROCm GPU: its target in brackets, of which the snapshot keeps the first part
    found["gpus"] = [[one.name for one in devices or []]]
    found["python"] = [python.version] if python else []
    found["os"] = [os.name, os.system] if os else []
    for name in ("torchvision", "torchaudio", "numpy", "transformers"):
        found[name] = [entry.version for entry in listed if entry.name == name]
    return found


def right(name: str, wanted: Any, found: list[Any]) -> bool:
    """Whether ``wanted`` is what was read. What a person wrote around a version does not count."""
    if name == "gpus":
        plain = [re.sub(r" \(gfx[^()]*\)\Z", "", gpu) for gpu in wanted]
        return plain == (found[0] if found else [])
    if name == "os" and wanted is not None:
        plain_name = re.sub(r" \((?:x86_64|aarch64|arm64)\)\Z", "", wanted).lower()
        return any(plain_name == str(value).lower() for value in found)
    if name in ("torch", "torch_cuda") and isinstance(wanted, str):
        versions = re.findall(r"\d+\.[\w.+]+", wanted)
        if name == "torch_cuda" and len(versions) > 1:
            return not found  # the text says two things: the fact must be failed
        return versions[0] in found
    return wanted in found


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--check", action="store_true", help="exit with 1 below 97 % or with any false alarm")
    parser.add_argument("--facts", action="store_true", help="list the facts that were read otherwise")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.file.read_text("utf-8").splitlines() if line.strip()]
    faults = named = healthy = alarms = wanted_facts = right_facts = beyond = others = 0
    times = []
    for row in rows:
        began = time.perf_counter()
        try:
            snapshot = read_text(row["dump"])
        except SnapshotError as error:
            snapshot = Snapshot()
            print(f"{row['id']}: {error}")
        report = diagnose(snapshot)
        times.append((time.perf_counter() - began) * 1000)
        failed = [(f.condition, f.severity) for f in report.failed()]
        crashed = [f.condition for f in report.findings if f.outcome == "crash"]
        of_family = sorted({f"{name} {severity}" for name, severity in failed if name in FAMILY})
        elsewhere = sorted({f"{name} {severity}" for name, severity in failed if name not in FAMILY})
        loud = {name for name, severity in failed if severity in ("error", "warning")}
        expected = row["verdict"]
        if HEALTHY & set(expected):
            healthy += 1
            good = not loud & FAMILY
            alarms += not good
        else:
            faults += 1
            good = set(expected) <= loud
            named += good
        others += bool(elsewhere)
        mark = "ok  " if good and not crashed else "FAIL"
        said = ", ".join(of_family) or "-"
        print(f"{mark} {row['id']:<44} {'+'.join(expected):<26} {said}")
        if elsewhere:
            print(f"     {'':<44} {'':<26} also: {', '.join(elsewhere)}")
        if crashed:
            print(f"     crashed: {', '.join(crashed)}")
            alarms += 1
        found = read_facts(snapshot)
        for name, wanted in row["facts"].items():
            if wanted is None:
                # what the person who made the list left out, we may have seen (a Python's version in a path)
                beyond += bool(found[name]) and name not in ("os",)
                continue
            wanted_facts += 1
            ok = right(name, wanted, found[name])
            right_facts += ok
            if options.facts and not ok:
                print(f"     {name}: {found[name]!r} was read, {wanted!r} is there")
    share = named / faults if faults else 1.0
    print(f"\nfaults named with the right id    {named} of {faults} ({share:.1%})")
    print(f"healthy rows with a false alarm   {alarms} of {healthy}")
    print(f"rows with findings elsewhere      {others} of {len(rows)}")
    print(f"facts read right                  {right_facts} of {wanted_facts}; {beyond} read beyond those listed")
    print(f"time per row                      median {statistics.median(times):.1f} ms, most {max(times):.1f} ms")
    return int(options.check and (share < WANTED or alarms > 0))


if __name__ == "__main__":
    sys.exit(main())
