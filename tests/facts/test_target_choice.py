"""Which interpreter is chosen: by its layout on disk alone, nothing is started."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hfdoctor.facts.collect import TargetError
from hfdoctor.facts.probe import Request
from hfdoctor.facts.probes.choose_target import Choice, Self, choose

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the layouts made here are those of POSIX")


def program(path: Path, content: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)
    return path


def venv(folder: Path, *marks: str) -> Path:
    program(folder / "bin" / "python")
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    for mark in marks:
        (folder / mark).write_text("")
    return folder


def conda(folder: Path) -> Path:
    program(folder / "bin" / "python")
    (folder / "conda-meta").mkdir()
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Self:
    """hfdoctor, installed by pipx."""
    prefix = venv(tmp_path / "tool", "pipx_metadata.json")
    base = program(tmp_path / "base" / "bin" / "python3.12")
    return Self(str(prefix / "bin" / "python"), str(prefix), str(base))


def pick(
    tmp_path: Path, own: Self, python: str | None = None, cwd: Path | None = None, **environ: str
) -> Choice | None:
    (tmp_path / "here").mkdir(exist_ok=True)
    return choose(Request(python=python, cwd=cwd or tmp_path / "here", environ={"PATH": "", **environ}), own)


def test_the_active_environment_comes_first(tmp_path: Path, own: Self) -> None:
    active = venv(tmp_path / "active")
    here = venv(tmp_path / "here" / ".venv")
    choice = pick(tmp_path, own, VIRTUAL_ENV=str(active))
    assert choice is not None
    assert choice.python == str(active / "bin" / "python")
    assert choice.environment == str(active)
    assert "VIRTUAL_ENV" in choice.because
    assert choice.candidates == {str(here / "bin" / "python"): ".venv here"}


def test_the_environment_here_comes_before_conda_base(tmp_path: Path, own: Self) -> None:
    base = conda(tmp_path / "conda")
    here = venv(tmp_path / "here" / ".venv")
    choice = pick(tmp_path, own, CONDA_PREFIX=str(base), CONDA_DEFAULT_ENV="base")
    assert choice is not None and choice.environment == str(here)
    (here / "pyvenv.cfg").unlink()
    choice = pick(tmp_path, own, CONDA_PREFIX=str(base), CONDA_DEFAULT_ENV="base")
    assert choice is not None and choice.environment == str(base)
    assert "base" in choice.because


def test_conda_base_is_told_by_its_place_too(tmp_path: Path, own: Self) -> None:
    base = conda(tmp_path / "conda")
    here = venv(tmp_path / "here" / ".venv")
    program(base / "bin" / "conda")
    choice = pick(tmp_path, own, CONDA_PREFIX=str(base), CONDA_EXE=str(base / "bin" / "conda"))
    assert choice is not None and choice.environment == str(here)


def test_an_activated_conda_environment_comes_before_the_one_here(tmp_path: Path, own: Self) -> None:
    active = conda(tmp_path / "conda" / "envs" / "work")
    venv(tmp_path / "here" / ".venv")
    choice = pick(tmp_path, own, CONDA_PREFIX=str(active), CONDA_DEFAULT_ENV="work")
    assert choice is not None and choice.environment == str(active)


def test_of_two_active_ones_the_first_on_path_is_meant(tmp_path: Path, own: Self) -> None:
    one, other = venv(tmp_path / "one"), conda(tmp_path / "other")
    settings = {"VIRTUAL_ENV": str(one), "CONDA_PREFIX": str(other), "CONDA_DEFAULT_ENV": "other"}
    for first, second in ((one, other), (other, one)):
        path = os.pathsep.join([str(first / "bin"), str(second / "bin")])
        choice = pick(tmp_path, own, **settings, PATH=path)
        assert choice is not None and choice.environment == str(first)


def test_the_environment_of_hfdoctor_is_never_taken(tmp_path: Path, own: Self) -> None:
    """Also when VIRTUAL_ENV, .venv here and PATH all lead to it."""
    python = program(tmp_path / "usr" / "bin" / "python3")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / ".venv").symlink_to(own.prefix)
    path = os.pathsep.join([str(Path(own.prefix) / "bin"), str(python.parent)])
    choice = pick(tmp_path, own, VIRTUAL_ENV=own.prefix, PATH=path)
    assert choice is not None and choice.python == str(python)
    assert choice.because == "the first python3 on PATH"


@pytest.mark.parametrize("mark", ["uv-receipt.toml", "pipx_metadata.json", "hfdoctor-setup.json"])
def test_other_tools_environments_are_not_taken_either(tmp_path: Path, own: Self, mark: str) -> None:
    tool = venv(tmp_path / "other-tool", mark)
    python = program(tmp_path / "usr" / "bin" / "python3")
    choice = pick(tmp_path, own, VIRTUAL_ENV=str(tool), PATH=str(python.parent))
    assert choice is not None and choice.python == str(python)
    named = pick(tmp_path, own, python=str(tool))
    assert named is not None and named.environment == str(tool)


@pytest.mark.parametrize("folder", ["archive-v0", "builds-v0", "environments-v2"])
def test_uvx_keeps_its_environments_in_the_cache(tmp_path: Path, folder: str) -> None:
    prefix = venv(tmp_path / "cache" / "uv" / folder / "8c1f")
    own = Self(str(prefix / "bin" / "python"), str(prefix), "")
    assert not own.is_tool
    (tmp_path / "cache" / "uv" / "CACHEDIR.TAG").write_text("")
    assert own.is_tool


def test_a_folder_that_is_named_like_uvs_cache_is_no_tool(tmp_path: Path) -> None:
    prefix = venv(tmp_path / "archive-v1" / "project" / ".venv")
    (prefix / "CACHEDIR.TAG").write_text("")  # uv puts one into each .venv
    assert not Self("", str(prefix), "").is_tool


def test_who_started_the_set_up_comes_before_path(tmp_path: Path, own: Self) -> None:
    launcher = program(tmp_path / "opt" / "python3.13")
    other = program(tmp_path / "usr" / "bin" / "python3")
    choice = pick(tmp_path, own, HFDOCTOR_LAUNCHED_BY=str(launcher), PATH=str(other.parent))
    assert choice is not None and choice.python == str(launcher)


def test_an_interpreter_that_holds_hfdoctor_as_a_library_is_the_patient(tmp_path: Path) -> None:
    prefix = venv(tmp_path / "project")
    choice = pick(tmp_path, Self(str(prefix / "bin" / "python"), str(prefix), ""))
    assert choice is not None and choice.because == "the interpreter that runs hfdoctor"


def test_without_any_other_python_the_one_below_hfdoctor_is_taken(tmp_path: Path, own: Self) -> None:
    choice = pick(tmp_path, own)
    assert choice is not None and choice.python == own.base_executable
    assert pick(tmp_path, Self(own.executable, own.prefix, "")) is None


def test_a_stale_virtual_env_is_passed_over(tmp_path: Path, own: Self) -> None:
    here = venv(tmp_path / "here" / ".venv")
    choice = pick(tmp_path, own, VIRTUAL_ENV=str(tmp_path / "gone"))
    assert choice is not None and choice.environment == str(here)


def test_an_environment_whose_base_is_gone_is_still_the_patient(tmp_path: Path, own: Self) -> None:
    here = venv(tmp_path / "here" / ".venv")
    (here / "bin" / "python").unlink()
    (here / "bin" / "python").symlink_to(tmp_path / "gone" / "python3.12")
    for choice in (pick(tmp_path, own), pick(tmp_path, own, python=".venv")):
        assert choice is not None and choice.python == str(here / "bin" / "python")
    (here / "bin" / "python").unlink()
    choice = pick(tmp_path, own)
    assert choice is not None and choice.environment == str(here)


def test_a_program_named_activate_makes_no_environment(tmp_path: Path, own: Self) -> None:
    python = program(tmp_path / "opt" / "bin" / "python3")
    activate = program(tmp_path / "opt" / "bin" / "activate", "#!/bin/sh\necho activated\n")
    choice = pick(tmp_path, own, PATH=str(python.parent))
    assert choice is not None and choice.environment == ""
    activate.write_text('VIRTUAL_ENV="/opt"\n')
    choice = pick(tmp_path, own, PATH=str(python.parent))
    assert choice is not None and choice.environment == str(tmp_path / "opt")


# -- --python ----------------------------------------------------------------------------------------------------------


def test_named_in_every_way(tmp_path: Path, own: Self) -> None:
    here = venv(tmp_path / "here" / ".venv")
    python = str(here / "bin" / "python")
    onpath = program(tmp_path / "usr" / "bin" / "python3.11")
    for given in (".venv", "./.venv", str(here), ".venv/bin/python", str(here / "bin"), python):
        choice = pick(tmp_path, own, python=given)
        assert choice is not None
        assert (choice.python, choice.environment, choice.because) == (python, str(here), "given by --python"), given
    for given in ("python3.11", "3.11"):
        choice = pick(tmp_path, own, python=given, PATH=str(onpath.parent))
        assert choice is not None and choice.python == str(onpath) and not choice.environment
    choice = pick(tmp_path, own, python=str(conda(tmp_path / "conda")))
    assert choice is not None and choice.environment == str(tmp_path / "conda")


def test_links_are_not_followed(tmp_path: Path, own: Self) -> None:
    base = program(tmp_path / "usr" / "bin" / "python3.12")
    here = venv(tmp_path / "here" / ".venv")
    (here / "bin" / "python").unlink()
    (here / "bin" / "python").symlink_to(base)
    choice = pick(tmp_path, own, python=".venv/bin/python")
    assert choice is not None and choice.python == str(here / "bin" / "python")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "nothing is named"),
        ("nothing-of-that-name", "no program of that name on PATH"),
        ("/nothing/there", "no such file or folder"),
        ("empty", "holds no Python interpreter"),
        ("text.txt", "not executable"),
        ("tool", "no Python interpreter"),
        ("fifo", "neither a file nor a folder"),
        ("dangling", "leads nowhere"),
        ("windows", "Windows Python"),
        ("on-path", "no Python interpreter"),
    ],
)
def test_what_is_no_interpreter_is_refused(tmp_path: Path, own: Self, given: str, words: str) -> None:
    here = tmp_path / "here"
    (here / "empty").mkdir(parents=True)
    (here / "text.txt").write_text("words")
    program(here / "tool", "#!/bin/sh\necho harm\n")
    os.mkfifo(here / "fifo")
    (here / "dangling").symlink_to(here / "gone")
    (here / "windows" / "Scripts").mkdir(parents=True)
    (here / "windows" / "pyvenv.cfg").write_text("home = C:\\Python312\n")
    program(tmp_path / "usr" / "bin" / "on-path", "#!/bin/sh\necho harm\n")
    with pytest.raises(TargetError, match=words) as error:
        pick(tmp_path, own, python=given, PATH=str(tmp_path / "usr" / "bin"))
    assert "\n" not in str(error.value)


@pytest.mark.allow_subprocess
def test_a_folder_that_is_closed_to_us(tmp_path: Path) -> None:
    """Not "there is none": whoever may not look cannot tell."""
    import subprocess
    import sys

    closed = venv(tmp_path / "closed")
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from hfdoctor.facts.collect import TargetError\n"
        "from hfdoctor.facts.probe import Request\n"
        "from hfdoctor.facts.probes.choose_target import choose\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "for named in sys.argv[2:]:\n"
        "    try: choose(Request(python=named, cwd=Path('/')))\n"
        "    except TargetError as error: print(error)\n"
    )
    closed.chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to("/tmp/") and os.geteuid() == 0 and folder != Path("/tmp"):
            folder.chmod(0o755)
    repository = str(Path(__file__).parents[2])
    named = [str(closed), str(closed / "bin" / "python")]
    command = [sys.executable, "-c", code, repository, *named]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    closed.chmod(0o755)
    assert len(said) == 2 and all("no right to look there" in line for line in said)


@pytest.mark.allow_subprocess
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_an_environment_here_that_is_closed_to_us_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    import subprocess
    import sys

    here = tmp_path / "here"
    venv(here / ".venv")
    active = venv(tmp_path / "active")
    python = program(tmp_path / "bin" / "python3")
    code = (
        "import json, os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from hfdoctor.facts.probe import Request\n"
        "from hfdoctor.facts.probes.choose_target import Self, choose\n"
        "own = Self('', '/nowhere', '')\n"
        "os.setuid(65534)\n"
        "choice = choose(Request(cwd=Path(sys.argv[2]), environ=json.loads(sys.argv[3])), own)\n"
        "print(json.dumps([choice.python, choice.because, choice.candidates]))\n"
    )
    for folder in (here / ".venv", *here.parents):
        if folder.is_relative_to("/tmp/") and folder != Path("/tmp"):
            folder.chmod(0o755)

    def chosen(**environ: str) -> list[str]:
        repository = str(Path(__file__).parents[2])
        given = json.dumps({"PATH": str(python.parent), **environ})
        command = [sys.executable, "-c", code, repository, str(here), given]
        return list(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))

    assert chosen()[0] == str(here / ".venv" / "bin" / "python")
    (here / ".venv").chmod(0o700)
    closed = ".venv in this folder, which this user may not open"
    candidates = {str(here / ".venv" / "bin" / "python"): closed}
    assert chosen() == [str(python), f"the first python3 on PATH; not {closed}", candidates]
    # what is active comes first: nothing was passed over
    assert "not" not in chosen(VIRTUAL_ENV=str(active))[1]
    active.chmod(0o700)
    because = chosen(VIRTUAL_ENV=str(active))[1]
    assert because.startswith("the first python3 on PATH; not the one that is active (VIRTUAL_ENV), which this user")
