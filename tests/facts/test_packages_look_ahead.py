"""Looking at the packages while the target still starts: quicker, and never another answer."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import msgspec
import pytest

from hfdoctor.facts.collect import run_probes
from hfdoctor.facts.fact import absent, failed, known
from hfdoctor.facts.probe import Context, Probe, Request
from hfdoctor.facts.probes import look_ahead as module
from hfdoctor.facts.probes import packages
from hfdoctor.facts.probes.look_ahead import guess_site
from hfdoctor.facts.snapshot import Snapshot
from tests.facts.test_packages_environments import install, snapshot_of

LAYOUT = "Lib/site-packages" if os.name == "nt" else "lib/python3.12/site-packages"


def run(environment: Path | None, told: Snapshot, starts_s: float = 0.2) -> tuple[Snapshot, list[str]]:
    """Run the packages probe beside a target that takes ``starts_s`` seconds to say what ``told`` has."""
    snapshot = Snapshot()
    began: list[str] = []

    def target(ctx: Context) -> None:
        where = absent("none") if environment is None else known(str(environment))
        ctx.snapshot.target.environment = where
        time.sleep(starts_s)
        began.append("target")
        for name in ("paths", "sys_path", "interpreter"):
            setattr(ctx.snapshot.target, name, getattr(told.target, name))

    real = module.hold_files

    def watched(*args: object, **options: object) -> object:
        began.append("ahead")
        return real(*args, **options)  # type: ignore[arg-type]

    context = Context(Request(timeout_s=30.0), snapshot, time.monotonic() + 30.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "hold_files", watched)
        run_probes([Probe("target", target), Probe("packages", packages.probe)], context)
    return snapshot, began


def files(snapshot: Snapshot) -> list[object]:
    return [msgspec.to_builtins(one) for one in snapshot.packages.files.need()]


@pytest.mark.parametrize("damaged", [False, True])
def test_the_answer_is_the_same(damaged: bool, tmp_path: Path) -> None:
    site = tmp_path / LAYOUT
    install(site, "transformers", requires="torch")
    info = install(site, "torch")
    if damaged:
        (info / "RECORD").write_text("torch/__init__.py,sha256=x,60\n")
    told = snapshot_of(site)
    ahead, order = run(tmp_path, told)
    after, later = run(None, told)
    assert order == ["ahead", "target"]
    assert later == ["target"]
    assert files(ahead) == files(after)
    assert [one.altered for one in ahead.packages.files.need()] == [int(damaged), 0]


def test_another_folder_than_was_guessed(tmp_path: Path) -> None:
    install(tmp_path / LAYOUT, "torch", "1.0")
    install(tmp_path / "elsewhere", "torch", "2.0")
    snapshot, order = run(tmp_path, snapshot_of(tmp_path / "elsewhere"))
    assert order[0] == "ahead"
    assert [one.version for one in snapshot.packages.files.need()] == ["2.0"]


def test_nothing_is_looked_at_ahead_of_a_target_that_is_known(tmp_path: Path) -> None:
    install(tmp_path / LAYOUT, "torch")
    context = Context(Request(), snapshot_of(tmp_path / LAYOUT), time.monotonic() + 30.0)
    context.snapshot.target.environment = known(str(tmp_path))
    assert module.look_ahead(context, context.deadline) == {}


def test_no_choice_is_not_waited_for_long() -> None:
    context = Context(Request(), Snapshot(), time.monotonic() + 30.0, {"target": threading.Event()})
    began = time.monotonic()
    assert module.look_ahead(context, context.deadline) == {}
    assert time.monotonic() - began < 5.0
    context.snapshot.target.environment = failed("?")
    assert module.look_ahead(context, context.deadline) == {}


@pytest.mark.skipif(os.name == "nt", reason="Windows has one layout")
def test_two_pythons_in_one_environment_are_not_guessed_at(tmp_path: Path) -> None:
    assert guess_site(str(tmp_path)) == ""
    (tmp_path / "lib/python3.11/site-packages").mkdir(parents=True)
    (tmp_path / "lib/python3.12").mkdir()
    assert guess_site(str(tmp_path)) == str(tmp_path / "lib/python3.11/site-packages")
    (tmp_path / "lib/python3.12/site-packages").mkdir()
    assert guess_site(str(tmp_path)) == ""
