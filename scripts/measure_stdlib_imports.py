"""Measure which modules of the standard library the libraries load, for hfdoctor/knowledge/stdlib_imports.json.

    python scripts/measure_stdlib_imports.py PYTHON [--write]

PYTHON is an interpreter that has torch and transformers. Each library is imported in a process of its own, the way
programs do it (for transformers with the classes that most programs begin with); what start-up had loaded before does
not count, since no file of a program can hide it. Without --write the table is printed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from pathlib import Path

TABLE = Path(__file__).parent.parent / "hfdoctor" / "knowledge" / "stdlib_imports.json"

#: what is imported for each package
STATEMENTS = {
    "torch": "import torch",
    "transformers": "import transformers; from transformers import AutoModel, AutoTokenizer, pipeline",
}

CHILD = """
import sys
before = set(sys.modules)
{statement}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
names = sorted((loaded & sys.stdlib_module_names) - {{name.partition(".")[0] for name in before}})
import json, platform
from importlib.metadata import version
print(json.dumps([version({package!r}), platform.python_version(), names]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure which modules of the standard library the libraries load.")
    parser.add_argument("python", help="an interpreter that has torch and transformers")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    options = parser.parse_args()
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    rows = []
    for package, statement in STATEMENTS.items():
        code = CHILD.format(statement=statement, package=package)
        ended = subprocess.run([options.python, "-I", "-c", code], capture_output=True, text=True, timeout=600)
        if ended.returncode:
            print(ended.stderr, file=sys.stderr)
            return 1
        release, python, modules = json.loads(ended.stdout.splitlines()[-1])
        source = f"sys.modules after `{statement}` with {package} {release} on Python {python}"
        rows.append({"as_of": today, "source": source, "package": package, "modules": modules})
    text = json.dumps({"table": "stdlib_imports", "rows": rows}, indent=1) + "\n"
    if options.write:
        TABLE.write_text(text, encoding="ascii")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
