"""The rooms import one way, and nothing that must stay light or pure does otherwise."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "hfdoctor"

#: room -> the rooms it may import from
MAY_IMPORT = {
    "cli": {
        "cli",
        "install",
        "smoke",
        "hubcache",
        "remedies",
        "reports",
        "conditions",
        "facts",
        "binaries",
        "knowledge",
    },
    # what a fix would change and what became of it is remedies' plain data
    "reports": {"reports", "remedies", "conditions", "facts", "knowledge"},
    "install": {"install", "conditions", "facts", "binaries", "knowledge"},
    "smoke": {"smoke", "conditions", "facts", "binaries", "knowledge"},
    "hubcache": {"hubcache", "conditions", "facts", "binaries", "knowledge"},
    "remedies": {"remedies", "conditions", "facts", "binaries", "knowledge"},
    "conditions": {"conditions", "facts", "binaries", "knowledge"},
    "facts": {"facts", "binaries", "knowledge"},
    "binaries": {"binaries", "knowledge"},
    "knowledge": {"knowledge"},
}
PATIENTS = {"torch", "transformers", "numpy", "tokenizers", "safetensors", "huggingface_hub", "tensorflow", "keras"}
#: what a condition may not import: it starts no process, opens no file, prints nothing
TOUCHING = {
    "os",
    "subprocess",
    "socket",
    "click",
    "rich",
    "shutil",
    "tempfile",
    "winreg",
    "ctypes",
    "psutil",
    "glob",
    "io",
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """The dotted names that a module imports anywhere in it, relative ones resolved."""
    here = ["hfdoctor", *path.relative_to(PACKAGE).with_suffix("").parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{name}.{alias.name}" for alias in node.names}
    return frozenset(found)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    own = {name.split(".")[1] for name in imports(path) if name.startswith("hfdoctor.") and name.count(".") >= 1}
    if room in MAY_IMPORT:
        assert own & set(MAY_IMPORT) <= MAY_IMPORT[room]


#: what runs inside the target interpreter, in a process of its own
CHILD = PACKAGE / "smoke" / "child"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_patients_are_never_imported(path: Path) -> None:
    if path.parent == CHILD:
        return
    assert not {name.split(".")[0] for name in imports(path)} & PATIENTS
    # of the child's modules only that which imports no library while it is loaded
    child = {name for name in imports(path) if name.startswith("hfdoctor.smoke.child.")}
    assert not {name for name in child if not name.startswith("hfdoctor.smoke.child.teller")}


@pytest.mark.parametrize("path", sorted(CHILD.glob("*.py")), ids=lambda p: p.name)
def test_the_child_stands_alone(path: Path) -> None:
    """It runs where hfdoctor is not installed, and takes the libraries only inside functions."""
    own = {name for name in imports(path) if name.startswith("hfdoctor.")}
    assert all(name.startswith("hfdoctor.smoke.child") for name in own)
    top = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {(node.module or "").split(".")[0] for node in top if isinstance(node, ast.ImportFrom) and not node.level}
    assert names <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", sorted((PACKAGE / "conditions").glob("*.py")), ids=lambda p: p.name)
def test_conditions_are_pure(path: Path) -> None:
    top = {name.split(".")[0] for name in imports(path)}
    assert not top & TOUCHING
    assert not {name for name in imports(path) if name.startswith("hfdoctor.facts.probes")}
    assert not {name for name in imports(path) if name in ("pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath")}


@pytest.mark.allow_subprocess
def test_start_up_loads_nothing_slow() -> None:
    """A check in a pipe loads neither rich nor TLS nor an HTTP client: they cost more than the whole check may."""
    slow = {"rich", "ssl", "urllib.request", "http.client", "asyncio", "importlib.metadata"}
    code = "import sys; from hfdoctor.cli import run; run(['check', '--timeout', '20'])\n"
    code += f"print(sorted({slow!r} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=PACKAGE.parent)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_files_stay_small() -> None:
    long = {str(p.relative_to(PACKAGE)): n for p in modules() if (n := len(p.read_text("utf-8").splitlines())) > 450}
    assert not long
