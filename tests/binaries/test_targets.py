"""The rules by which code runs on a device, held against what NVIDIA, AMD and torch say."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdoctor.binaries import targets
from hfdoctor.binaries.targets import cuda_target, gfx_of_override, runs_on

CU126 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
CU132 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


def test_examples_in_the_docstrings() -> None:
    tried = doctest.testmod(targets)
    assert tried.attempted > 10 and tried.failed == 0


@pytest.mark.parametrize(
    ("code", "capability", "how", "target"),
    [
        (CU126, "5.2", "native", "sm_50"),
        (CU126, "6.1", "native", "sm_60"),
        (CU126, "8.9", "native", "sm_86"),
        (CU126, "9.0", "native", "sm_90"),
        (CU126, "3.5", "no", ""),
        (CU126, "10.0", "no", ""),
        (CU126, "12.0", "no", ""),
        (CU132, "7.0", "no", ""),
        (CU132, "7.5", "native", "sm_75"),
        (CU132, "10.3", "native", "sm_100"),
        (CU132, "12.1", "native", "sm_120"),
        # newer than anything known here: the rule needs no table
        (CU132, "12.9", "native", "sm_120"),
        (CU132, "13.0", "no", ""),
        # embedded chips stand alone, in both directions
        (CU126, "5.3", "no", ""),
        (CU126, "6.2", "no", ""),
        (CU126, "7.2", "no", ""),
        (CU126, "8.7", "no", ""),
        (["sm_87"], "8.7", "native", "sm_87"),
        (["sm_87"], "8.9", "no", ""),
        (["sm_72"], "7.5", "no", ""),
        (["sm_100"], "10.1", "no", ""),
        (["sm_101"], "11.0", "native", "sm_101"),
        (["sm_110"], "10.1", "native", "sm_110"),
        (["sm_110a"], "11.0", "native", "sm_110a"),
        # for one chip only
        (["sm_90a"], "9.0", "native", "sm_90a"),
        (["sm_90", "sm_90a"], "9.0", "native", "sm_90a"),
        (["sm_100a"], "10.3", "no", ""),
        (["sm_120a"], "12.1", "no", ""),
        # for a family
        (["sm_100f"], "10.0", "native", "sm_100f"),
        (["sm_103f"], "10.0", "no", ""),
        (["sm_120f"], "12.1", "native", "sm_120f"),
        (["sm_120f"], "13.0", "no", ""),
    ],
)
def test_machine_code_of_nvidia(code: list[str], capability: str, how: str, target: str) -> None:
    run = runs_on(code, [], capability)
    assert (run.how, run.target) == (how, target)
    assert run.reason


@pytest.mark.parametrize(
    ("ptx", "capability", "driver", "made_by", "how"),
    [
        (["compute_90"], "12.0", "13.2", "12.6", "jit"),
        (["compute_90"], "12.0", "12.6", "12.6", "jit"),
        (["compute_90"], "12.0", "12.4", "12.6", "no"),
        (["compute_90"], "8.6", "13.2", "12.6", "no"),
        (["compute_80"], "8.7", "12.6", "12.6", "jit"),
        (["compute_90a"], "10.0", "13.2", "12.6", "no"),
        (["compute_90a"], "9.0", "13.2", "12.6", "jit"),
        (["compute_100f"], "10.3", "13.2", "12.9", "jit"),
        (["compute_100f"], "12.0", "13.2", "12.9", "no"),
        ([], "8.6", "13.2", "12.6", "no"),
    ],
)
def test_ptx(ptx: list[str], capability: str, driver: str, made_by: str, how: str) -> None:
    run = runs_on(["sm_35"], ptx, capability, driver, made_by)
    assert run.how == how and not run.assumed


@pytest.mark.parametrize(("driver", "made_by"), [(None, "12.6"), ("12.4", None), ("", "")])
def test_what_is_not_told_of_the_driver_is_said_to_be_assumed(driver: str | None, made_by: str | None) -> None:
    run = runs_on([], ["compute_90"], "12.0", driver, made_by)
    assert run.how == "jit" and run.assumed


def test_machine_code_goes_before_ptx() -> None:
    assert runs_on(["sm_86"], ["compute_89"], "8.9").how == "native"


@pytest.mark.parametrize("capability", ["", "8", "x.y", "8.\N{SUPERSCRIPT NINE}", "sm_89", "8.-9", "99999.1"])
def test_a_capability_that_is_none_is_unknown(capability: str) -> None:
    assert runs_on(CU126, ["compute_90"], capability).how == "unknown"


@pytest.mark.parametrize("name", ["sm_", "sm_9", "sm_90b", "lto_90", "sm_12345", "90", "", "sm_9\N{SUPERSCRIPT TWO}"])
def test_a_target_that_is_not_known_is_neither_support_nor_the_lack_of_it(name: str) -> None:
    assert cuda_target(name) is None
    assert runs_on([name], [], "9.0").how == "unknown"
    assert runs_on([name, "sm_90"], [], "9.0").how == "native"


@pytest.mark.parametrize(
    ("code", "device", "how", "target"),
    [
        (["gfx1030", "gfx1100"], "gfx1100", "native", "gfx1100"),
        (["gfx1030", "gfx1100"], "gfx1103", "no", ""),
        (["gfx1030"], "gfx1036", "no", ""),
        (["gfx10-3-generic"], "gfx1036", "native", "gfx10-3-generic"),
        (["gfx11-generic", "gfx1151"], "gfx1151", "native", "gfx1151"),
        (["gfx9-generic"], "gfx90a", "no", ""),
        (["gfx9-4-generic"], "gfx942", "native", "gfx9-4-generic"),
        (["gfx90a:xnack+"], "gfx90a:sramecc+:xnack-", "no", ""),
        (["gfx90a:xnack-", "gfx90a:xnack+"], "gfx90a:sramecc+:xnack-", "native", "gfx90a:xnack-"),
        (["gfx90a", "gfx90a:xnack-"], "gfx90a:sramecc+:xnack-", "native", "gfx90a:xnack-"),
        (["gfx942"], "gfx942:sramecc+:xnack-", "native", "gfx942"),
        (["gfx942:sramecc+:xnack-"], "gfx942", "native", "gfx942:sramecc+:xnack-"),
        (["amdgcnspirv"], "gfx1201", "jit", "amdgcnspirv"),
        (["amdgcnspirv", "gfx1201"], "gfx1201", "native", "gfx1201"),
        (["gfx13-generic"], "gfx1300", "unknown", ""),
        ([], "gfx1100", "no", ""),
        (["sm_80"], "gfx1100", "unknown", ""),
    ],
)
def test_amd(code: list[str], device: str, how: str, target: str) -> None:
    run = runs_on(code, [], device)
    assert (run.how, run.target) == (how, target)


@pytest.mark.parametrize("version", ["", "10.3", "a.b.c", "10.3.0.1", "10.99.0"])
def test_an_override_that_is_none(version: str) -> None:
    assert gfx_of_override(version) == ""


@given(st.lists(st.text(max_size=12)), st.lists(st.text(max_size=12)), st.text(max_size=12), st.text(max_size=8))
def test_nothing_raises(code: list[str], ptx: list[str], capability: str, version: str) -> None:
    assert runs_on(code, ptx, capability, version, version).how in ("native", "jit", "no", "unknown")
    assert runs_on(code, ptx, f"gfx{capability}", version).reason
