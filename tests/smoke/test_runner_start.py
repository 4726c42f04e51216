"""How the child begins: on every Python, beside whatever lies in the person's folder or in a start-up file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.facts.pythons import interpreter
from tests.smoke.made import SOUND
from tests.smoke.watched import Bench, made_bench

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="test_runner_windows.py has what Windows does"),
]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    temp = Path(tempfile.mkdtemp(prefix="hfd-test-", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    try:
        yield from made_bench(tmp_path, temp)
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def outcome_of_script(bench: Bench, code: str) -> str:
    """What ``python script.py`` in the person's folder makes of ``code``: "" or the type of its error."""
    script = bench.work / "script.py"
    script.write_text(code)
    done = subprocess.run(
        [bench.python, "-B", str(script)],
        env=bench.environ(),
        cwd=bench.work,
        capture_output=True,
        text=True,
        check=False,
    )
    script.unlink()
    return done.stderr.strip().rpartition("\n")[2].partition(":")[0] if done.returncode else ""


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"])
def test_every_python(bench: Bench, version: str) -> None:
    """Also where every warning is an error: none of them may be ours."""
    bench.python = str(interpreter(version))
    ends = {"torch": "import os; os._exit(3)"}
    stages = bench.run({**ends, "numpy": f"import warnings\n{SOUND['numpy']}"}, PYTHONWARNINGS="error")
    assert [stage.outcome for stage in stages.values()] == ["pass", "pass", "pass", "fail", "skip"], stages
    assert stages["import torch"].error == "exit 3"


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.12", "3.13", "3.14"])
def test_every_python_hangs_alike(bench: Bench, version: str) -> None:
    bench.python = str(interpreter(version))
    stage = bench.run({"numpy": "import time\ndef in_here():\n    time.sleep(60)\nin_here()"}, timeout_s=1)[
        "import numpy"
    ]
    assert stage.error == "timeout" and any("in_here" in line for line in stage.trace)


# -- the person's folder ----------------------------------------------------------------------------------------------

NAMES = (
    "json",
    "random",
    "typing",
    "enum",
    "re",
    "token",
    "traceback",
    "contextlib",
    "importlib",
    "resource",
    "copyreg",
)
NAMES += ("faulthandler", "time", "os", "hfdoctor_smoke", "main", "teller", "imports", "encodings")


@pytest.mark.parametrize("name", NAMES)
def test_a_namesake_in_the_folder_trips_the_libraries_and_not_the_doctor(bench: Bench, name: str) -> None:
    (bench.work / f"{name}.py").write_text("raise LookupError('mine')\n")
    code = "import json, random, typing, enum, re, traceback, contextlib, importlib.util, faulthandler, time, os\n"
    expected = outcome_of_script(bench, code)
    assert expected == "LookupError" or name not in ("json", "random", "enum", "traceback")
    stages = bench.run({"numpy": code + SOUND["numpy"]})
    assert stages["import numpy"].error == expected, stages["import numpy"]
    if expected:
        assert stages["import numpy"].message == "mine"
        assert str(bench.work / f"{name}.py") in stages["import numpy"].trace[-1]
    others = [stage for stage in stages.values() if stage.subject in ("safetensors", "tokenizers", "torch")]
    assert [stage.outcome for stage in others] == ["pass"] * 3
    shutil.rmtree(bench.work)
    bench.work.mkdir()


def test_a_library_of_the_folder_comes_first(bench: Bench) -> None:
    (bench.work / "torch.py").write_text("x = 1\n")
    stage = bench.run()["import torch"]
    assert stage.error == "AttributeError" and stage.facts["file"] == str(bench.work / "torch.py")
    (bench.work / "torch.py").unlink()


def test_a_folder_whose_name_is_no_text(bench: Bench) -> None:
    own = bench.work
    bench.work = own / os.fsdecode(b"caf\xe9")
    bench.work.mkdir()
    (bench.work / "torch.py").write_text("raise LookupError(__file__)\n")
    stages = bench.run()
    assert stages["import numpy"].outcome == "pass" and stages["import torch"].error == "LookupError"
    assert "caf\ufffd" in stages["import torch"].message
    shutil.rmtree(bench.work)
    bench.work = own


def test_a_safe_path_leaves_the_folder_out(bench: Bench) -> None:
    (bench.work / "torch.py").write_text("x = 1\n")
    expected = "pass" if sys.version_info >= (3, 11) else "fail"  # older ones do not know the variable
    assert bench.run(PYTHONSAFEPATH="1")["import torch"].outcome == expected
    (bench.work / "torch.py").unlink()


def test_relative_entries_of_the_path_mean_the_persons_folder(bench: Bench) -> None:
    (bench.work / "lib").mkdir()
    bench.libraries()
    shutil.move(bench.site / "tokenizers", bench.work / "lib" / "tokenizers")
    code = "import os, sys\nassert os.path.samefile(sys.path[0], os.getcwd()) and sys.argv[1:] == []\n"
    stages = bench.run({"numpy": code + SOUND["numpy"], "tokenizers": "raise LookupError('the other one')"})
    assert stages["import tokenizers"].message == "the other one" and stages["import numpy"].outcome == "pass"
    shutil.rmtree(bench.site / "tokenizers")
    bench.libraries = lambda changes=None: None  # type: ignore[method-assign]
    environ = bench.environ
    bench.environ = lambda **more: environ(**{**more, "PYTHONPATH": f"{bench.site}:lib"})  # type: ignore[method-assign]
    assert bench.run()["import tokenizers"].facts["file"] == str(bench.work / "lib" / "tokenizers" / "__init__.py")
    shutil.rmtree(bench.work / "lib")


def test_what_is_written_beside_itself_is_removed(bench: Bench) -> None:
    """The stages after the imports run elsewhere: a library that writes into "here" leaves nothing in the folder."""
    act = "__version__ = '5.23.0'\nAutoModel = object\nasked = []\ndef __getattr__(name):\n    asked.append(name)\n"
    act += "    if asked == ['AutoTokenizer']:\n        return object\n"
    act += "    open('left.txt', 'w').close()\n    raise OSError('wrote it')\n"
    stages = bench.run({"transformers": act}, level="tokenizer")
    assert stages["import transformers"].outcome == "pass" and stages["tokenizer"].message == "wrote it"


# -- start-up files ---------------------------------------------------------------------------------------------------

STARTS = {
    "prints": "print('{\"end\": true}', flush=True); import sys; print('hello', file=sys.stderr)",
    "prints without an end": "import sys; sys.stdout.write('x' * 5000); sys.stdout.flush()",
    "replaces the streams": "import io, sys; sys.stdout = io.StringIO(); sys.stderr = io.StringIO()",
    "has no streams": "import sys; sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None",
    "puts itself first": "import sys; sys.path.insert(0, '/nonexistent')",
    "has imported much": "import json, typing, random, threading, logging, importlib.util, traceback",
    "leaves at exit": "import atexit; atexit.register(print, 'bye')",
    "has a thread": "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
}


@pytest.mark.parametrize("act", STARTS)
def test_start_up_files_do_no_harm(bench: Bench, act: str) -> None:
    (bench.site / "sitecustomize.py").write_text(STARTS[act])
    stages = bench.run()
    assert [stage.outcome for stage in stages.values()] == ["pass"] * 5, stages


def test_a_home_that_is_none(bench: Bench) -> None:
    stage = bench.run(PYTHONHOME=str(bench.site))["import numpy"]
    assert stage.outcome == "fail" and stage.error == "exit 1"
    assert any("encodings" in line for line in [*stage.printed, *stage.trace]), stage


def test_nothing_of_ours_is_on_the_path(bench: Bench) -> None:
    code = "import sys\nassert not [entry for entry in sys.path if 'hfdoctor' in entry], sys.path\n"
    stages = bench.run({"numpy": code + SOUND["numpy"]})
    assert stages["import numpy"].outcome == "pass", stages["import numpy"].message


def test_workers_that_multiprocessing_spawns(bench: Bench) -> None:
    """They load the script again, under another name, and find what the stages are made of."""
    act = (
        "if __name__ == 'numpy':\n    import multiprocessing, sys\n"
        "    teller = sys.modules['hfdoctor_smoke.teller']\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        assert pool.apply(teller.legible, ('x',)) == 'x'\n"
    )
    stages = bench.run({"numpy": act + SOUND["numpy"]}, timeout_s=30)
    assert stages["import numpy"].outcome == "pass", stages["import numpy"]
    assert stages["import torch"].outcome == "pass"
