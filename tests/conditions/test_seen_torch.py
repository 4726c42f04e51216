"""What the conditions may conclude from torch's own words."""

from __future__ import annotations

from hfdoctor.conditions.seen_torch import computed_on, devices_named, said
from hfdoctor.facts.fact import failed, known
from hfdoctor.facts.sections.gpu import TorchDevice, TorchWord
from hfdoctor.facts.sections.packages import ImportTrial
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded


def spoke(word: TorchWord, base: str = "linux") -> Snapshot:
    snapshot = recorded.build(base)
    snapshot.gpu.torch = known(word, "torch")
    return snapshot


def device(ok: bool | None, name: str = "NVIDIA A10", index: int | None = None, error: str = "") -> TorchDevice:
    return TorchDevice(name, ok=ok, error=error, kind="cuda", index=index)


def test_nothing_is_concluded_where_torch_was_not_asked() -> None:
    for snapshot in (recorded.build("cuda"), recorded.build("linux")):
        assert computed_on(snapshot, 0) is None
        assert said(snapshot, ".") == ""
    snapshot.gpu.torch = failed("it crashed")
    assert computed_on(snapshot, 0) is None
    assert devices_named(snapshot, 0) == []


def test_one_device_is_told_from_another() -> None:
    snapshot = spoke(TorchWord(cuda=True, devices=[device(True, "A"), device(False, "B"), device(True, "B")]))
    assert [computed_on(snapshot, which) for which in ("A", "B", "C", 0, 1, 2, 3)] == [
        *(True, False, None),
        *(True, False, True, None),
    ]
    snapshot = spoke(TorchWord(cuda=True, devices=[device(True, "A", 1), device(None, "B", 0)]))
    assert computed_on(snapshot, 1) is True
    assert computed_on(snapshot, 0) is None
    assert [one.name for one in devices_named(snapshot, 0)] == ["B"]


def test_what_it_printed_is_searched() -> None:
    word = TorchWord(cuda=True, devices=[device(False, error="CUDA error: no kernel image")], messages=["a", "CUDNN x"])
    snapshot = spoke(word)
    assert said(snapshot, "cudnn") == "CUDNN x"
    assert said(snapshot, r"no kernel image") == "CUDA error: no kernel image"
    assert said(snapshot, "nothing of the kind") == ""
    trials = [ImportTrial("numpy", ok=False, message="libfoo"), ImportTrial("torch", ok=False, message="libbar.so\n2")]
    snapshot.packages.imports = known(trials)
    assert said(snapshot, "lib[a-z]+") == "libbar.so"
