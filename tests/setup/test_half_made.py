"""An environment is reused only if it was finished for exactly this: everything else is made anew."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.set_up.environments import Environment
from tests.setup.checkout import Checkout, program

pytestmark = pytest.mark.allow_subprocess


@pytest.fixture
def made(tmp_path: Path) -> Environment:
    """A finished environment (without packages)."""
    import venv

    environment = Environment(tmp_path / "venv", Path(sys.executable), (b"one",), ("test",), programs=("tool",))
    environment.folder.mkdir()
    environment.write_stamp(finished=False, made_here=True)
    venv.create(environment.folder, symlinks=os.name != "nt")
    environment.program("tool").write_text("")
    assert not environment.finished(), "the stamp comes last"
    environment.write_stamp(finished=True, made_here=True)
    assert environment.finished()
    return environment


def test_other_inputs_are_another_environment(made: Environment) -> None:
    assert not replace(made, inputs=(b"two",)).finished()
    assert not replace(made, inputs=(b"one", b"")).finished()
    assert not replace(made, base=Path(sys.executable).with_name("other")).finished()
    moved = made.folder.rename(made.folder.with_name("moved"))
    assert not replace(made, folder=moved).finished()


def test_fewer_extras_are_served_by_more_and_not_the_other_way_round(made: Environment) -> None:
    assert replace(made, extras=()).finished()
    more = replace(made, extras=("dev", "test"))
    assert not more.finished()
    assert more.made_for_this(), "what is missing can be added"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"key": null}', b'{"key": "x", "extras": 3}', b"[" * 100_000],
)
def test_stamps_that_say_nothing(made: Environment, content: bytes) -> None:
    (made.folder / "hfdoctor-setup.json").write_bytes(content)
    assert not made.finished()
    assert not made.made_for_this()


def test_a_stamp_that_is_a_folder(made: Environment) -> None:
    stamp = made.folder / "hfdoctor-setup.json"
    stamp.unlink()
    stamp.mkdir()
    assert not made.finished()


@pytest.mark.parametrize("lost", ["python", "tool", "pyvenv.cfg", "base"])
def test_an_environment_that_lost_a_part(made: Environment, lost: str) -> None:
    if lost == "base":
        config = made.folder / "pyvenv.cfg"
        config.write_text(config.read_text().replace("home = ", "home = /gone"))
    elif lost == "pyvenv.cfg":
        (made.folder / lost).unlink()
    else:
        made.program(lost).unlink()
    assert not made.finished()


def test_whose_folder_it_is(made: Environment, tmp_path: Path) -> None:
    assert made.ownership() == "ours"
    (made.folder / "hfdoctor-setup.json").unlink()
    assert made.ownership() == "foreign"
    made.python.unlink()
    assert made.ownership() == "other"
    assert replace(made, folder=tmp_path / "nothing").ownership() == "free"
    (tmp_path / "nothing").mkdir()
    assert replace(made, folder=tmp_path / "nothing").ownership() == "free"


def test_emptying_leaves_the_mark_for_the_end(made: Environment) -> None:
    (made.folder / "read only").mkdir()
    (made.folder / "read only" / "file").write_text("")
    (made.folder / "read only").chmod(0o500)
    outside = made.folder.with_name("outside")
    outside.mkdir()
    (outside / "precious").write_text("")
    (made.folder / "link").symlink_to(outside)
    made.empty()
    assert [entry.name for entry in made.folder.iterdir()] == ["hfdoctor-setup.json"]
    assert (outside / "precious").exists()


def test_another_set_up_is_waited_for(made: Environment) -> None:
    # flock is held by the open file, so a second descriptor in the same process has to wait as well
    from scripts.set_up.environments import _try_lock, only_one

    with only_one(made) as lock:
        assert lock is not None
        other = os.open(made.folder / "hfdoctor-setup.lock", os.O_RDWR)
        assert _try_lock(other) is False
    assert _try_lock(other) is True
    os.close(other)


def test_damage_is_repaired_by_the_next_run(checkout: Checkout) -> None:
    assert checkout.run("--version").returncode == 0
    relic = checkout.venv / "lib" / "relic"
    relic.write_text("")
    program(checkout.venv, "hfdoctor").unlink()
    result = checkout.run("--version")
    assert result.returncode == 0, result.stderr
    assert "making" in result.stderr
    assert not relic.exists(), "made anew, not patched"
    # started by the environment itself, as it is when somebody activated it before an update
    (checkout.folder / "pyproject.toml").open("a").write("\n")
    result = checkout.run("--version", python=program(checkout.venv, "python"))
    assert (result.returncode, "making" in result.stderr) == (0, True), result.stderr
    moved = Checkout(checkout.folder.rename(checkout.folder.with_name("moved")), checkout.environ)
    result = moved.run("--version")
    assert (result.returncode, result.stdout[:9]) == (0, "hfdoctor "), result.stderr


MOMENTS: dict[str, Callable[[Checkout], bool]] = {
    "marked": lambda checkout: checkout.stamp.exists(),
    "first package": lambda checkout: any(checkout.venv.glob("lib/python*/site-packages/*.dist-info")),
    "program": lambda checkout: program(checkout.venv, "hfdoctor").exists(),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment(whole_checkout: Callable[..., Checkout], uv_environ: dict[str, str], moment: str) -> None:
    checkout = whole_checkout(**uv_environ)
    process = checkout.start("--version")
    until = time.monotonic() + 60
    while not MOMENTS[moment](checkout):
        assert time.monotonic() < until and process.poll() is None, "it ended before it could be killed"
        time.sleep(0.001)
    # the set-up alone: its installer goes on, and must not be written beside
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert not checkout.finished()
    result = checkout.run("--version")
    assert (result.returncode, result.stdout[:9]) == (0, "hfdoctor "), result.stderr
    assert checkout.finished()
    assert json.loads(checkout.stamp.read_bytes())["made_here"] is True
    assert checkout.run("--version").stderr == ""
