"""Make the tiny models of ``hfdoctor smoke`` and record what they answer.

python scripts/make_smoke_model.py                   writes the models, and what is recorded of them (needs torch)
python scripts/make_smoke_model.py --models          writes the models alone (needs nothing but Python)
python scripts/make_smoke_model.py --check           exits with 1 if what is shipped is not what would be written:
                                                     the models byte by byte, the recorded numbers within tolerance
python scripts/make_smoke_model.py --check --models  checks the models alone

To run it with torch, use the Python of an environment that has torch and transformers.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.smoke_model.models import model_files

TINY = Path(__file__).resolve().parent.parent / "hfdoctor" / "smoke" / "tiny"
#: bytes that everything in the folder may take together
LARGEST = 400_000


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    wrong = check_models() if "--check" in arguments else write_models()
    if "--models" not in arguments:
        os.environ["HF_HUB_OFFLINE"] = "1"
        wrong += check_goldens() if "--check" in arguments else write_goldens()
    size = sum(path.stat().st_size for path in TINY.rglob("*") if path.is_file())
    if size > LARGEST:
        wrong.append(f"{TINY.name}: {size} bytes, more than {LARGEST}")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def write_models() -> list[str]:
    """Write what differs."""
    for name, content in model_files().items():
        path = TINY / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            print(f"wrote {name}")
    return []


def check_models() -> list[str]:
    """What is not what would be written."""
    files = model_files()
    wrong = [f"{name}: not what the script makes" for name in files if _read(TINY / name) != files[name]]
    shipped = {
        path.relative_to(TINY).as_posix() for folder in ("encoder", "decoder") for path in (TINY / folder).iterdir()
    }
    return wrong + [f"{name}: the script does not make it" for name in sorted(shipped - files.keys())]


def write_goldens() -> list[str]:
    """Write golden.json, unless what is there says the same."""
    from scripts.smoke_model import goldens

    new = goldens.goldens(str(TINY))
    if _read(TINY / "golden.json") and not _differences(new):
        return []
    text = json.dumps(new, ensure_ascii=False, separators=(",", ":"))
    (TINY / "golden.json").write_bytes(text.encode() + b"\n")
    print("wrote golden.json")
    return []


def check_goldens() -> list[str]:
    """Where what comes out is not what is recorded."""
    from scripts.smoke_model import goldens

    return _differences(goldens.goldens(str(TINY)))


def _differences(new: dict[str, object]) -> list[str]:
    from scripts.smoke_model import goldens

    old = json.loads((TINY / "golden.json").read_bytes())
    compared = {name: value for name, value in old.items() if name != "made"}
    return goldens.differences(
        compared, {name: value for name, value in new.items() if name != "made"}, old["tolerances"]["float32"]
    )


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
