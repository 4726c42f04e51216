"""Packages of which only names and versions are known: companions, NumPy, transformers, labels of extensions."""

from __future__ import annotations

import pytest

from hfdoctor.conditions.extension_builds import label_of
from hfdoctor.facts.fact import known
from hfdoctor.facts.sections.gpu import TorchWord
from hfdoctor.facts.sections.machine import OsInfo
from hfdoctor.facts.sections.packages import Distribution, TorchBuild
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.knowledge.generations import cxx11_abi, numpy_build, torch_for_transformers
from tests.conditions.installed import dist, finding

PAIR, NUMPY, OLD, ABI = (
    *("torch-companion-mismatch", "numpy-abi", "torch-too-old-for-transformers", "extension-abi-mismatch"),
)


def text(line: str, cuda: str = "", system: str = "linux", **packages: str) -> Snapshot:
    """A machine as a text tells it: torch's own line, and a list of packages."""
    s = Snapshot()
    entries = [Distribution(name.replace("_", "-"), version, "") for name, version in packages.items()]
    s.packages.distributions = known(entries, "the text")
    if line:
        s.packages.torch_build = known(TorchBuild(line, cuda=cuda), "the text")
    if system:
        s.machine.os = known(OsInfo(system), "the text")  # type: ignore[arg-type]
        s.machine.architecture = known("x86_64", "the text")
    return s


@pytest.mark.parametrize(
    ("line", "packages"),
    [
        ("2.7.0+cu126", {"torch": "2.7.0", "torchvision": "0.22.0", "torchaudio": "2.7.0"}),
        ("2.7.1+cu128", {"torch": "2.7.1+cu128", "torchvision": "0.22.1+cu128", "torchaudio": "2.7.1+cu128"}),
        # PyPI's builds are for the same CUDA major
        ("2.4.0+cu121", {"torch": "2.4.0+cu121", "torchvision": "0.19.0"}),
        # torchvision minds the major version of CUDA only
        ("2.7.1+cu126", {"torch": "2.7.1+cu126", "torchvision": "0.22.1+cu128"}),
        # torchaudio 2.11 names no torch at all
        ("2.13.0+cu130", {"torch": "2.13.0", "torchvision": "0.28.0", "torchaudio": "2.11.0"}),
        # conda's own builds of a release call themselves alpha
        ("1.2.0", {"torch": "1.2.0", "torchvision": "0.4.0a0+6b959ee"}),
        # containers of NVIDIA and of AMD, conda-forge, the machine of whoever built it
        ("2.7.0a0+79aa17489c.nv25.4", {"torch": "2.7.0a0+79aa17489c.nv25.4", "torchvision": "0.22.0a0"}),
        ("2.8.0a0+34c6371d24.nv25.8", {"torch": "2.8.0a0+34c6371d24.nv25.8", "torchvision": "0.21.0a0"}),
        ("2.9.1+git8907517", {"torch": "2.9.1+git8907517", "torchvision": "0.24.0+d801a34"}),
        ("2.1.0.post300", {"torch": "2.1.0.post300", "torchvision": "0.16.0"}),
        ("2.0.1+cu117.with.pypi.cudnn", {"torch": "2.0.1+cu117.with.pypi.cudnn", "torchvision": "0.15.2+cu117"}),
        ("2.9.0.dev20250801+cu128", {"torchvision": "0.24.0.dev20250802+cu128"}),
        # releases that no table has yet
        ("9.1.0", {"torch": "9.1.0", "torchvision": "0.99.0", "torchaudio": "9.0.0"}),
        ("2.4.0+cu121", {"torch": "2.4.0", "torchvision": "0.19.0+cpu"}),
        ("2.4.0", {"torch": "2.4.0", "torchvision": "a friend's"}),
    ],
)
def test_pairs_that_fit(line: str, packages: dict[str, str]) -> None:
    assert finding(text(line, **packages), PAIR).outcome in ("pass", "skip")


@pytest.mark.parametrize(
    ("line", "packages", "names"),
    [
        ("2.7.1+cu126", {"torch": "2.7.1", "torchvision": "0.22.0"}, "torchvision 0.22.0"),
        ("2.3.0", {"torch": "2.3.0", "torchaudio": "2.3.1+cu121", "torchvision": "0.18.0"}, "torchaudio 2.3.1+cu121"),
        ("2.1.2+cu118", {"torch": "2.1.2+cu118", "torchvision": "0.15.2"}, "torchvision 0.15.2"),
        ("2.4.1+cu121", {"torch": "2.4.1", "torchvision": "0.16.0a0"}, "torchvision 0.16.0a0"),
        ("2.5.1+cu121", {"torch": "2.5.1+cu121", "torchvision": "0.20.1+cu118"}, "torchvision 0.20.1+cu118"),
        ("2.5.1+cpu", {"torch": "2.5.1+cpu", "torchvision": "0.20.1+cu118"}, "torchvision 0.20.1+cu118"),
        ("2.9.0.dev20250801+cu128", {"torchvision": "0.24.0.dev20250601+cu128"}, "torchvision"),
        # the tag is on torch alone: the companion is PyPI's, for CUDA 12
        ("2.6.0+cu118", {"torch": "2.6.0+cu118", "torchvision": "0.21.0"}, "torchvision 0.21.0"),
        # one that came from the list alone
        ("", {"torch": "2.6.0", "torchaudio": "2.5.1"}, "torchaudio 2.5.1"),
    ],
)
def test_pairs_that_do_not(line: str, packages: dict[str, str], names: str) -> None:
    cuda = {"cu121": "12.1", "cu118": "11.8", "cu126": "12.6"}.get(line.partition("+")[2], "")
    found = finding(text(line, cuda, **packages), PAIR)
    assert (found.outcome, found.severity, found.basis) == ("fail", "warning", "table")
    assert names in found.summary


def test_a_build_without_gpu_counts_where_a_gpu_computes() -> None:
    s = text("2.4.0+cu121", "12.1", torch="2.4.0+cu121", torchvision="0.19.0+cpu")
    assert finding(s, PAIR).outcome == "pass"
    s.gpu.torch = known(TorchWord(cuda=True), "the text")
    assert finding(s, PAIR).outcome == "fail"


def test_two_torches_are_unknown() -> None:
    assert finding(text("1.3.0", torch="1.2.0", torchvision="0.4.1"), PAIR).outcome == "unknown"
    assert finding(text("1.5.1 (pip package)", torch="1.5.1", torchvision="0.6.0a0"), PAIR).outcome == "unknown"


def test_numpy() -> None:
    assert finding(text("2.4.0", system="windows", torch="2.4.0", numpy="2.1.0"), NUMPY).outcome == "fail"
    assert finding(text("2.4.1", system="windows", torch="2.4.1", numpy="2.1.0"), NUMPY).outcome == "pass"
    assert finding(text("2.4.0", system="linux", torch="2.4.0", numpy="2.1.0"), NUMPY).outcome == "pass"
    assert finding(text("2.2.2", system="", torch="2.2.2", numpy="2.1.0"), NUMPY).outcome == "fail"
    assert finding(text("2.4.0", system="", torch="2.4.0", numpy="2.1.0"), NUMPY).outcome == "unknown"
    assert finding(text("2.2.2", system="linux", torch="2.2.2", numpy="1.26.4"), NUMPY).outcome == "pass"
    row = numpy_build("torch", "2.4.0+cu121", "windows")
    assert row is not None and row.built_with == "1"


@pytest.mark.parametrize(
    ("torch", "transformers", "outcome"),
    [
        ("2.0.1", "4.50.3", "fail"),
        ("2.0.1", "4.49.0", "pass"),
        ("2.2.2", "4.57.6", "pass"),
        ("2.3.1+cu121", "5.1.0", "fail"),
        ("2.5.1", "5.20.0", "fail"),
        ("2.6.0", "5.23.0", "pass"),
        ("2.6.0", "99.0.0", "pass"),  # may ask for more, and no one has read it
        ("1.13.1", "4.41.2", "unknown"),  # it names none
    ],
)
def test_transformers(torch: str, transformers: str, outcome: str) -> None:
    assert finding(text("", torch=torch, transformers=transformers), OLD).outcome == outcome


def test_tables_know_development_releases() -> None:
    row = torch_for_transformers("4.53.0.dev0")
    assert row is not None and row.enforced == "2.1.0"
    assert torch_for_transformers("no version") is None


# -- labels -----------------------------------------------------------------------------------------------------------

WHEEL = "https://github.com/Dao-AILab/flash-attention/releases/download/v2.7.4.post1/"


@pytest.mark.parametrize(
    ("version", "url", "torch", "cuda", "cxx11"),
    [
        ("2.7.4.post1", WHEEL + "flash_attn-2.7.4.post1+cu12torch2.5cxx11abiFALSE-cp312-cp312-linux_x86_64.whl",
         ("2.5",), "12", False),
        ("2.8.3", WHEEL + "flash_attn-2.8.3%2Bcu12torch2.10cxx11abiTRUE-cp312-cp312-linux_x86_64.whl#sha256=00",
         ("2.10",), "12", True),
        ("2.1.2+pt25cu124", "", ("2.5",), "124", None),
        ("0.17.3+torch250cu124", "", ("2.5",), "124", None),
        ("0.15.1+torch210cu121", "", ("2.1", "2.10"), "121", None),
        ("0.2.2.post1+cu124torch2.5", "", ("2.5",), "124", None),
        ("0.2.4+cu121.torch2.3.1", "", ("2.3",), "121", None),
    ],
)  # fmt: skip
def test_labels(version: str, url: str, torch: tuple[str, ...], cuda: str, cxx11: bool | None) -> None:
    label = label_of(Distribution("one", version, "", direct_url=url))
    assert label is not None
    assert (label.torch, label.cuda, label.cxx11) == (torch, cuda, cxx11)


@pytest.mark.parametrize("version", ["2.7.4.post1", "0.45.0", "1.8.0+cu118", "2.0.0+git1234", "1.0+ptolemy"])
def test_no_labels(version: str) -> None:
    assert label_of(Distribution("one", version, "")) is None


@pytest.mark.parametrize(
    ("version", "torch", "cuda", "outcome"),
    [
        ("2.7.4+cu12torch2.5cxx11abiFALSE", "2.5.1+cu124", "12.4", "pass"),
        ("2.7.4+cu12torch2.5cxx11abiTRUE", "2.5.1+cu124", "12.4", "fail"),
        ("2.7.4+cu12torch2.6cxx11abiFALSE", "2.6.0+cu124", "12.4", "pass"),
        ("2.7.4+cu12torch2.6cxx11abiTRUE", "2.6.0+cu126", "12.6", "pass"),
        ("2.7.4+cu12torch2.6cxx11abiFALSE", "2.6.0+cu126", "12.6", "fail"),
        ("2.8.3+cu12torch2.8cxx11abiTRUE", "2.8.0+cu128", "12.8", "pass"),
        ("2.8.3+cu12torch2.8cxx11abiTRUE", "2.9.0+cu128", "12.8", "fail"),
        ("2.8.3+cu12torch2.9cxx11abiTRUE", "2.9.0+cu130", "13.0", "fail"),
        # NVIDIA's containers choose their ABI themselves
        ("2.7.4+cu12torch2.5cxx11abiTRUE", "2.5.0a0+872d972e41.nv24.8", "12.6", "pass"),
    ],
)
def test_labels_against_torch(version: str, torch: str, cuda: str, outcome: str) -> None:
    s = text(torch, cuda, torch=torch, flash_attn=version)
    found = finding(s, ABI)
    assert found.outcome == outcome
    if outcome == "fail":
        assert found.severity == "warning"


def test_an_extension_of_the_real_machine_counts_by_its_file() -> None:
    from tests.conditions.installed import healthy_with

    url = WHEEL + "flash_attn-2.7.4.post1+cu12torch2.5cxx11abiFALSE-cp312-cp312-linux_x86_64.whl"
    s = healthy_with(dist("flash-attn", "2.7.4.post1", "torch", direct_url=url), base="cuda")
    found = finding(s, ABI)
    assert (found.severity, found.basis) == ("error", "derived")
    s = healthy_with(dist("flash-attn", "2.7.4.post1", "torch", direct_url=url))  # no GPU: transformers leaves it alone
    assert finding(s, ABI).severity == "warning"


def test_abi_table() -> None:
    row = cxx11_abi("2.6.0", "12.4")
    assert row is not None and not row.cxx11
    assert cxx11_abi("2.6.0", "") is None
    row = cxx11_abi("2.15.0", "13.2")
    assert row is not None and row.cxx11
