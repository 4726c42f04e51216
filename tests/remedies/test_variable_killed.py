"""A start-up file in which hfdoctor was killed while it wrote."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from hfdoctor.remedies.action import quiet
from tests.thorough import MOMENTS

from .killed import every_moment
from .persons_shell import BASHRC, home, prepared, tree

__all__ = ["home"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(os.name == "nt", reason="on Windows a variable lives in the registry"),
]


@pytest.mark.parametrize("program", ["bash", "fish"])
def test_killed_at_any_moment_it_can_be_finished_and_taken_back(home: Path, program: str) -> None:
    if program == "bash":
        (home / ".bashrc").write_bytes(BASHRC)
    before = tree(home)
    action = prepared(home, "HF_HOME", "/data/hf", program)
    told = msgspec.json.encode(action).decode()
    code = (
        "import msgspec; from hfdoctor.remedies.action import quiet; from hfdoctor.remedies.kinds.variable import "
        f"VariableAction as V; a = msgspec.json.decode({told!r}, type=V); arm(); a.DO(quiet)"
    )

    def undone() -> str:
        action.undo(quiet)
        assert tree(home) == before
        return code.replace("DO", "apply")

    moments = 0
    for _ in every_moment(undone, at_most=MOMENTS):
        moments += 1
        assert action.look().state in ("before", "between", "after")
        if moments % 2:
            action.apply(quiet)
            assert action.look().state == "after"
    assert moments >= 3

    def done() -> str:
        action.apply(quiet)
        assert action.look().state == "after"
        return code.replace("DO", "undo")

    for _ in every_moment(done, at_most=MOMENTS):
        assert action.look().state in ("before", "between", "after")
        action.undo(quiet)
        assert tree(home) == before
