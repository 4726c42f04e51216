"""Versions that do not go together, in a real environment: found, healed by the smallest change, and taken back."""

from __future__ import annotations

import sys

import pytest

from hfdoctor.facts.snapshot import Snapshot
from tests import recorded
from tests.facts.test_packages_libraries import elf

from .patient import Patient, heals, patient

__all__ = ["patient"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="tests/windows has its own"),
]

HUB = "huggingface-hub>=1.5,<3"
TOKENIZERS = "tokenizers>=0.22,<=0.23.0"


def family(patient: Patient) -> tuple[str, str]:
    """Releases of the family on the index, and the transformers and torch that go with the newest."""
    for version in ("0.36.2", "1.6.0", "2.4.0", "3.0.0"):
        patient.make("huggingface-hub", version, files={"huggingface_hub/__init__.py": f"# {version}\n"})
    for version in ("0.21.0", "0.23.0", "0.24.0"):
        patient.make("tokenizers", version, HUB if version > "0.22" else "huggingface-hub<1")
    patient.make("filelock", "3.20.0")
    return patient.transformers("5.23.0", HUB, TOKENIZERS), patient.torch("2.15.0", "filelock")


def test_an_old_hub_and_what_is_missing(patient: Patient) -> None:
    patient.create(*family(patient))
    patient.install("huggingface-hub==0.36.2", "--no-deps")
    patient.uv("pip", "uninstall", "--quiet", "--python", str(patient.python), "filelock")
    after = heals(patient, "version-skew", "dependency-conflict")
    assert after == {
        "huggingface-hub": "2.4.0",
        "tokenizers": "0.23.0",
        "filelock": "3.20.0",
        "transformers": "5.23.0",
        "torch": "2.15.0",
    }


def test_the_hub_stays_and_the_others_follow(patient: Patient) -> None:
    """The other way: what leans on the old hub becomes newer (here: there is a transformers for the new one)."""
    transformers, torch = family(patient)
    patient.transformers("5.24.0", "huggingface-hub>=3", "tokenizers>=0.24")
    patient.make("tokenizers", "0.25.0", "huggingface-hub>=3")
    patient.create(transformers, torch)
    patient.install("huggingface-hub==3.0.0", "--no-deps")
    after = heals(patient, "version-skew", ways=(2,))
    assert (after["transformers"], after["huggingface-hub"], after["tokenizers"]) == ("5.24.0", "3.0.0", "0.25.0")


def test_what_a_cuda_torch_needs_around_it(patient: Patient) -> None:
    """torchvision of another torch, no triton, one CUDA library of another release, one that is not there."""
    needs = ("triton~=3.9.0", "nvidia-cublas==13.4.1.3.*", "nvidia-cufft==12.2.0.57.*")
    torch = patient.torch("2.15.0", *needs, cuda="13.2")
    for name, versions in {"nvidia-cublas": ("13.0.2.14", "13.4.1.3"), "nvidia-cufft": ("12.2.0.57",)}.items():
        for version in versions:
            part = name.removeprefix("nvidia-")
            library = f"nvidia/cu13/lib/lib{part}.so.{version.partition('.')[0]}"
            patient.make(name, version, files={library: elf(version.encode())})
    patient.make("triton", "3.9.0")
    patient.make("triton", "3.8.0")
    patient.make("torchvision", "0.22.1", "torch==2.7.1")
    patient.make("torchvision", "0.30.0", "torch==2.15.0")
    patient.torch("2.7.1")
    patient.create(torch, patient.transformers("5.23.0"))
    patient.install("torchvision==0.22.1", "--no-deps")
    patient.uv("pip", "uninstall", "--quiet", "--python", str(patient.python), "triton", "nvidia-cufft")
    after = heals(patient, "torch-companion-mismatch", "triton-missing", "cuda-libs-missing")
    assert (after["torch"], after["torchvision"], after["triton"]) == ("2.15.0", "0.30.0", "3.9.0")
    assert after["nvidia-cufft"] == "12.2.0.57"
    patient.install("nvidia-cublas==13.0.2.14", "--no-deps")
    assert heals(patient, "cuda-libs-mixed")["nvidia-cublas"] == "13.4.1.3"


def old_stack(patient: Patient) -> None:
    """What people have who never updated: transformers 4, TensorFlow, and a module compiled for NumPy 1."""
    for version in ("1.26.4", "2.2.6"):
        patient.make("numpy", version)
    pandas: dict[str, str | bytes] = {"pandas/__init__.py": "", "pandas/lib.so": elf(b"numpy.core._multiarray_umath\0")}
    patient.make("pandas", "1.5.3", "numpy>=1.21", files=pandas)
    patient.make("keras", "3.15.1")
    patient.make("tf-keras", "2.21.0")
    patient.make("tensorflow", "2.21.0", "keras>=3.10")
    patient.torch("2.0.1")
    patient.torch("2.15.0")
    patient.make("torchvision", "0.15.2", "torch==2.0.1")
    patient.make("torchvision", "0.30.0", "torch==2.15.0")
    transformers = patient.transformers("4.57.6", "numpy>=1.17", gate="2.1")
    patient.create(transformers, "torch==2.0.1", "torchvision", "tensorflow", "pandas", "numpy==2.2.6")


def test_an_old_stack(patient: Patient) -> None:
    old_stack(patient)
    after = heals(patient, "torch-too-old-for-transformers", "numpy-abi", "keras3")
    assert (after["torch"], after["torchvision"]) == ("2.15.0", "0.30.0")
    assert (after["numpy"], after["tf-keras"]) == ("1.26.4", "2.21.0")


def test_a_torch_for_the_processor_beside_a_gpu(patient: Patient) -> None:
    for build in ("cpu", "cu132"):
        patient.torch(f"2.15.0+{build}", cuda="13.2" if build == "cu132" else "")
        patient.make("torchvision", f"0.30.0+{build}", "torch==2.15.0")
    patient.create(patient.transformers("5.23.0"), "torch==2.15.0+cpu", "torchvision==0.30.0+cpu")

    def with_gpu(snapshot: Snapshot) -> None:
        machine = recorded.load("torch-cpu-build-rtx")
        snapshot.gpu, snapshot.machine = machine.gpu, machine.machine

    patient.besides = with_gpu
    after = heals(patient, "torch-cpu-build")
    assert (after["torch"], after["torchvision"]) == ("2.15.0+cu132", "0.30.0+cu132")


def test_an_old_pip(patient: Patient) -> None:
    for version in ("20.2.4", "26.3"):
        patient.make("pip", version)
    patient.create("pip==20.2.4")
    after = heals(patient, "pip-too-old")
    assert after == {"pip": "26.3"}


def test_what_an_import_asks_for(patient: Patient) -> None:
    body = "try:\n    import sentencepiece\nexcept ImportError as error:\n    raise ImportError('''{}''')\n"
    said = "LlamaTokenizer requires the SentencePiece library but it was not found in your environment."
    patient.make("sentencepiece", "0.2.1")
    patient.create(patient.transformers("5.23.0", body=body.format(said)), patient.torch("2.15.0"))
    patient.deep = True
    after = heals(patient, "missing-optional-dependency")
    assert after["sentencepiece"] == "0.2.1"
