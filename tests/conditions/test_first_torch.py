"""What a new environment gets for a torch: PyPI's own, unless another build is known to belong on the machine."""

from __future__ import annotations

import pytest

from hfdoctor.conditions.changes import Change, NewEnvironment, PackageChange
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.install_commands import together
from hfdoctor.conditions.model import Remedy
from hfdoctor.conditions.ways import automatic, change_of, ways
from hfdoctor.facts.fact import absent, failed, known
from hfdoctor.facts.sections.gpu import Device, NvidiaDriver
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.install.torch_build import TorchBuild, torch_build
from tests import recorded

PYTHON, INSIDE = "/usr/bin/python3", ".venv/bin/python"
PLAIN = NewEnvironment(PYTHON, ".venv", ("transformers", "torch"))
WHL = "https://download.pytorch.org/whl/"


def with_nvidia(capability: str, cuda: str) -> Snapshot:
    s = recorded.load("externally-managed-ubuntu")
    give_nvidia(s, capability, cuda)
    return s


def give_nvidia(s: Snapshot, capability: str, cuda: str) -> None:
    s.gpu.devices = known([Device("nvidia", "NVIDIA", "nvml", capability=capability, memory_total=24 * 2**30)], "nvml")
    s.gpu.driver = known(NvidiaDriver("555.42", cuda), "nvml") if cuda else absent("no driver")


def remedy_of(s: Snapshot) -> Remedy:
    (finding,) = (one for one in diagnose(s).failed() if one.condition == "externally-managed")
    assert finding.remedy is not None
    return finding.remedy


def changes(s: Snapshot) -> list[list[Change]]:
    """What each way does, the preferred one first; the last is by hand (what Debian's own command lacks)."""
    *found, by_hand = ways(remedy_of(s).steps)
    assert all(automatic(way) for way in found) and not automatic(by_hand)
    return [together([change for step in way if (change := change_of(step)) is not None]) for way in found]


def build_of(s: Snapshot) -> TorchBuild:
    found = torch_build(s)
    assert isinstance(found, TorchBuild)
    return found


def named(build: TorchBuild) -> NewEnvironment:
    torch = f"torch=={build.release}+{build.variant}"
    return NewEnvironment(PYTHON, ".venv", ("transformers", torch), WHL + build.variant)


def test_without_a_gpu_it_is_the_build_for_the_processor_and_then_the_other() -> None:
    s = recorded.load("externally-managed-ubuntu")
    build = build_of(s)
    assert build.variant == "cpu"
    assert changes(s) == [[named(build)], [PLAIN]]
    texts = [step.text for step in remedy_of(s).steps]
    assert "with torch in its build for the processor" in texts[0]
    assert texts[2].startswith("or, for a GPU of NVIDIA that comes later")


def test_what_is_not_known_of_the_gpus_changes_nothing() -> None:
    s = recorded.load("externally-managed-ubuntu")
    s.gpu.devices = failed("/sys cannot be read")
    assert changes(s) == [[PLAIN]]
    s = recorded.load("externally-managed-ubuntu")
    s.machine.os = failed("not told")
    assert changes(s) == [[PLAIN]]


def test_a_gpu_that_pypis_build_serves_gets_that_one() -> None:
    assert changes(with_nvidia("8.9", "13.2")) == [[PLAIN]]


def test_a_gpu_that_waits_for_its_driver_does_not_get_a_torch_that_never_uses_it() -> None:
    assert changes(with_nvidia("8.9", "")) == [[PLAIN]]


def test_a_gpu_that_another_build_serves_gets_that_one_first() -> None:
    s = with_nvidia("6.1", "13.2")
    build = build_of(s)
    assert build.variant == "cu126"
    assert changes(s) == [[named(build)], [PLAIN]]


def test_where_torch_is_there_already_nothing_is_said_of_it() -> None:
    s = recorded.load("externally-managed-ubuntu")
    s.packages.distributions = known([recorded.build("linux").packages.installed()["torch"]], "test")
    assert changes(s) == [[NewEnvironment(PYTHON, ".venv", ("transformers",))]]


@pytest.mark.parametrize("name", ["onedrive-folder-venv", "windows-long-path-pip"])
def test_a_new_environment_on_windows_computes_on_the_gpu_that_is_there(name: str) -> None:
    """PyPI's torch for Windows is the one for the processor."""
    s = recorded.load(name)
    give_nvidia(s, "8.9", "13.2")
    build = build_of(s)
    assert build.variant == "cu132"
    (finding,) = (one for one in diagnose(s).failed() if one.condition in name)
    assert finding.remedy is not None
    found = [change_of(step) for step in finding.remedy.steps if "--extra-index-url" in step.argv]
    (change,) = found
    assert isinstance(change, PackageChange)
    assert change.install == ("transformers", f"torch=={build.release}+cu132")
    assert change.extra_index == WHL + "cu132"


def ways_to_run(s: Snapshot) -> list[list[str]]:
    """The words that follow "install" on each way of not-installed."""
    (finding,) = (one for one in diagnose(s).failed() if one.condition == "not-installed")
    assert finding.remedy is not None
    found = ways(finding.remedy.steps)
    assert all(automatic(way) for way in found)
    return [step.argv[step.argv.index("install") + 1 :] for way in found for step in way]


def test_a_torch_that_was_asked_to_run_comes_in_the_build_of_this_machine() -> None:
    s = recorded.load("not-installed-torch")
    s.gpu.devices = absent("no GPU")
    assert ways_to_run(s) == [["torch", "--index-url", f"{WHL}cpu"], ["torch"]]
    give_nvidia(s, "8.9", "12.6")
    (only,) = ways_to_run(s)
    assert only[0].startswith("torch") and only[1:] == ["--index-url", WHL + build_of(s).variant]
    s.gpu.devices = failed("not told")
    assert ways_to_run(s) == [["torch"]], "what is not known leads to no other build than everybody gets"
