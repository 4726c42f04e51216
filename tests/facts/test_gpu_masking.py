"""--anonymise and GPUs: no UUID and no program's name leaves the machine, and what belongs together still does."""

from __future__ import annotations

from hfdoctor.facts.anonymise import anonymise
from hfdoctor.facts.fact import known
from hfdoctor.facts.sections.gpu import Device, GpuProcess
from hfdoctor.facts.sections.settings import Variable
from hfdoctor.facts.snapshot import Snapshot, dump

FIRST = "GPU-5c2d8f0e-3b1a-4c57-9a43-0c5d7e1f2a61"
SECOND = "GPU-9e77a0b1-3b1a-4c57-9a43-0c5d7e1f2a61"


def snapshot() -> Snapshot:
    made = Snapshot()
    made.gpu.devices = known([Device("nvidia", uuid=FIRST), Device("nvidia", uuid=SECOND), Device("intel")])
    made.gpu.processes = known([GpuProcess(0, 4242, "secret-training"), GpuProcess(1, 17)])
    made.settings.variables = known(
        [
            Variable(name="CUDA_VISIBLE_DEVICES", value=f"{SECOND},GPU-5c2d8f"),
            Variable(name="NVIDIA_VISIBLE_DEVICES", value=f"MIG-{FIRST}/1/0"),
            Variable(name="HF_HOME", value="/srv/GPU-cache"),
        ]
    )
    return made


def test_uuids_and_names_of_programs_are_masked() -> None:
    text = dump(anonymise(snapshot())).decode().lower()
    assert "5c2d8f" not in text and "9e77a0b1" not in text and "0c5d7e1f2a61" not in text
    assert "secret" not in text
    assert "/srv/gpu-cache" in text


def test_what_belongs_together_still_does() -> None:
    masked = anonymise(snapshot())
    first, second, third = (device.uuid for device in masked.gpu.devices.need())
    assert len(first) == len(FIRST) and first != second and third == ""
    chosen = {variable.name: variable.value or "" for variable in masked.settings.variables.need()}
    whole, part = chosen["CUDA_VISIBLE_DEVICES"].split(",")
    assert whole == second
    assert first.startswith(part) and not second.startswith(part)
    assert chosen["NVIDIA_VISIBLE_DEVICES"] == f"MIG-{first}/1/0"
    assert [process.pid for process in masked.gpu.processes.need()] == [4242, 17]


def test_nothing_to_mask_costs_nothing() -> None:
    empty = Snapshot()
    assert anonymise(empty) is empty
