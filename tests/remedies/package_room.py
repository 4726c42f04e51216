"""What the tests of package changes share: a real environment, an index with tiny wheels, and how they are compared."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from uv import find_uv_bin

from hfdoctor.conditions.changes import PackageChange
from hfdoctor.remedies.kinds.packages import PackagesAction, prepare_packages
from hfdoctor.remedies.kinds.registered import Kind

from .index import Index
from .made import workplace
from .tree_states import tree_state
from .wheels import make_wheel

OLD = {"hub/__init__.py": "__version__ = '1.0'\n", "hub/old_part.py": "x = 1\n", "hub/data/a.txt": "old\n"}
NEW = {"hub/__init__.py": "__version__ = '2.0'\n", "hub/new_part.py": "y = 2\n", "hub/data/b.txt": "new\n"}


class Room:
    """A folder with an environment in ``env`` and an index."""

    def __init__(self, folder: Path, index: Index, cache: Path) -> None:
        self.folder = folder
        self.index = index
        self.env = folder / "env"
        self.environ: dict[str, str] = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "UV_CACHE_DIR": str(cache),
            "UV_DEFAULT_INDEX": index.url,
            "UV_HTTP_RETRIES": "0",
            "PIP_CONFIG_FILE": os.devnull,
        }
        self.number = 0

    @property
    def python(self) -> Path:
        return self.env / "bin" / "python"

    @property
    def library(self) -> Path:
        return next((self.env / "lib").glob("python3*")) / "site-packages"

    def uv(self, *words: str) -> None:
        ended = subprocess.run([find_uv_bin(), *words], env=self.environ, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr.decode()

    def create(self, *packages: str) -> None:
        self.uv("venv", "--quiet", "--python", sys.executable, str(self.env))
        if packages:
            self.install(*packages)

    def install(self, *words: str) -> None:
        """What a person does by hand."""
        self.uv("pip", "install", "--quiet", "--python", str(self.python), *words)

    def wheel(self, name: str, version: str, files: Mapping[str, str] | None = None, **more: object) -> Path:
        return make_wheel(self.index.folder, name, version, files, **more)  # type: ignore[arg-type]

    def two_versions(self) -> None:
        """A package of which the newer release has other files, needs another package, and has a script and data."""
        self.wheel("hub", "1.0", OLD, scripts={"hub": "hub.old_part:x"})
        more = {"share/hub.txt": "2"}
        self.wheel("hub", "2.0", NEW, scripts={"hub": "hub.new_part:y"}, requires=["needed>=1"], data=more)
        self.wheel("needed", "1.5")

    def prepare(self, *install: str, python: Path | None = None, **options: object) -> PackagesAction:
        """A prepared change (of ``env``, or of the environment of ``python``), through the journal's JSON once."""
        self.number += 1
        change = PackageChange(str(python or self.python), install, **options)  # type: ignore[arg-type]
        place = workplace(self.folder / "work", environ=self.environ, token=f"{self.number:08x}")
        (self.folder / "work").mkdir(exist_ok=True)
        action = prepare_packages(change, place)
        again = msgspec.json.decode(msgspec.json.encode(action), type=Kind)
        assert isinstance(again, PackagesAction)
        assert again == action
        again.__dict__["environ"] = dict(self.environ)
        return again

    def state(self) -> object:
        return tree_state(self.env, folder_times=True)

    def says(self, code: str) -> str:
        """What the environment's Python prints; it compiles what it imports."""
        words = [str(self.python), "-c", code]
        ended = subprocess.run(words, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()


@pytest.fixture
def room(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with Index(tmp_path / "wheels") as index:
        yield Room(tmp_path, index, tmp_path_factory.getbasetemp() / "uv-cache")
