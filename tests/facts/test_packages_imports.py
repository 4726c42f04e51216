"""``--deep``: the target imports the packages itself, and what is called an error really stops it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.facts.child import Ended
from hfdoctor.facts.collect import collect
from hfdoctor.facts.probes.imports import judge
from hfdoctor.facts.snapshot import Snapshot
from tests.facts.damaged_env import Patient, link_tree

ANSWER = b'noise\n\nhfdoctor-import {"version": "2.6.0", "error": "", "message": ""}\n'


def test_a_good_end() -> None:
    trial = judge("torch", Ended(0, ANSWER, b""))
    assert (trial.ok, trial.version, trial.error) == (True, "2.6.0", "")


@pytest.mark.parametrize(
    ("ended", "error"),
    [
        (Ended(None, b"", b"", timed_out=True), "timeout"),
        (Ended(-11, b"", b"Fatal Python error: Segmentation fault", signal="SIGSEGV"), "signal SIGSEGV"),
        (Ended(-6, ANSWER, b"OMP: Error #15", signal="SIGABRT"), "signal SIGABRT"),
        (Ended(3, b"", b""), "exit 3"),
        (Ended(3221225477, b"", b""), "exit 0xC0000005"),
        (Ended(0, b"", b""), "no-answer"),
        (Ended(0, b"\nhfdoctor-import {bro", b""), "no-answer"),
        (Ended(0, b'\nhfdoctor-import {"version": "", "error": "OSError", "message": "x"}\n', b""), "OSError"),
    ],
)
def test_a_bad_end(ended: Ended, error: str) -> None:
    trial = judge("torch", ended)
    assert (trial.ok, trial.error) == (False, error)


def test_bytes_that_are_no_text_survive() -> None:
    trial = judge("torch", Ended(1, b"\xff\xfe", b"\xed\xa0\x80 \xff\n" * 50))
    assert len(trial.stderr.splitlines()) == 12


def make_env(folder: Path, **modules: str) -> Path:
    """A real virtual environment with hand-made packages of these names and sources."""
    import subprocess

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [site] = {path.resolve() for path in folder.glob("[Ll]ib*/**/site-packages")}
    for name, source in modules.items():
        (site / f"{name}.py").write_text(source)
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n")
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").write_text(f"{name}.py,,{len(source)}\n{name}-1.0.dist-info/RECORD,,\n")
    return folder


def deep(env: Path, timeout_s: float = 60.0) -> Snapshot:
    environ = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
    return collect(str(env), deep=True, timeout_s=timeout_s, cwd=env, environ={**environ, "MARK": "theirs"})


@pytest.mark.allow_subprocess
@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_crash_a_hang_and_an_exit_are_observed(tmp_path: Path) -> None:
    env = make_env(
        tmp_path / "env",
        numpy="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        safetensors="import os; os._exit(7)",
        tokenizers="import time; time.sleep(600)",
    )
    snapshot = deep(env, timeout_s=8.0)
    errors = {trial.package: trial.error for trial in snapshot.packages.imports.need()}
    assert errors == {"numpy": f"signal {signal.SIGSEGV.name}", "safetensors": "exit 7", "tokenizers": "timeout"}
    [finding] = [f for f in diagnose(snapshot).findings if f.condition == "broken-install" and f.outcome == "fail"]
    assert (finding.severity, finding.basis) == ("error", "observed")
    assert "numpy" in finding.summary
    assert "SIGSEGV" in finding.summary


@pytest.mark.allow_subprocess
def test_the_child_has_the_persons_environment_and_not_their_folder(tmp_path: Path) -> None:
    source = "import os, sys\nzeros = min\n__version__ = os.environ['MARK'] + str('' in sys.path)\nzeros = None\n"
    env = make_env(tmp_path / "env", numpy=source)
    (env / "numpy.py").write_text("raise SystemExit('the file of the folder the person works in')")
    [trial] = deep(env).packages.imports.need()
    assert trial.version == "theirsFalse"
    assert trial.error == "TypeError"  # zeros is None: the use after the import is tried too


@pytest.mark.allow_subprocess
@pytest.mark.parametrize(("warns", "tried"), [("", False), ("Failed to initialize NumPy: _ARRAY_API not found", True)])
def test_tensors_are_turned_into_arrays_where_that_is_in_doubt(warns: str, tried: bool, tmp_path: Path) -> None:
    source = f"import sys\nprint({warns!r}, file=sys.stderr)\n"
    source += "class ones:\n def __init__(self, n): pass\n def sum(self): return self\n def item(self): return 2\n"
    source += " def numpy(self): raise RuntimeError('Numpy is not available')\n"
    env = make_env(tmp_path / "env", torch=source)
    trials = {trial.package: trial for trial in deep(env).packages.imports.need()}
    assert trials["torch"].ok
    assert ("torch.numpy" in trials) is tried
    assert not tried or trials["torch.numpy"].message == "Numpy is not available"


@pytest.mark.allow_subprocess
def test_nothing_is_imported_without_deep(tmp_path: Path) -> None:
    env = make_env(tmp_path / "env", numpy=f"open({str(tmp_path / 'imported')!r}, 'w').close()")
    collect(str(env), cwd=tmp_path, environ={"PATH": os.environ["PATH"]})
    assert not (tmp_path / "imported").exists()


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.allow_subprocess
class TestRealImports:
    """With the real packages: what is called an error stops them, what was seen working is none."""

    @pytest.fixture(scope="class")
    @classmethod
    def env(cls, torch_env: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        env = tmp_path_factory.mktemp("real") / "env"
        link_tree(torch_env, env)
        return env

    @pytest.fixture
    def patient(self, env: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
        [site] = {path.resolve() for path in env.glob("[Ll]ib*/**/site-packages")}
        patient = Patient(site, env.parent / tmp_path.name)
        yield patient
        patient.heal()

    def test_undamaged(self, torch_env: Path) -> None:
        snapshot = deep(torch_env, 300.0)
        trials = snapshot.packages.imports.need()
        assert [trial.package for trial in trials if not trial.ok] == []
        assert [trial.package for trial in trials][-2:] == ["torch", "transformers"]
        assert not diagnose(snapshot).failed()

    def test_lost_metadata_of_a_requirement_stops_transformers(self, env: Path, patient: Patient) -> None:
        patient.remove(patient.find("tqdm-*.dist-info/METADATA"))
        snapshot = deep(env, 300.0)
        trials = {trial.package: trial for trial in snapshot.packages.imports.need()}
        assert not trials["transformers"].ok
        assert "tqdm" in trials["transformers"].message
        [finding] = [f for f in diagnose(snapshot).failed() if f.condition == "broken-install"]
        assert finding.severity == "error"
        assert "tqdm" in finding.summary

    def test_what_was_seen_working_is_no_error(self, env: Path, patient: Patient) -> None:
        patient.remove(patient.find("transformers/models/bert/modeling_bert.py"))
        snapshot = deep(env, 300.0)
        assert all(trial.ok for trial in snapshot.packages.imports.need())
        [finding] = [f for f in diagnose(snapshot).failed() if f.condition == "broken-install"]
        assert finding.severity == "warning"
