"""Whether NVIDIA's driver is new enough for the CUDA that torch was built with.

NVIDIA's rule: within one CUDA major, from 11 on, any driver of that major runs programs of all its minors
(minor-version compatibility); before CUDA 11 the driver must know the full version. A forward compatibility package
lifts the rule.
https://docs.nvidia.com/deploy/cuda-compatibility/
"""

from __future__ import annotations

import msgspec

from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from . import torch_choice, torch_gpu
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .seen_torch import said
from .torch_choice import choice_for_most, install_build
from .torch_gpu import Build, build_in_question, capability_of, gpus, numbering_of, numbers, sees_none

#: what torch and CUDA say of a driver that is too old
TOO_OLD = r"driver on your system is too old|CUDA driver version is insufficient"
#: the first major with minor-version compatibility
COMPATIBLE_MINORS = 11


def _too_old(s: Snapshot, goal: Goal) -> Verdict:
    build = build_in_question(s, goal, "cuda")
    if not isinstance(build, Build):
        return build
    message = said(s, TOO_OLD)
    driver = s.gpu.driver.maybe()
    if message:
        clue = Clue(s.gpu.torch, message, "torch_says", {"message": message[:200]})
        return _fail(s, build, "error", "observed", [clue])
    if s.gpu.driver.absent:
        return Skip("no_driver")
    driver = s.gpu.driver.need()
    age = _judge(s, build)
    if age.enough is None:
        return Unknown(age.says, age.fields)
    if age.enough:
        return Pass(1, [Clue(s.gpu.driver, driver.cuda or driver.version, age.says, age.fields)])
    compat = s.gpu.cuda_compat
    if compat.known:
        return Pass(1, [Clue(compat, None, "compat", {**age.fields, "path": compat.need()})])
    if s.gpu.jetson.known:
        return Unknown("jetson", age.fields)
    if compat.status not in ("absent", "not-run"):
        compat.need()
    clues = [Clue(s.gpu.driver, driver.cuda or driver.version, age.says, age.fields)]
    # a text cannot show a forward compatibility package; that torch found no GPU shows that there is none
    basis: Basis = "table" if age.from_table else "derived"
    severity: Severity = "error" if basis == "derived" and compat.absent else "warning"
    if sees_none(s):
        severity, basis = "error", "observed"
        clues.append(Clue(s.gpu.torch, False, "torch_sees_none"))
    return _fail(s, build, severity, basis, clues)


class Age(msgspec.Struct, frozen=True):
    """Whether the driver is new enough (None: cannot be told), why, and whether only a table says so."""

    enough: bool | None
    says: str
    fields: dict[str, Plain]
    from_table: bool


def _judge(s: Snapshot, build: Build) -> Age:
    driver = s.gpu.driver.need()
    fields: dict[str, Plain] = {**build.fields, "driver": driver.version, "driver_cuda": driver.cuda}
    fields["major"] = build.runtime.partition(".")[0]
    needs, runs = numbers(build.runtime)[:2], numbers(driver.cuda)[:2]
    if not needs:
        return Age(None, "odd_cuda", fields, False)
    if runs:
        minors = needs[0] >= COMPATIBLE_MINORS
        if (minors and runs[0] >= needs[0]) or (not minors and runs >= needs):
            return Age(True, "same_major" if runs[0] == needs[0] and runs < needs else "enough", fields, False)
        return Age(False, "runs_major" if minors else "runs_full", fields, False)
    if s.gpu.jetson.known:
        return Age(None, "jetson", fields, False)
    from ..knowledge.drivers import driver_is_enough, load_drivers, needs_driver

    systems = [numbering_of(s)] if numbering_of(s) else ["linux", "windows"]
    cuda = ".".join(str(part) for part in needs)
    answers = {driver_is_enough(driver.version, cuda, system) for system in systems}
    if len(answers) > 1 or None in answers:
        return Age(None, "not_in_table", fields, True)
    # of two columns that both say no, the lower minimum is the one that surely is not reached
    row = next(row for row in load_drivers() if row.cuda in (cuda, str(needs[0])))
    fields |= {"minimum": needs_driver(cuda, systems[0]), "system": systems[0].capitalize()}
    fields |= {"as_of": row.as_of.isoformat(), "source": row.source}
    return Age(answers == {True}, "table_enough" if answers == {True} else "table_needs", fields, True)


def _fail(s: Snapshot, build: Build, severity: Severity, basis: Basis, clues: list[Clue]) -> Fail:
    driver = s.gpu.driver.maybe()
    fields: dict[str, Plain] = {**build.fields, "driver": driver.version if driver else ""}
    fields["major"] = build.runtime.partition(".")[0]
    cards = gpus(s, "nvidia") if s.gpu.devices.known else []
    steps = []
    if not _beyond_its_cuda(cards, build):  # else no driver makes such a torch run on it
        os_info = s.machine.os.maybe()
        windows = (os_info is not None and os_info.system == "windows") or torch_gpu.in_wsl(s)
        says = "newer_driver_wsl" if torch_gpu.in_wsl(s) else "newer_driver_windows" if windows else "newer_driver"
        steps.append(Step(says=says, fields=fields, administrator=True, network=True))
    most = choice_for_most(s, cards) if driver else None
    if most is not None:
        choice, _ = most
        steps.append(Step(says="or_older_build" if steps else "older_build", fields={"variant": choice.variant}))
        steps += install_build(s, choice)
    says = "too_old" if driver else "told"
    return Fail(says, severity, basis, clues, fields, Treatment("confirm", steps) if steps else None, len(clues))


def _beyond_its_cuda(cards: list[Device], build: Build) -> bool:
    """Whether one of the GPUs is older than all that the build's CUDA has code for."""
    from ..knowledge.drivers import oldest_gpu

    known = [numbers(capability) for one in cards if (capability := capability_of(one)[0])]
    return bool(known) and min(known) < numbers(oldest_gpu(build.runtime) or "")


DRIVER_TOO_OLD = Condition(
    id="driver-too-old",
    family="gpu",
    title="NVIDIA's driver is too old for the CUDA that torch was built with",
    reads=("gpu", "packages", "machine", "target"),
    detect=_too_old,
    words={
        **torch_gpu.WORDS,
        **torch_choice.WORDS,
        "no_driver": "no driver of NVIDIA is installed",
        "odd_cuda": "torch {torch} names a CUDA version that is not understood: {cuda}",
        "not_in_table": "whether driver {driver} runs CUDA {cuda} is not in the table of drivers, and it was not asked",
        "jetson": "a Jetson's driver has numbers and upgrade packages of its own: NVIDIA's JetPack notes say which "
        "CUDA it runs",
        "enough": "the driver {driver} runs CUDA {driver_cuda}, torch was built with {cuda}",
        "same_major": "the driver {driver} is of CUDA {driver_cuda} and torch of {cuda}: within one major every driver "
        "runs every minor version",
        "compat": "the driver itself is too old for CUDA {cuda}, but a forward compatibility library stands in for "
        "it: {path}",
        "table_enough": "CUDA {cuda} needs driver {minimum} or newer on {system}, installed is {driver} "
        "(as of {as_of}, {source})",
        "too_old": "driver {driver} is too old for torch {torch}, which was built with CUDA {cuda}",
        "told": "the NVIDIA driver is too old for torch {torch}, which was built with CUDA {cuda}",
        "torch_says": "torch said: {message}",
        "torch_sees_none": "torch was asked and finds no GPU (torch.cuda.is_available() is False)",
        "runs_major": "the driver {driver} says that it runs CUDA up to {driver_cuda}; programs of CUDA {major} need a "
        "driver of CUDA {major} (any minor version of it)",
        "runs_full": "the driver {driver} says that it runs CUDA up to {driver_cuda}; torch was built with {cuda}, and "
        "before CUDA 11 the driver must know the full version",
        "table_needs": "CUDA {cuda} needs driver {minimum} or newer on {system}, installed is {driver} "
        "(as of {as_of}, {source})",
        "newer_driver": "install a newer driver, of CUDA {major} or later (your distribution's packages or "
        "https://www.nvidia.com/drivers), and restart",
        "newer_driver_windows": "install a newer driver from https://www.nvidia.com/drivers and restart",
        "newer_driver_wsl": "install a newer driver in Windows (https://www.nvidia.com/drivers), never inside WSL; "
        "then wsl --shutdown",
        "or_older_build": "or keep the driver and install the torch that it runs, built for {variant}:",
        "older_build": "install the torch that this driver and GPU run, built for {variant}:",
    },
    explained_by=("driver-mismatch",),
)

CONDITIONS: tuple[Condition, ...] = (DRIVER_TOO_OLD,)
