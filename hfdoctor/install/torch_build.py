"""Which build of torch belongs on a machine: the release, the variant, where to get it, and why."""

from __future__ import annotations

import msgspec

from ..conditions.reinstall import variant_index
from ..conditions.torch_wanted import Kind, Nothing, wanted_build
from ..facts.snapshot import Snapshot


class TorchBuild(msgspec.Struct, frozen=True):
    """A build of torch that can be installed.

    ``index`` is the index to take it (and torchvision, torchaudio) from; "" where PyPI's own wheel is this build.
    ``because`` is one line for a person: which GPUs and driver led to it.
    """

    kind: Kind
    release: str
    #: cpu, cu132, rocm7.2, xpu: the name of the folder on PyTorch's index
    variant: str
    index: str
    because: str

    @property
    def requirement(self) -> str:
        """What to ask the index for: ``torch==2.14.1``."""
        return f"torch=={self.release}"


class NoBuild(msgspec.Struct, frozen=True):
    """There is none, and why: one line for a person."""

    because: str


def torch_build(snapshot: Snapshot, require: str = "") -> TorchBuild | NoBuild:
    """The build for the machine of ``snapshot``: by its system, processor, Python, and all its GPUs with their driver.

    ``require`` is what torch must compute on: cuda, rocm, xpu, mps, gpu (any of them), cpu; "" takes the best there is.
    """
    answer = wanted_build(snapshot, require)
    if isinstance(answer, Nothing):
        return NoBuild(answer.because)
    choice = answer.choice
    index = "" if answer.plain else variant_index(choice.variant)
    return TorchBuild(answer.kind, choice.release, choice.variant, index, answer.because)
