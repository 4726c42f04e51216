"""Which build of torch this machine should have instead, and the steps that bring it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ..binaries.targets import runs_on
from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from .model import Plain, Step
from .reinstall import TORCH_INDEX, python_of
from .torch_gpu import capability_of, driver_cuda

#: what comes in a build for each CUDA, too, and must be changed together with torch
TOGETHER = ("torch", "torchvision", "torchaudio")
#: a driver that can still be installed runs everything
ANY_DRIVER = "99.0"

WORDS: Mapping[str, str] = {
    "take_away": "take the present build away first: the installer thinks that torch is there already",
    "other_index": "install {packages} from the index of the builds for {variant}",
    "with_conda": "this torch came from conda: install conda-forge's pytorch for the GPU in its place "
    "(conda install -c conda-forge pytorch-gpu)",
}
#: for those that can give no other advice
ASK_SELECTOR = "choose the build for this GPU and driver on https://pytorch.org/get-started/locally/"
JETSON_BUILDS = "on a Jetson take the builds that NVIDIA makes for its JetPack release"


class Choice(msgspec.Struct, frozen=True):
    """A build on PyTorch's own index: release 2.14.1, variant cu126."""

    release: str
    variant: str
    #: whether the index of the variant has no newer release, so that a plain ``torch`` brings this one
    newest: bool


def best_index(driver: str, capabilities: Sequence[str], system: str, machine: str, python: str = "") -> Choice | None:
    """The newest torch, in its newest CUDA variant, that runs on this driver and GPUs; None where no table has one.

    ``driver`` is the newest CUDA that the driver runs ("12.4"), "" if it can be chosen freely; ``capabilities`` are
    those of the GPUs that it must run on ("8.9"); ``python`` "3.12" leaves out the releases that it is too old or too
    new for.
    """
    from ..knowledge.torch_builds import best_variant, load_torch_releases, variants_of

    def runs(code: tuple[str, ...], _: str) -> bool:
        return all(runs_on(code, (), wanted).how == "native" for wanted in capabilities)

    releases = [row.release for row in load_torch_releases() if not python or python in row.pythons]
    for release in releases:
        variant = best_variant(release, driver or ANY_DRIVER, "", system, machine, runs=runs)
        if variant is not None:
            newest = next(one for one in releases if variant in variants_of(one, system, machine))
            return Choice(release, variant, newest == release)
    return None


def choice_for(s: Snapshot, devices: Sequence[Device], *, any_driver: bool = False) -> Choice | None:
    """best_index for this machine: its system, its Python, its driver, and those of ``devices`` that are known.

    ``any_driver``: its driver is to be replaced anyway.
    """
    platform = platform_of(s)
    if platform is None or s.gpu.jetson.known:
        return None
    interpreter = s.target.interpreter.maybe()
    python = ".".join(str(part) for part in interpreter.version_info[:2]) if interpreter else ""
    if interpreter is not None and interpreter.free_threaded:
        python += "t"
    cuda = "" if any_driver else driver_cuda(s)[0]
    capabilities = {capability for one in devices if (capability := capability_of(one)[0])}
    return best_index(cuda, sorted(capabilities), *platform, python)


def platform_of(s: Snapshot) -> tuple[str, str] | None:
    """System and machine as the tables of builds name them; x86-64 where only the system is known."""
    os_info = s.machine.os.maybe()
    if os_info is None or os_info.system not in ("linux", "windows"):
        return None
    interpreter = s.target.interpreter.maybe()
    return os_info.system, (interpreter.machine if interpreter else "") or s.machine.architecture.maybe() or "x86_64"


def install_build(s: Snapshot, choice: Choice) -> list[Step]:
    """The steps that put the build of ``choice`` in the place of the installed torch and of its companions."""
    release = "" if choice.newest else f"=={choice.release}"
    return from_index(s, choice.variant, release)


def from_index(s: Snapshot, variant: str, release: str = "") -> list[Step]:
    """The steps that install torch (and the companions that are there) from the index of one variant.

    ``release`` pins torch ("==2.10.0"); its companions then follow by what they ask for.
    """
    present = {one.name: one for one in s.packages.distributions.maybe() or () if not one.shadowed}
    entry = present.get("torch")
    if entry is not None and entry.installer.lower().startswith("conda"):
        return [Step(says="with_conda", network=True)]
    packages = [name for name in TOGETHER if name == "torch" or name in present]
    wanted = ["torch" + release, *packages[1:]]
    fields: dict[str, Plain] = {"packages": " and ".join(packages), "variant": variant}
    index = ["--index-url", TORCH_INDEX + variant]
    python = python_of(s)
    uv = s.target.pip.absent or (entry is not None and entry.installer.lower().startswith("uv"))
    start = ["uv", "pip"] if uv else [python, "-m", "pip"]
    where, sure = (["--python", python], []) if uv else ([], ["-y"])
    steps = [Step([*start, "install", *where, *wanted, *index], "other_index", fields, network=True)]
    if entry is not None:
        steps.insert(0, Step([*start, "uninstall", *where, *sure, *packages], "take_away"))
    return steps
