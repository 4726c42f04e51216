"""numpy-abi and openmp-duplicate on snapshots: what is reported, and what works together every day."""

from __future__ import annotations

import pytest

from hfdoctor.facts.fact import failed, known, not_run
from hfdoctor.facts.sections.packages import Distribution, ImportTrial, NumpyClient, OpenMPRuntime
from hfdoctor.facts.sections.settings import Variable
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded

from .test_installation import command, entry_of, one, seen


@pytest.fixture(params=["linux", "windows"])
def machine(request: pytest.FixtureRequest) -> Snapshot:
    return recorded.build(request.param)


# -- numpy-abi --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numpy", "built", "outcome"),
    [
        ("2.5.5", "2", "pass"),
        ("2.5.5", "1", "fail"),
        ("2.0.0rc1", "1", "fail"),
        ("3.0.0", "1", "fail"),
        ("1.26.4", "1", "pass"),
        ("1.26.4", "2", "pass"),
        ("", "1", "pass"),
    ],
)
def test_generations(numpy: str, built: str, outcome: str, machine: Snapshot) -> None:
    entry_of(machine, "numpy").version = numpy
    machine.packages.numpy_clients.need()[0].built_with = built
    finding = one(machine, "numpy-abi")
    assert finding.outcome == outcome
    if outcome == "fail":
        assert (finding.severity, finding.basis) == ("error", "derived")
        assert command(finding)[-1] == "numpy<2"


def test_another_package_s_module(machine: Snapshot) -> None:
    machine.packages.distributions.need().append(Distribution("scikit-learn", "1.3.0", "x"))
    machine.packages.numpy_clients.need().append(NumpyClient("scikit-learn", "sklearn/x.so", "1"))
    finding = one(machine, "numpy-abi")
    assert finding.severity == "warning"
    assert "scikit-learn 1.3.0" in finding.summary


def test_seen_turning_a_tensor_into_an_array(machine: Snapshot) -> None:
    machine.packages.numpy_clients.need()[0].built_with = "1"
    seen(machine, "torch")
    assert one(machine, "numpy-abi").outcome == "fail"  # torch is imported without NumPy, with a warning
    seen(machine, "torch", "torch.numpy")
    assert one(machine, "numpy-abi").outcome == "pass"


def test_seen_failing(machine: Snapshot) -> None:
    trial = ImportTrial("torch.numpy", ok=False, error="RuntimeError", message="Numpy is not available")
    machine.packages.imports = known([trial])
    machine.packages.numpy_clients = failed("?")
    finding = one(machine, "numpy-abi")
    assert (finding.severity, finding.basis) == ("error", "observed")
    assert one(machine).outcome == "pass"


def test_without_numpy(machine: Snapshot) -> None:
    machine.packages.distributions.need().remove(entry_of(machine, "numpy"))
    assert one(machine, "numpy-abi").outcome == "skip"


# -- openmp-duplicate -------------------------------------------------------------------------------------------------


def mixture() -> Snapshot:
    machine = recorded.build("windows")
    entry_of(machine, "numpy").installer = "conda"
    machine.packages.openmp.need().extend(
        [
            OpenMPRuntime("intel", r"C:\conda\Library\bin\libiomp5md.dll", "Library/bin"),
            OpenMPRuntime("mkl", r"C:\conda\Library\bin\mkl_intel_thread.2.dll", "Library/bin"),
        ]
    )
    return machine


def test_the_mixture_that_aborts() -> None:
    finding = one(mixture(), "openmp-duplicate")
    assert (finding.outcome, finding.severity, finding.basis) == ("fail", "warning", "derived")
    assert len(finding.evidence) == 3


@pytest.mark.parametrize("part", range(3))
def test_parts_of_the_mixture_are_harmless(part: int) -> None:
    machine = mixture()
    del machine.packages.openmp.need()[part]
    assert one(machine, "openmp-duplicate").outcome == "pass"


def test_pip_s_numpy_loads_none() -> None:
    machine = mixture()
    entry_of(machine, "numpy").installer = "pip"
    assert one(machine, "openmp-duplicate").outcome == "pass"


def test_whoever_allowed_two_knows() -> None:
    machine = mixture()
    machine.settings.variables.need().append(Variable("KMP_DUPLICATE_LIB_OK", "TRUE"))
    assert one(machine, "openmp-duplicate").outcome == "pass"


@pytest.mark.parametrize(
    "runtimes",
    [
        [("llvm", "torch"), ("llvm", "sklearn"), ("llvm", "functorch")],
        [("gnu", "torch"), ("gnu", "scikit_learn"), ("gnu", "numpy")],
        [("intel", "torch"), ("msvc", "sklearn")],
    ],
)
def test_copies_that_work_together_every_day(runtimes: list[tuple[str, str]], machine: Snapshot) -> None:
    machine.packages.openmp = known([OpenMPRuntime(family, "x", package) for family, package in runtimes])
    assert one(machine, "openmp-duplicate").outcome == "pass"


def test_error_15_seen(machine: Snapshot) -> None:
    trial = ImportTrial("torch", ok=False, error="signal SIGABRT", stderr="x\nOMP: Error #15: Initializing ...\ny")
    machine.packages.imports = known([trial])
    machine.packages.openmp = not_run("?")
    finding = one(machine, "openmp-duplicate")
    assert (finding.severity, finding.basis) == ("error", "observed")
    assert "OMP: Error #15" in finding.evidence[0].text
    assert one(machine).outcome == "pass"


def test_no_runtime_at_all(machine: Snapshot) -> None:
    machine.packages.openmp = known([])
    assert one(machine, "openmp-duplicate").outcome == "skip"
