"""The elevated child: how it is started, and that it accepts its own plan alone; see inside.py, cases_elevation.py."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hfdoctor.remedies import elevated_child, elevation, plan_file
from hfdoctor.remedies.kinds.registered import prepare
from hfdoctor.remedies.kinds.registry import RegistryAction

from . import exports
from .cases_elevation import ON, REAL_START, exported, no_administrator, started_by, state
from .cases_registry import FILE_SYSTEM, LONG_PATHS, place, through_journal


def case_the_child_is_started_alone() -> None:
    """Nothing that a person's settings or folders could put in its way is looked at."""
    trap = Path(tempfile.mkdtemp())
    caught = trap / "caught"
    evil = f"open({str(caught)!r}, 'w')\n"
    for name in ("json", "hashlib", "base64", "sitecustomize", "usercustomize", "raw_registry", "plan_file"):
        (trap / f"{name}.py").write_text(evil)
    kept = dict(os.environ), Path.cwd()
    os.environ.update(PYTHONPATH=str(trap), PYTHONSTARTUP=str(trap / "json.py"), PYTHONHOME=str(trap))
    os.chdir(trap)
    no_administrator()
    action = through_journal(prepare(LONG_PATHS, place()))
    try:
        with state() as folder, started_by(REAL_START) as asked:
            elevation.together([action], "apply", folder)
            elevation.together([action], "undo", folder)
    finally:
        os.environ.clear()
        os.environ.update(kept[0])
        os.chdir(kept[1])
    assert not caught.exists()
    python, *options, child, plan, sha256 = asked[0]
    assert options == ["-I", "-S", "-B"]
    assert all(Path(path).is_absolute() for path in (python, child, plan))
    assert len(sha256) == 64


def made_plan(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> tuple[Path, str]:
    """A plan that the child would accept, or what ``change`` makes of it, with the hash that fits it."""
    action = through_journal(prepare(LONG_PATHS, place()))
    assert isinstance(action, RegistryAction)
    data = elevation.plan_bytes([action], "apply", "f00d", False)
    if change is not None:
        document = json.loads(data)
        change(document)
        data = json.dumps(document).encode()
    path = folder / "elevate-f00d.json"
    plan_file.write_private(str(path), data)
    return path, hashlib.sha256(data).hexdigest()


def child(path: str | Path, sha256: str) -> int:
    """The child itself, in this process: the same code, files and registry."""
    return elevated_child.main([str(path), sha256])


def case_the_child_accepts_only_its_plan() -> None:
    before = exported()
    changes: list[Callable[[dict[str, Any]], None]] = [
        lambda plan: plan["values"][0].update(key=rf"{FILE_SYSTEM}\..\Lsa"),
        lambda plan: plan["values"][0].update(kind="command"),
        lambda plan: plan.update(format="hfdoctor.elevated/2"),
        lambda plan: plan.update(made=time.time() - 3600),
        lambda plan: plan.update(owner="S-1-5-21-9-9-9-9999"),
        lambda plan: plan.update(nonce="another"),
    ]
    for change in changes:
        with tempfile.TemporaryDirectory() as folder:
            assert child(*made_plan(Path(folder), change)) == 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, sha256 = made_plan(folder)
        assert child(path, "0" * 64) == 2
        assert child(path.with_name("gone.json"), sha256) == 2
        assert child(rf"\\?\{path}", sha256) == 2
        assert child(path.parent / "x" / ".." / path.name, sha256) == 2
        assert child(path.name, sha256) == 2
        data = path.read_bytes()
        # edited by hand, to the same length
        path.write_bytes(data.replace(b'"apply"', b'"undo" '))
        assert child(path, sha256) == 2
        path.write_bytes(data)
        # a second name, a folder (Wine 8 makes no symbolic links)
        os.link(path, folder / "second")
        assert child(path, sha256) == 2
        (folder / "second").unlink()
        assert child(folder, sha256) == 2
        # open for everybody to read, or too large
        public = folder / "public"
        public.mkdir()
        (public / path.name).write_bytes(data)
        assert child(public / path.name, sha256) == 2
        huge = folder / "huge"
        huge.mkdir()
        large = data + b" " * plan_file.LIMIT
        plan_file.write_private(str(huge / path.name), large)
        assert child(huge / path.name, hashlib.sha256(large).hexdigest()) == 2
        assert exported() == before
        # and after all that its own plan is still good, in a process of its own
        argv = elevation.command(str(path), sha256)
        assert subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    assert exports.changes(before, exported()) == {
        (FILE_SYSTEM.upper(), "LongPathsEnabled"): (before.get((FILE_SYSTEM, "LongPathsEnabled"), "gone"), ON)
    }
    exports.remove(FILE_SYSTEM, "LongPathsEnabled")


def case_a_plan_is_not_written_over_another_file() -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "there"
        path.write_bytes(b"theirs")
        try:
            plan_file.write_private(str(path), b"ours")
        except FileExistsError:
            pass
        else:
            raise AssertionError("the file of somebody else was overwritten")
        assert path.read_bytes() == b"theirs"


def case_in_a_virtual_environment_the_base_runs() -> None:
    kept = sys.executable, getattr(sys, "_base_executable", None)
    with tempfile.TemporaryDirectory() as name:
        python = Path(name) / "Scripts" / "python.exe"
        python.parent.mkdir()
        python.touch()
        sys.executable = str(python)
        try:
            assert elevation.command("plan", "0")[0] == kept[1]
        finally:
            sys.executable = kept[0]
