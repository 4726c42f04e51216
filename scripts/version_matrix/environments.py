"""Pythons of this machine, and environments with a pair of versions in them; uv makes them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .pairs import PYTHONS, Pair

#: seconds for an installation; the wheels of a CUDA build are 2 to 4 GB
INSTALL_S = 3600.0
#: what the table tells of an environment
TOLD = ("torch", "transformers", "tokenizers", "numpy", "safetensors", "accelerate", "tensorboard")
VERSIONS = f"""
import importlib.metadata as metadata, json, platform
versions = {{}}
for name in {TOLD!r}:
    try:
        versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps([platform.python_version(), versions]))
"""


class NotMade(Exception):
    """An environment that could not be made; its text is why, in one line."""


class Uv:
    """The program uv, and where it looks for wheels."""

    def __init__(self) -> None:
        """Raises NotMade where there is no uv."""
        found = shutil.which("uv")
        if found is None:
            try:
                import uv

                found = uv.find_uv_bin()
            except (ImportError, FileNotFoundError):
                raise NotMade("there is no uv: pip install uv") from None
        self.program = found
        self.environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        links = self.environ.get("PIP_FIND_LINKS", "").split()
        if links:  # uv has its own name for it, and commas
            self.environ.setdefault("UV_FIND_LINKS", ",".join(links))

    def run(self, *arguments: str, text: str | None = None) -> str:
        """What uv prints. Raises NotMade with the end of its complaint."""
        try:
            done = subprocess.run(
                [self.program, *arguments],
                env=self.environ,
                input=text,
                capture_output=True,
                encoding="utf-8",
                timeout=INSTALL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotMade(f"uv {arguments[0]} took longer than {INSTALL_S:g} s") from None
        if done.returncode:
            raise NotMade(complaint(done.stderr))
        return done.stdout

    def pythons(self) -> dict[str, Path]:
        """The newest Python of each minor version that this machine has and hfdoctor is for: "3.12" -> its program."""
        found: dict[tuple[int, ...], Path] = {}
        listed = json.loads(self.run("python", "list", "--only-installed", "--output-format", "json"))
        candidates = [
            (entry["version_parts"], Path(entry["path"]))
            for entry in listed
            if entry["implementation"] == "cpython" and entry.get("variant", "default") == "default"
        ]
        versions = [([parts["major"], parts["minor"], parts["patch"]], path) for parts, path in candidates]
        for path in (Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions").glob("3.*"):
            numbers = path.name.split(".")  # pyenv's own are not on the PATH, which is where uv looks
            program = path / ("python.exe" if os.name == "nt" else "bin/python")
            if all(number.isdecimal() for number in numbers) and program.exists():
                versions.append(([int(number) for number in numbers], program))
        for numbers_found, program in sorted(versions):
            if PYTHONS[0] <= tuple(numbers_found[:2]) <= PYTHONS[1]:
                found[tuple(numbers_found[:2])] = program
        return {".".join(map(str, key)): found[key] for key in sorted(found)}

    def resolve(self, pair: Pair, python: Path) -> dict[str, str]:
        """Which versions of which packages make up the pair on this Python. Raises NotMade where there are none."""
        lines = self.run(
            *("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:"),
            *("--python", str(python), "-"),
            text="\n".join(pair.requirements()),
        )
        names = [line.partition(";")[0].strip().partition("==") for line in lines.splitlines() if "==" in line]
        return {name: version for name, _, version in names}

    def make(self, folder: Path, python: Path, packages: dict[str, str]) -> Path:
        """An environment with these packages; returns its Python. Raises NotMade."""
        self.run("venv", "--quiet", "--python", str(python), str(folder))
        made = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        pins = [f"{name}=={version}" for name, version in packages.items()]
        self.run("pip", "install", "--quiet", "--python", str(made), "--no-deps", "--only-binary", ":all:", *pins)
        return made


def complaint(stderr: str) -> str:
    """The reason in uv's words, in one line: they are a tree, wrapped to the width of a terminal."""
    lines = [line.strip(" \t×╰─▶│├") for line in stderr.splitlines()]
    while lines and not lines[0].lower().startswith(("no solution", "error", "failed", "because")):
        lines.pop(0)  # warnings
    words = " ".join(" ".join(lines).split()) or "uv failed and did not say why"
    words = words.partition(" hint: ")[0]
    return words[max(0, words.find("Because ")) :][:600]  # what stands before a reason only says that there is one


def versions_in(python: Path) -> tuple[str, dict[str, str]]:
    """Python's own version and those of what the table tells. Raises NotMade where that Python does not answer."""
    try:
        done = subprocess.run([python, "-c", VERSIONS], capture_output=True, encoding="utf-8", timeout=120, check=True)
        version, versions = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise NotMade(f"its Python does not answer ({type(error).__name__})") from None
    return version, versions


def remove(folder: Path) -> None:
    """Remove an environment; say so where that fails."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        print(f"could not remove {folder}: {error}", file=sys.stderr)


def prefix(environment: Path) -> Path:
    """The Python of an environment that exists already. Raises NotMade."""
    for name in ("bin/python", "Scripts/python.exe"):
        if (environment / name).exists():
            return environment / name
    raise NotMade(f"no environment of Python in {environment}")
