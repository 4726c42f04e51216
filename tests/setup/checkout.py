"""A copy of this checkout in which the set-up really runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent

#: taken before any fixture replaces HOME: the installers need the person's own mirror settings and certificates
PERSON = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("HFDOCTOR_", "UV_", "PYTEST_")) and name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
}

#: stands in for hfdoctor's command line where a test is about what reaches it
ECHO = """
import json, os, signal, sys

def main():
    if sys.argv[1:] == ["--version"]:
        return print("hfdoctor of the tests")
    if sys.argv[1:2] == ["exit"]:
        sys.exit(int(sys.argv[2]))
    if sys.argv[1:2] == ["die"]:
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    told = {"words": sys.argv[1:], "by": os.environ.get("HFDOCTOR_LAUNCHED_BY"), "prefix": sys.prefix,
            "path": sys.path, "pythonpath": os.environ.get("PYTHONPATH")}
    print(json.dumps(told))

if __name__ == "__main__":
    main()
"""

#: the project without its dependencies
LIGHT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "hfdoctor"
dynamic = ["version"]
[project.optional-dependencies]
test = ["pytest"]
dev = []
[project.scripts]
hfdoctor = "hfdoctor.__main__:main"
[tool.hatch.version]
path = "hfdoctor/version.py"
[tool.pytest.ini_options]
testpaths = ["tests"]
"""


def program(prefix: Path, name: str) -> Path:
    return prefix / "Scripts" / f"{name}.exe" if os.name == "nt" else prefix / "bin" / name


def find_uv() -> Path | None:
    """The uv of the environment that runs the tests, or the one on the PATH."""
    beside = program(Path(sys.prefix), "uv")
    found = shutil.which("uv")
    return beside if beside.is_file() else Path(found) if found else None


def copy(folder: Path) -> Path:
    """Copy what git would publish of the project and its set-up."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    names = os.fsdecode(listed.stdout).split("\0") if listed.returncode == 0 else []
    if not names:  # an unpacked release has no git
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if ".venv" not in str(path)]
    for name in names:
        wanted = name.startswith(("hfdoctor/", "scripts/")) or name in ("pyproject.toml", "README.md", "LICENSE")
        if wanted and (ROOT / name).is_file() and not name.endswith(".pyc"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    if not (folder / "README.md").exists():
        (folder / "README.md").write_text("x")
    return folder


@dataclass
class Checkout:
    """One copy, and how ``scripts/bootstrap.py`` is started in it."""

    folder: Path
    #: added to the person's environment; an empty value removes the variable
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"

    @property
    def stamp(self) -> Path:
        return self.venv / "hfdoctor-setup.json"

    @property
    def bootstrap(self) -> Path:
        return self.folder / "scripts" / "bootstrap.py"

    def full_environ(self, **environ: str) -> dict[str, str]:
        wanted = {**PERSON, **self.environ, **environ}
        return {name: value for name, value in wanted.items() if value}

    def run(
        self, *words: str, python: Path | str = sys.executable, cwd: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run bootstrap.py with these words, to its end."""
        return subprocess.run(
            [python, self.bootstrap, *words],
            cwd=cwd or self.folder,
            env=self.full_environ(**environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=300,
            check=False,
        )

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """Start bootstrap.py in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, self.bootstrap, *words],
            cwd=self.folder,
            env=self.full_environ(**environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def echo(self) -> None:
        """Let hfdoctor's command line tell what it is given (the installation is editable)."""
        start = self.folder / "hfdoctor" / "__main__.py"
        settled, found, _ = start.read_text("utf-8").partition("import contextlib\n")  # what it does to sys.path stays
        assert found
        start.write_text(settled + ECHO, encoding="utf-8")

    def lighten(self) -> None:
        """Leave out what is installed beside the project, for tests that do not depend on it."""
        self.echo()
        (self.folder / "pyproject.toml").write_text(LIGHT, "ascii")

    def finished(self) -> bool:
        return bool(self.stamp.exists() and json.loads(self.stamp.read_bytes())["key"])


def told(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the echoing command line printed."""
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


def base_python() -> Path:
    """The installation behind the running Python."""
    return Path(getattr(sys, "_base_executable", "") or sys.executable)
