"""Which build of torch this machine should have instead, and the steps that bring it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ..binaries.targets import runs_on
from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from .install_steps import install, uninstall
from .model import Plain, Step
from .reinstall import variant_index
from .torch_gpu import capability_of, driver_cuda, numbers

#: what comes in a build for each CUDA, too, and must be changed together with torch
TOGETHER = ("torch", "torchvision", "torchaudio")
#: a driver that can still be installed runs everything
ANY_DRIVER = "99.0"
#: bytes; a GPU with less drives a screen, and nobody misses it for computing
DISPLAY_MEMORY = 4 * 2**30

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
    #: whether it is the newest release of all, so that a plain ``torch`` is sure to bring it. What the index of an
    #: older variant has beyond the tables may have left a GPU behind
    newest: bool


def best_index(
    driver: str, capabilities: Sequence[str], system: str, machine: str, python: str = "", least: str = ""
) -> Choice | None:
    """The newest torch, in its newest CUDA variant, that runs on this driver and GPUs; None where no table has one.

    ``driver`` is the newest CUDA that the driver runs ("12.4"), "" if it can be chosen freely; ``capabilities`` are
    those of the GPUs that it must run on ("8.9"); ``python`` "3.12" leaves out the releases that it is too old or too
    new for; ``least`` is the oldest release that serves.
    """
    from ..knowledge.torch_builds import best_variant

    def runs(code: tuple[str, ...], _: str) -> bool:
        return all(runs_on(code, (), wanted).how == "native" for wanted in capabilities)

    releases = releases_for(python, least)
    for release in releases:
        variant = best_variant(release, driver or ANY_DRIVER, "", system, machine, runs=runs)
        if variant is not None:
            return Choice(release, variant, release == releases[0])
    return None


def releases_for(python: str, least: str = "") -> list[str]:
    """The releases of torch with wheels for ``python`` ("3.12", "3.14t"; "" for any), newest first."""
    from ..knowledge.torch_builds import load_torch_releases

    return [
        row.release
        for row in load_torch_releases()
        if (not python or python in row.pythons) and numbers(row.release) >= numbers(least)
    ]


def choice_for(
    s: Snapshot, devices: Sequence[Device], *, any_driver: bool = False, least: str | None = None
) -> Choice | None:
    """best_index for this machine: its system, its Python, its driver, and those of ``devices`` that are known.

    ``any_driver``: its driver is to be replaced anyway. ``least`` None: as the installed transformers asks for it,
    where there is such a build.
    """
    platform = platform_of(s)
    if platform is None or s.gpu.jetson.known:
        return None
    cuda = "" if any_driver else driver_cuda(s)[0]
    capabilities = sorted({capability for one in devices if (capability := capability_of(one)[0])})
    bounds = [least] if least is not None else list(dict.fromkeys((least_torch(s), "")))
    found = (best_index(cuda, capabilities, *platform, python_tag(s), bound) for bound in bounds)
    return next((choice for choice in found if choice is not None), None)


def choice_for_most(
    s: Snapshot, devices: Sequence[Device], *, any_driver: bool = False
) -> tuple[Choice, list[Device]] | None:
    """The build for all of ``devices``; where no build serves all of them, for the newer ones. And those it serves.

    A card for the screen beside one that computes does not count, and no build that transformers is too new for is
    taken for the sake of an old card beside a newer one.
    """
    large = [one for one in devices if one.memory_total is None or one.memory_total >= DISPLAY_MEMORY]
    cards = sorted(large or devices, key=lambda one: numbers(capability_of(one)[0]), reverse=True)
    for least in dict.fromkeys((least_torch(s), "")):
        for count in range(len(cards), 0, -1):
            choice = choice_for(s, cards[:count], any_driver=any_driver, least=least)
            if choice is not None:
                return choice, cards[:count]
    return None


def least_torch(s: Snapshot) -> str:
    """The oldest torch that the installed transformers accepts; "" where nothing says so."""
    needs = s.packages.transformers_needs.maybe()
    return needs.minimum_torch if needs is not None else ""


def python_tag(s: Snapshot) -> str:
    """The target's Python as the tables of wheels name it: 3.12, 3.14t; "" where it is not known."""
    interpreter = s.target.interpreter.maybe()
    if interpreter is None:
        return ""
    return ".".join(str(part) for part in interpreter.version_info[:2]) + ("t" if interpreter.free_threaded else "")


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
    by_uv = entry is not None and entry.installer.lower().startswith("uv")
    command = install(s, wanted, "--index-url", variant_index(variant), by_uv=by_uv)
    steps = [Step(command, "other_index", fields, network=True)]
    if entry is not None:
        steps.insert(0, Step(uninstall(s, packages, by_uv=by_uv), "take_away"))
    return steps
