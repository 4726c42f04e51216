"""Which build is recommended: it must run on the driver, on the GPU and on the Python."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfdoctor.binaries.targets import runs_on
from hfdoctor.conditions.torch_choice import best_index, from_index
from hfdoctor.facts.fact import absent
from hfdoctor.knowledge.torch_builds import cuda_of_variant, load_torch_releases, runs_cuda, targets_of
from tests import recorded
from tests.conditions.installed import changed, dist, healthy_with

LINUX = ("linux", "x86_64")
DRIVERS = ["11.4", "11.8", "12.2", "12.4", "12.8", "13.0", "13.2"]
CAPABILITIES = ["3.5", "3.7", "5.0", "6.1", "7.0", "7.5", "8.6", "8.9", "9.0", "10.0", "12.0", "12.1"]


@settings(deadline=None)  # the first one loads the tables
@given(st.sampled_from(DRIVERS), st.sampled_from(CAPABILITIES), st.sampled_from(["", "3.9", "3.10", "3.12", "3.14"]))
def test_the_choice_runs(driver: str, capability: str, python: str) -> None:
    choice = best_index(driver, [capability], *LINUX, python)
    if choice is None:
        return
    cuda = cuda_of_variant(choice.variant)
    targets = targets_of(choice.release, choice.variant, *LINUX)
    assert cuda and runs_cuda(driver, cuda)
    assert targets and runs_on(targets[0], (), capability).how == "native"
    (row,) = [row for row in load_torch_releases() if row.release == choice.release]
    assert not python or python in row.pythons


@pytest.mark.parametrize(
    ("driver", "capability", "majors"),
    [
        ("13.2", "8.9", {"13"}),  # the newest CUDA that driver and GPU run
        ("13.0", "12.0", {"13"}),  # any minor of the driver's major
        ("12.4", "8.6", {"12"}),
        ("13.0", "6.1", {"12"}),  # CUDA 13 has left Pascal
        ("13.0", "7.0", {"12"}),
        ("11.4", "8.0", {"11"}),
    ],
)
def test_majors(driver: str, capability: str, majors: set[str]) -> None:
    choice = best_index(driver, [capability], *LINUX)
    assert choice is not None
    assert (cuda_of_variant(choice.variant) or "").partition(".")[0] in majors


def test_none_for_what_no_build_has() -> None:
    assert best_index("13.0", ["3.5"], *LINUX) is None
    assert best_index("11.4", ["12.0"], *LINUX) is None


def test_one_build_for_several_gpus() -> None:
    choice = best_index("13.0", ["6.1", "8.9"], *LINUX)
    assert choice is not None
    targets = targets_of(choice.release, choice.variant, *LINUX)
    assert targets and all(runs_on(targets[0], (), one).how == "native" for one in ("6.1", "8.9"))


def test_companions_go_with_it() -> None:
    s = healthy_with(dist("torchvision", "0.30.0+cpu", "torch==2.15.0"))
    away, there = from_index(s, "cu130")
    python = "/home/ana/project/.venv/bin/python"
    assert away.argv == [python, "-m", "pip", "uninstall", "-y", "torch", "torchvision"]
    index = ["--index-url", "https://download.pytorch.org/whl/cu130"]
    assert there.argv == [python, "-m", "pip", "install", "torch", "torchvision", *index]


def test_with_uv_and_with_conda() -> None:
    s = recorded.build("linux")
    s.target.pip = absent("no pip")
    away, there = from_index(s, "cu130", "==2.14.1")
    assert away.argv[:3] == ["uv", "pip", "uninstall"] and "-y" not in away.argv
    assert "torch==2.14.1" in there.argv
    (conda,) = from_index(changed(recorded.build("linux"), "torch", installer="conda"), "cu130")
    assert not conda.argv and conda.says == "with_conda"
