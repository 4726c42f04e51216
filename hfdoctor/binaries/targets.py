"""Whether GPU code that was built for some targets runs on a device: NVIDIA's and AMD's rules, and nothing else.

NVIDIA: https://docs.nvidia.com/cuda/cuda-programming-guide/ (compute capabilities, binary and PTX compatibility).
AMD: https://llvm.org/docs/AMDGPUUsage.html (target IDs, generic processors).

The one door is ``runs_on``:

>>> runs_on(["sm_80", "sm_86"], [], "8.9").how  # machine code: same major, the same minor or a newer one
'native'
>>> runs_on(["sm_80", "sm_90"], [], "12.0").how
'no'
>>> runs_on(["sm_80"], ["compute_90"], "12.0", driver_cuda="13.0", ptx_cuda="12.8").how
'jit'
>>> runs_on(["sm_80"], ["compute_90"], "12.0", driver_cuda="12.4", ptx_cuda="12.8").reason
'the driver, of CUDA 12.4, cannot read compute_90 PTX of CUDA 12.8'
>>> runs_on(["sm_90a"], [], "10.0").how  # "a": on exactly that one
'no'
>>> runs_on(["sm_100f"], [], "10.3").how  # "f": within its family
'native'
>>> runs_on(["gfx90a", "gfx942"], [], "gfx942:sramecc+:xnack-").target
'gfx942'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

How = Literal["native", "jit", "no", "unknown"]

#: Capabilities of embedded chips (Tegra): machine code goes neither from them to others nor from others to them.
#: A chip that NVIDIA renumbered (Thor: 10.1 in CUDA 12, 11.0 in CUDA 13) stands with both its numbers.
EMBEDDED: dict[tuple[int, int], frozenset[tuple[int, int]]] = {
    (5, 3): frozenset({(5, 3)}),
    (6, 2): frozenset({(6, 2)}),
    (7, 2): frozenset({(7, 2)}),
    (8, 7): frozenset({(8, 7)}),
    (8, 8): frozenset({(8, 8)}),
    (10, 1): frozenset({(10, 1), (11, 0)}),
    (11, 0): frozenset({(10, 1), (11, 0)}),
}

#: AMD's generic targets, and the processors that run their code
GENERIC: dict[str, frozenset[str]] = {
    "gfx9-generic": frozenset({"gfx900", "gfx902", "gfx904", "gfx906", "gfx909", "gfx90c"}),
    "gfx9-4-generic": frozenset({"gfx940", "gfx941", "gfx942", "gfx950"}),
    "gfx10-1-generic": frozenset({"gfx1010", "gfx1011", "gfx1012", "gfx1013"}),
    "gfx10-3-generic": frozenset({f"gfx103{last}" for last in range(7)}),
    "gfx11-generic": frozenset(
        {"gfx1100", "gfx1101", "gfx1102", "gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153"}
    ),
    "gfx12-generic": frozenset({"gfx1200", "gfx1201"}),
    "gfx12-5-generic": frozenset({"gfx1250", "gfx1251"}),
}

#: AMD's intermediate code, which the runtime compiles for any processor
SPIRV = "amdgcnspirv"


class Run(NamedTuple):
    """How code runs on a device.

    ``how``: native (machine code fits), jit (the driver compiles PTX or SPIR-V at first use: slow once, then cached),
    no (nothing fits: "no kernel image is available"), unknown (the device or every target is of a kind not known here).
    """

    how: How
    #: the target that fits best, as the library spells it; for "no" the PTX that would fit with a newer driver, else ""
    target: str
    #: one sentence without a full stop
    reason: str
    #: "jit" holds only if the driver's CUDA is at least that of the PTX, and one of the two was not given
    assumed: bool = False


class CudaTarget(NamedTuple):
    """``sm_90a`` or ``compute_120f`` taken apart; ``kind`` is "" (plain), "a" (one chip only) or "f" (its family)."""

    major: int
    minor: int
    kind: str


def runs_on(
    code: Sequence[str],
    ptx: Sequence[str],
    capability: str,
    driver_cuda: str | None = None,
    ptx_cuda: str | None = None,
) -> Run:
    """How a library with machine code for ``code`` and PTX for ``ptx`` runs on a device of ``capability``.

    ``code`` and ``ptx`` are spelled as GpuCode has them; ``capability`` is "8.9" (NVIDIA) or "gfx1100",
    "gfx90a:sramecc+:xnack-" (AMD; features that it does not name are taken to fit).
    ``driver_cuda`` is the newest CUDA that the driver says it runs ("12.4"), ``ptx_cuda`` the toolkit that made the PTX
    (that of the build, or that of GpuCode.ptx_isa): a driver reads no PTX of a newer toolkit than its own.
    Machine code within one CUDA major does not ask for that. Never raises: what is not understood is "unknown".

    >>> runs_on([], ["compute_75"], "8.6")
    Run(how='jit', target='compute_75', reason='the driver compiles compute_75 PTX for 8.6 at first use', assumed=True)
    """
    if capability.startswith("gfx"):
        return _runs_on_amd(code, capability)
    device = _numbers(capability)
    if device is None:
        return Run("unknown", "", f"{capability or 'nothing'} is no compute capability that is known here")
    machine = {name: target for name in code if (target := cuda_target(name)) is not None}
    virtual = {name: target for name in ptx if (target := cuda_target(name)) is not None}
    fitting = [name for name, target in machine.items() if machine_code_fits(target, device)]
    if fitting:
        best = max(fitting, key=lambda name: machine[name])
        return Run("native", best, f"{best} machine code runs on {capability}")
    readable = [name for name, target in virtual.items() if ptx_fits(target, device)]
    if readable:
        best = max(readable, key=lambda name: virtual[name])
        return _by_driver(best, capability, driver_cuda, ptx_cuda)
    if len(machine) + len(virtual) < len(code) + len(ptx):
        odd = next(name for name in (*code, *ptx) if name not in machine and name not in virtual)
        return Run("unknown", "", f"the target {odd} is not known here")
    return Run("no", "", f"built for {' '.join((*code, *ptx)) or 'no target'}, none of which runs on {capability}")


def _by_driver(name: str, capability: str, driver_cuda: str | None, ptx_cuda: str | None) -> Run:
    """PTX that fits the device: can the driver read it?"""
    driver, made_by = _numbers(driver_cuda or ""), _numbers(ptx_cuda or "")
    if driver is not None and made_by is not None and driver < made_by:
        return Run("no", name, f"the driver, of CUDA {driver_cuda}, cannot read {name} PTX of CUDA {ptx_cuda}")
    says = f"the driver compiles {name} PTX for {capability} at first use"
    return Run("jit", name, says, assumed=driver is None or made_by is None)


def cuda_target(name: str) -> CudaTarget | None:
    """``sm_90a`` or ``compute_120f`` taken apart; None for anything else.

    >>> cuda_target("sm_120f")
    CudaTarget(major=12, minor=0, kind='f')
    """
    prefix, _, number = name.partition("_")
    kind = number[-1:] if number[-1:] in ("a", "f") else ""
    digits = number.removesuffix(kind)
    if prefix not in ("sm", "compute") or not (digits.isascii() and digits.isdigit()) or not 2 <= len(digits) <= 4:
        return None
    return CudaTarget(int(digits[:-1]), int(digits[-1]), kind)


def machine_code_fits(target: CudaTarget, device: tuple[int, int]) -> bool:
    """Whether machine code for ``target`` runs on a device of that compute capability.

    >>> machine_code_fits(CudaTarget(8, 6, ""), (8, 9)), machine_code_fits(CudaTarget(8, 9, ""), (8, 6))
    (True, False)
    >>> machine_code_fits(CudaTarget(8, 0, ""), (8, 7))  # Jetson Orin: embedded chips stand alone
    False
    """
    own = (target.major, target.minor)
    if own in EMBEDDED or device in EMBEDDED:
        return device in EMBEDDED.get(own, frozenset())
    if target.kind == "a":
        return own == device
    return target.major == device[0] and target.minor <= device[1]


def ptx_fits(target: CudaTarget, device: tuple[int, int]) -> bool:
    """Whether PTX for ``target`` can be compiled for a device of that compute capability.

    Plain PTX goes to every newer chip, embedded ones too; ``a`` stays on its chip and ``f`` in its family.

    >>> ptx_fits(CudaTarget(8, 0, ""), (8, 7)), ptx_fits(CudaTarget(9, 0, "a"), (10, 0))
    (True, False)
    """
    if target.kind:
        return machine_code_fits(target, device)
    return (target.major, target.minor) <= device


def _runs_on_amd(code: Sequence[str], device: str) -> Run:
    """AMD: the same processor, or a generic one that it belongs to, and no feature that contradicts."""
    processor, wanted = _features(device)
    exact, generic = "", ""
    for name in code:
        own, features = _features(name)
        if any(wanted.get(feature, sign) != sign for feature, sign in features.items()):
            continue
        # of two that fit, the one that says more of its features was made more exactly for the device
        if own == processor and (not exact or name.count(":") > exact.count(":")):
            exact = name
        elif processor in GENERIC.get(own, frozenset()):
            generic = name
    best = exact or generic
    if best:
        return Run("native", best, f"{best} machine code runs on {device}")
    if SPIRV in code:
        return Run("jit", SPIRV, f"the runtime compiles {SPIRV} for {device} at first use")
    odd = [name for name in code if not name.startswith("gfx") or (name.endswith("-generic") and name not in GENERIC)]
    if odd:
        return Run("unknown", "", f"the target {odd[0]} is not known here")
    return Run("no", "", f"built for {' '.join(code) or 'no target'}, none of which runs on {device}")


def gfx_of_override(version: str) -> str:
    """The processor that HSA_OVERRIDE_GFX_VERSION makes of a device; "" for what is no version.

    >>> gfx_of_override("10.3.0"), gfx_of_override("9.0.10")
    ('gfx1030', 'gfx90a')
    """
    parts = version.strip().split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return ""
    major, minor, step = (int(part) for part in parts)
    return f"gfx{major}{minor:x}{step:x}" if minor < 16 and step < 16 else ""


def _features(name: str) -> tuple[str, dict[str, str]]:
    """``gfx942:sramecc+:xnack-`` as its processor and the sign of each feature."""
    processor, *features = name.split(":")
    return processor, {feature[:-1]: feature[-1] for feature in features if feature[-1:] in ("+", "-")}


def _numbers(version: str) -> tuple[int, int] | None:
    """``12.4`` (or 12.4.1) as two numbers; None for anything else."""
    parts = version.split(".")[:2]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 4 for part in parts):
        return None
    return int(parts[0]), int(parts[1])
