"""The target is started and asked: real interpreters and environments, whole and damaged."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.facts.collect import TargetError
from tests.facts.pythons import interpreter, make_venv, observe, python_of, site_of

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(os.name == "nt", reason="environments of POSIX are damaged here"),
]

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return make_venv(tmp_path / "env")


@pytest.mark.parametrize("version", VERSIONS)
def test_facts_agree_with_sysconfig(tmp_path: Path, version: str) -> None:
    """What is computed without sysconfig is what sysconfig says, for interpreters and for environments of theirs."""
    python = interpreter(version)
    for asked in (python, python_of(make_venv(tmp_path / "env", python=python))):
        code = (
            "import sys, sysconfig, json; p = sysconfig.get_paths();"
            "print(json.dumps([p['purelib'], p['platlib'], p['scripts'], p['stdlib'], sysconfig.get_platform(),"
            " sysconfig.get_config_var('SOABI'), sys.prefix, sys.base_prefix, sys.version.split()[0]]))"
        )
        said = subprocess.run([str(asked), "-c", code], capture_output=True, text=True, check=True).stdout
        target = observe(asked)
        assert target.start.need().ok
        paths, told = target.paths.need(), target.interpreter.need()
        found = [paths.purelib, paths.platlib, paths.scripts, paths.stdlib, told.platform, told.soabi]
        import json

        assert [*found, told.prefix, told.base_prefix, told.version] == json.loads(said)
        assert target.isolated.need() == (asked != python or told.prefix != told.base_prefix)
        assert {"os", "random", "tokenize", "queue", "ssl"} <= set(target.stdlib_modules.need())
        fixed = set(target.fixed_modules.need())
        assert {"sys", "os", "builtins"} <= fixed and not {"tokenize", "queue"} & fixed
        assert all(fact.known or fact.absent for fact in (target.pip, target.externally_managed, target.pyvenv_cfg))


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_too_old_says_what_it_is(version: str) -> None:
    target = observe(interpreter(version))
    assert target.start.need().ok
    assert target.interpreter.need().version.startswith(version + ".")
    assert target.paths.status == "not-run" and "too old" in target.paths.reason


def test_environments_of_every_maker(tmp_path: Path) -> None:
    plain = observe(make_venv(tmp_path / "venv"))
    assert plain.kind.need() == "venv" and plain.isolated.need()
    assert plain.environment.need() == str(tmp_path / "venv") == plain.interpreter.need().prefix
    assert plain.base.need().exists
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv:
        command = [uv, "venv", "-q", "--offline", "--python", sys.executable, str(tmp_path / "uv")]
        subprocess.run(command, check=True)
        assert observe(tmp_path / "uv").kind.need() == "uv"
        assert observe(tmp_path / "uv").pip.absent
    wide = observe(make_venv(tmp_path / "wide", "--system-site-packages"))
    assert len(wide.paths.need().site_packages) > 1
    assert wide.paths.need().site_packages[0] == str(site_of(tmp_path / "wide"))
    pipx = make_venv(tmp_path / "pipx")
    (pipx / "pipx_metadata.json").write_text("{}")
    assert observe(pipx).kind.need() == "pipx"


def test_conda_layout(tmp_path: Path) -> None:
    """A conda prefix: an interpreter of its own with the standard library beside it, and conda-meta."""
    prefix = tmp_path / "conda"
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "conda-meta").mkdir()
    shutil.copy2(base / "bin" / version, prefix / "bin" / "python")
    skipped = shutil.ignore_patterns("site-packages", "test", "__pycache__", "config-*", "idlelib")
    shutil.copytree(base / "lib" / version, prefix / "lib" / version, ignore=skipped)
    (prefix / "lib" / version / "site-packages").mkdir()
    target = observe(prefix)
    if target.interpreter.need().prefix != str(prefix):
        pytest.skip("this interpreter cannot be moved")
    assert target.kind.need() == "conda" and target.isolated.need()
    assert target.pyvenv_cfg.absent and target.base.absent
    assert target.environment.need() == str(prefix)


def test_awkward_surroundings(tmp_path: Path, env: Path) -> None:
    korean = make_venv(tmp_path / "프로젝트 하나" / "환경")
    target = observe(korean, environ={"PATH": os.environ["PATH"], "LC_ALL": "C"})
    assert target.start.need().ok and target.environment.need() == str(korean)
    assert target.paths.need().purelib == str(site_of(korean))
    homeless = observe(env, environ={})
    assert homeless.start.need().ok and homeless.paths.known
    gone = tmp_path / "gone"
    assert observe(env, cwd=gone).start.need().ok


def test_the_inspection_leaves_nothing_behind(env: Path) -> None:
    (site_of(env) / "helper.py").write_text("")
    (site_of(env) / "x.pth").write_text("import helper\n")
    before = sorted(str(path) for path in env.rglob("*"))
    assert observe(env).start.need().ok
    assert sorted(str(path) for path in env.rglob("*")) == before


@pytest.mark.parametrize(
    "code",
    [
        'print("hfdoctor-facts:nonsense")',
        'import sys; sys.stdout.write("x" * 100)',
        "import sys; sys.stdout = None",
        "import atexit; atexit.register(print, 'later')",
        "import os, sys; sys.stdout = open(os.devnull, 'w')",
    ],
)
def test_noise_at_start_up_does_not_matter(env: Path, code: str) -> None:
    (site_of(env) / "sitecustomize.py").write_text(code + "\n")
    target = observe(env)
    assert target.start.need().ok
    assert [(module.name, module.error) for module in target.startup_modules.need()] == [("sitecustomize", "")]


def test_start_up_files_that_fail_are_named(env: Path) -> None:
    site = site_of(env)
    (site / "bad.pth").write_text("# a comment\n\nimport nothing_of_that_name\n/somewhere\n")
    (site / "more.pth").write_text("../../../nowhere\n.\n")
    (site / "sitecustomize.py").write_text('raise ValueError("boo")\n')
    target = observe(env)
    assert target.start.need().ok
    bad, more = target.pth_files.need()
    assert bad.path == str(site / "bad.pth") and bad.executes == ["import nothing_of_that_name"]
    assert bad.error.startswith("line 3: ModuleNotFoundError")
    assert more.adds == [str(site)] and more.missing == [str(env / "nowhere")] and not more.error
    module = target.startup_modules.need()[0]
    assert (module.path, module.error) == (str(site / "sitecustomize.py"), "ValueError: boo")


# -- it does not start -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.pth", b"import os; os._exit(3)\n", "exit code 3"),
        ("x.pth", b"import os; os._exit(0)\n", "exit code 0"),
        ("x.pth", b"caf\xe9\n", "0xe9"),
        ("sitecustomize.py", b"raise SystemExit(4)\n", "exit code 4"),
        ("sitecustomize.py", b"import os; os._exit(5)\n", "exit code 5"),
        ("sitecustomize.py", b"import os, signal; os.kill(os.getpid(), signal.SIGSEGV)\n", "SIGSEGV"),
    ],
)
def test_the_start_up_file_to_blame_is_found(env: Path, name: str, content: bytes, words: str) -> None:
    (site_of(env) / "a.pth").write_text("import sys\n")
    (site_of(env) / name).write_bytes(content)
    target = observe(env, environ={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
    start = target.start.need()
    assert (start.ok, start.trouble, start.culprit) == (False, "startup-file", str(site_of(env) / name))
    assert words in start.detail
    assert target.interpreter.need().prefix == str(env)
    assert target.paths.need().purelib == str(site_of(env))


@pytest.mark.slow
def test_a_start_up_file_that_never_ends(env: Path) -> None:
    (site_of(env) / "x.pth").write_text("import time; time.sleep(600)\n")
    began = time.monotonic()
    start = observe(env, timeout_s=30).start.need()
    assert time.monotonic() - began < 28
    assert (start.trouble, start.culprit) == ("startup-file", str(site_of(env) / "x.pth"))


def test_the_variable_to_blame_is_found(env: Path, tmp_path: Path) -> None:
    start = observe(env, environ={"PYTHONHOME": "/nowhere", "PYTHONUNBUFFERED": "1"}).start.need()
    assert (start.ok, start.trouble, start.culprit) == (False, "settings", "PYTHONHOME")
    (tmp_path / "path" / "encodings").mkdir(parents=True)
    (tmp_path / "path" / "encodings" / "__init__.py").write_text("raise ValueError")
    start = observe(env, environ={"PYTHONPATH": str(tmp_path / "path")}).start.need()
    assert (start.ok, start.trouble, start.culprit) == (False, "settings", "PYTHONPATH")
    assert observe(env, environ={"PYTHONHOME": sys.base_prefix}).start.need().ok


def test_base_gone(env: Path, tmp_path: Path) -> None:
    for link in (env / "bin").glob("python*"):
        link.unlink()
    python_of(env).symlink_to(tmp_path / "gone" / "python3.12")
    config = (env / "pyvenv.cfg").read_text().splitlines()
    gone = [f"home = {tmp_path / 'gone'}" if line.startswith("home") else line for line in config]
    (env / "pyvenv.cfg").write_text("\n".join(gone))
    target = observe(env)
    start = target.start.need()
    assert (start.ok, start.trouble) == (False, "base-gone") and str(tmp_path / "gone") in start.detail
    assert not target.base.need().exists
    # what can be had without starting it
    assert target.interpreter.status == "failed"
    assert target.kind.need() == "venv"
    assert target.paths.need().purelib == str(site_of(env)) and "does not start" in target.paths.source
    python_of(env).unlink()
    assert observe(env).start.need().trouble == "no-interpreter"


@pytest.mark.parametrize(
    ("content", "mode", "trouble"),
    [
        (b"hello", 0o755, "not-python"),
        (b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\x00\x28\x00" + bytes(200), 0o755, "wrong-architecture"),
        (b"#!/nowhere/python\n", 0o755, "missing-library"),
        (b"#!/bin/sh\nexit 7\n", 0o755, "other"),
        (b"#!/bin/sh\necho hello\n", 0o755, "not-python"),
        (b"#!/bin/sh\nkill -ABRT $$\n", 0o755, "crashed"),
        (b"", 0o755, "not-python"),
    ],
)
def test_something_else_in_place_of_the_interpreter(env: Path, content: bytes, mode: int, trouble: str) -> None:
    python_of(env).unlink()
    python_of(env).write_bytes(content)
    python_of(env).chmod(mode)
    start = observe(env).start.need()
    assert (start.ok, start.trouble) == (False, trouble), start


def test_no_right_to_run_it(env: Path) -> None:
    python_of(env).unlink()
    shutil.copy2(Path(sys.executable).resolve(), python_of(env))
    python_of(env).chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert observe(env).start.need().trouble == "not-executable"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can make files of two users")
def test_the_python_of_another_user(env: Path, tmp_path: Path) -> None:
    """chmod would not help: neither where the base is closed to us nor where the file is another's."""
    base = tmp_path / "root" / "python"
    base.parent.mkdir()
    shutil.copy2(Path(sys.executable).resolve(), base)
    python_of(env).unlink()
    python_of(env).symlink_to(base)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to("/tmp/") and folder != Path("/tmp"):
            folder.chmod(0o755)
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); import tests.facts.pythons as pythons\n"
        "from hfdoctor.facts.child import run_child\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "start = pythons.observe(sys.argv[2], environ={}).start.need()\n"
        "print(start.trouble, start.detail)\n"
    )
    command = [sys.executable, "-B", "-c", code, str(Path(__file__).parents[2]), str(env)]

    def said() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout

    base.parent.chmod(0o700)
    assert said().startswith("forbidden") and "which this user may not open" in said()
    base.parent.chmod(0o755)
    base.chmod(0o700)
    assert said().startswith("forbidden")
    os.chown(base, 65534, 65534)
    base.chmod(0o600)
    assert said().startswith("not-executable")


def test_another_program(env: Path, tmp_path: Path) -> None:
    """Inside an environment it is damage, named by itself it is bad input."""
    shutil.copy2("/bin/ls", python_of(env).with_name("new"))
    python_of(env).with_name("new").replace(python_of(env))
    assert observe(env).start.need().trouble == "not-python"
    (tmp_path / "else").mkdir()
    shutil.copy2("/bin/ls", tmp_path / "else" / "python3")
    with pytest.raises(TargetError, match="not a Python interpreter"):
        observe(tmp_path / "else" / "python3")


def test_without_its_config_it_is_not_itself(env: Path) -> None:
    (env / "pyvenv.cfg").unlink()
    target = observe(env)
    assert target.start.need().ok
    assert target.environment.need() == str(env) != target.interpreter.need().prefix


@pytest.mark.parametrize("content", [b"\xff\xfe\x00home", b"\x80" * 300])
def test_config_that_is_no_text(env: Path, content: bytes) -> None:
    (env / "pyvenv.cfg").write_bytes(content)
    start = observe(env).start.need()
    assert (start.ok, start.trouble) == (False, "broken-config")


def test_a_shim_is_replaced_by_what_it_starts(tmp_path: Path) -> None:
    shim = tmp_path / "shims" / "python"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    shim.chmod(0o755)
    target = observe(shim)
    assert target.chosen.need().python == sys.executable


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take only UTF-8")
def test_a_path_that_is_no_text_stays_a_path(tmp_path: Path) -> None:
    env = make_venv(tmp_path / "env")
    strange = Path(os.fsdecode(os.fsencode(tmp_path / "strange") + b"\xff\xfe"))
    env.rename(strange)
    target = observe(strange)
    assert target.environment.need() == str(strange) == target.interpreter.need().prefix
    assert Path(target.paths.need().purelib).is_dir()
