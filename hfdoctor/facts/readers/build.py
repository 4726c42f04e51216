"""Makes a Snapshot of what was read: facts where the text is of one mind, reasons everywhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ...version import __version__
from ..collect import fill_missing
from ..fact import Fact, absent, failed, known, not_run
from ..legible import legible
from ..redaction import is_secret, without_credentials
from ..sections.gpu import NvidiaDriver, Rocm, TorchDevice, TorchWord
from ..sections.machine import Cpu, Libc, OsInfo
from ..sections.packages import ImportTrial, TorchBuild
from ..sections.settings import Variable
from ..sections.target import Interpreter
from ..sections.windows import Windows
from ..snapshot import SECTIONS, Snapshot
from .merge import distributions, merged_devices
from .notes import Contradiction, Notes

SILENT = "the text does not say"


def build(notes: Notes) -> Snapshot:
    """The Snapshot of what ``notes`` hold."""
    formats = [name for name in notes.formats if not name.startswith("a list of")] or list(notes.formats)
    snapshot = Snapshot(hfdoctor=__version__, described=formats)
    _machine(snapshot, notes)
    _target(snapshot, notes)
    _packages(snapshot, notes)
    _gpu(snapshot, notes)
    _settings(snapshot, notes)
    for name in SECTIONS:
        section = getattr(snapshot, name)
        if section is not None:
            fill_missing(section, not_run(SILENT))
    return snapshot


def _fact(notes: Notes, topic: str, make: Callable[[Any], Any] = lambda value: value) -> Fact[Any]:
    """The fact for ``topic``: what is said, or why nothing is known."""
    try:
        claim = notes.one(topic)
    except Contradiction as why:
        return failed(str(why))
    if claim is not None:
        return known(make(claim.value), f"the text: {claim.who}")
    if topic in notes.blanks:
        return failed(notes.blanks[topic])
    return not_run(SILENT)


def _value(notes: Notes, topic: str) -> Any:
    """What is said of ``topic``, or None (also where it is contradicted)."""
    return _fact(notes, topic).maybe()


def _system(notes: Notes) -> str | None:
    """linux, windows or macos; a kernel made for WSL settles it where a person also names the Windows around it."""
    if _value(notes, "wsl") in ("1", "2"):
        return "linux"
    system: str | None = _value(notes, "system")
    return system


def _machine(snapshot: Snapshot, notes: Notes) -> None:
    machine = snapshot.machine
    system = _system(notes)
    kernel = _value(notes, "kernel") or ""
    told = [claim for claim in notes.claims.get("os", []) if claim.value.system == system]
    told = [claim for claim in told if not claim.weak] or told
    if system in ("linux", "windows", "macos"):
        names = {claim.value.name for claim in told}
        info = max((claim.value for claim in told), key=lambda value: len(value.name), default=None)
        if info is None or not all(info.name.startswith(name) for name in names):
            info = OsInfo(system)  # type: ignore[arg-type]  # one of the three, just looked at
        if system == "windows" and not info.version:  # the build stands in the line with the platform
            builds = [claim.value for claim in notes.claims.get("os", []) if claim.value.version]
            if len({build.version for build in builds}) == 1:
                info = OsInfo("windows", info.name or builds[0].name, builds[0].version, builds[0].build)
        if system == "linux":
            info = OsInfo("linux", info.name, info.version, kernel)
        machine.os = known(info, f"the text: {told[0].who}" if told else "the text")
    elif notes.claims.get("system"):
        machine.os = _fact(notes, "system")
    machine.architecture = _fact(notes, "architecture")
    if system == "windows":
        snapshot.windows = Windows()
    wsl = _fact(notes, "wsl")
    machine.wsl = absent("no Microsoft kernel", wsl.source) if wsl.value == "" else wsl
    if system in ("windows", "macos"):
        machine.wsl = absent(f"this is {'Windows itself' if system == 'windows' else 'macOS'}", "the text")
    machine.libc = _libc(notes)
    model, count = _value(notes, "cpu_model"), _value(notes, "cpu_count")
    if model and count:
        machine.cpu = known(Cpu(legible(model), count), "the text: lscpu")
    flags = _fact(notes, "cpu_flags", list)
    if flags.known:
        machine.cpu_features = flags
    if any(name in notes.variables for name in ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_PRODUCT_NAME")):
        machine.container = known("container", "the text: variables of NVIDIA's container images")


def _libc(notes: Notes) -> Fact[Libc]:
    fact = _fact(notes, "libc", lambda value: Libc(*value))
    version = _value(notes, "python")
    if fact.known and (version is None or tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < (3, 8)):
        return failed("Pythons before 3.8 give the oldest C library that they could run with", fact.source)
    return fact


def _target(snapshot: Snapshot, notes: Notes) -> None:
    fact = _fact(notes, "python")
    if not fact.known:
        snapshot.target.interpreter = fact
        return
    version = str(fact.need())
    system, architecture = _system(notes), _value(notes, "architecture")
    architecture = architecture or _value(notes, "python_machine")
    bits = _value(notes, "bits") or (64 if _value(notes, "torch") else 0)  # torch has no other builds
    platform = ""
    if system == "windows" and architecture:
        platform = {"x86_64": "win-amd64", "aarch64": "win-arm64"}.get(architecture, "win32")
    elif system == "linux" and architecture:
        platform = f"linux-{architecture}"
    elif system == "macos" and architecture:
        platform = f"macosx-11.0-{'arm64' if architecture == 'aarch64' else architecture}"
    snapshot.target.interpreter = known(
        Interpreter(
            version=version,
            version_info=[int(part) for part in re.findall(r"\d+", version)[:3]],
            release_level="final",
            implementation="cpython",
            bits=bits,
            executable="",
            prefix="",
            base_prefix="",
            platform=platform,
            machine=architecture or "",
        ),
        fact.source,
    )


# -- packages ---------------------------------------------------------------------------------------------------------


def _packages(snapshot: Snapshot, notes: Notes) -> None:
    packages = snapshot.packages
    torch = _fact(notes, "torch")
    if notes.lists or torch.known:
        try:
            found = distributions(notes, torch.maybe())
            packages.distributions = known(
                found, f"the text: {', '.join(entry.who for entry in notes.lists) or 'torch'}"
            )
        except Contradiction as why:
            packages.distributions = failed(str(why))
    if torch.status == "failed" and len(notes.claims.get("torch", [])) > 1:
        packages.distributions = failed(torch.reason)
    packages.torch_build = _torch_build(notes, torch, packages.distributions)
    trial = notes.claims.get("numpy_trial")
    if trial:
        seen = ImportTrial("torch.numpy", ok=False, error="ImportError", message=legible(trial[0].value))
        packages.imports = known([seen], f"the text: {trial[0].who}")


def _torch_build(notes: Notes, torch: Fact[str], listed: Fact[Any]) -> Fact[TorchBuild]:
    version = torch.maybe()
    source = torch.source
    if version is None:
        entry = next((entry for entry in listed.maybe() or () if entry.name == "torch" and not entry.shadowed), None)
        if entry is None:
            return failed(torch.reason) if torch.status == "failed" else not_run(SILENT)
        version, source = entry.version, listed.source
    doubt = notes.claims.get("torch_doubt")
    if doubt:
        return failed(f"the text describes more than one torch: {doubt[0].value}")
    built = _fact(notes, "cuda_build")
    if built.status == "failed":
        return failed(built.reason)
    hip, xpu = _value(notes, "hip_build") or "", _value(notes, "xpu_build") or ""
    tag = version.partition("+")[2]
    cuda: str | None = built.maybe()
    weak = all(claim.weak for claim in notes.claims.get("cuda_build", []))
    by_tag = re.match(r"cu(\d{2,3})(?![\d])", tag)
    if by_tag:
        named = f"{by_tag[1][:-1]}.{by_tag[1][-1]}"
        if cuda is not None and not weak and cuda != named and not cuda.startswith(f"{named}."):
            return failed(f"the text contradicts itself: torch {version} and CUDA {cuda or 'none'} used to build it")
        cuda = cuda if cuda and cuda.startswith(named) else named
    elif tag.startswith("rocm"):
        hip, cuda = hip or tag[4:], ""
    elif tag.startswith("xpu"):
        xpu, cuda = xpu or tag, ""
    elif tag.startswith("cpu"):
        if cuda and not weak:
            return failed(f"the text contradicts itself: torch {version} and CUDA {cuda} used to build it")
        cuda = ""
    if hip or xpu:
        cuda = cuda or ""
    if cuda is None:
        cuda = _value(notes, f"conda_cuda {version}")
    if cuda is None:
        return not_run("the text does not say which CUDA torch was built for")
    if cuda == "" and not hip and _value(notes, "cuda") is True:
        return failed("the text contradicts itself: a torch without CUDA, and CUDA available")
    return known(TorchBuild(version, cuda=cuda, hip=hip, xpu=xpu), source)


# -- the GPU ----------------------------------------------------------------------------------------------------------


def _gpu(snapshot: Snapshot, notes: Notes) -> None:
    gpu = snapshot.gpu
    try:
        devices = merged_devices(notes)
        if devices:
            who = dict.fromkeys(entry.who for entry in notes.devices)
            gpu.devices = known(devices, f"the text: {', '.join(who)}")
        elif "devices" in notes.blanks:
            gpu.devices = failed(notes.blanks["devices"])
    except Contradiction as why:
        gpu.devices = failed(str(why))
    gpu.driver = _driver(snapshot, notes)
    if notes.nvml is not None:
        gpu.nvml = known(notes.nvml, "the text: nvidia-smi")
    if notes.processes:
        gpu.processes = known(notes.processes, "the text: nvidia-smi")
    _torch_word(snapshot, notes)
    hip = _value(notes, "rocm") or snapshot_hip(snapshot)
    if hip:
        targets = sorted(
            {one.capability for one in gpu.devices.maybe() or () if one.vendor == "amd" and one.capability}
        )
        gpu.rocm = known(Rocm(hip, targets), "the text")
    kernel = _fact(notes, "kernel")
    if kernel.known:
        jetson = notes.claims.get("jetson")
        gpu.jetson = known(f"kernel {kernel.need()}", kernel.source) if jetson else absent("no Jetson", kernel.source)
    if snapshot.machine.wsl.absent:
        gpu.wsl = absent("not in WSL", snapshot.machine.wsl.source)
    visible = notes.variables.get("NVIDIA_VISIBLE_DEVICES")
    if visible is not None:
        through = bool(gpu.devices.maybe() or gpu.driver.known)
        if through:
            gpu.container_gpu = known("nvidia-runtime", "the text: NVIDIA_VISIBLE_DEVICES, and a GPU is there")
        elif "devices" in notes.blanks and _value(notes, "cuda") is False:
            gpu.container_gpu = known("none", "the text: NVIDIA_VISIBLE_DEVICES, and neither driver nor GPU")


def snapshot_hip(snapshot: Snapshot) -> str:
    """The HIP version of torch's build, "" where it has none or is not known."""
    build_ = snapshot.packages.torch_build.maybe()
    return build_.hip if build_ else ""


def _driver(snapshot: Snapshot, notes: Notes) -> Fact[NvidiaDriver]:
    fact = _fact(notes, "driver")
    cuda = _fact(notes, "driver_cuda")
    there = {claim.value for claim in notes.claims.get("driver_there", [])}
    if fact.status == "failed" and len(notes.claims.get("driver", [])) > 1:
        return failed(fact.reason)
    if cuda.status == "failed":
        return failed(cuda.reason)
    if False in there and (fact.known or cuda.known):
        return failed("the text contradicts itself: torch found no driver, and another part of it names one")
    if fact.known or cuda.known:
        system, wsl = _system(notes), _value(notes, "wsl")
        numbering = "windows" if system == "windows" or wsl in ("1", "2") else "linux" if system == "linux" else ""
        return known(NvidiaDriver(fact.maybe() or "", cuda.maybe() or "", numbering), fact.source or cuda.source)
    if there == {False}:
        return absent("torch found no NVIDIA driver", "the text: torch's own messages")
    return fact


def _torch_word(snapshot: Snapshot, notes: Notes) -> None:
    cuda = _fact(notes, "cuda")
    arches = _fact(notes, "arch_list", list)
    wrong = next((fact for fact in (cuda, arches) if fact.status == "failed"), None)
    if wrong is not None:
        snapshot.gpu.torch = failed(wrong.reason)
        return
    seen = [TorchDevice(name, capability) for name, capability in notes.capabilities.items()]
    word = TorchWord(
        cuda=cuda.maybe(),
        mps=_value(notes, "mps"),
        xpu=_value(notes, "xpu"),
        arch_list=arches.maybe() or [],
        devices=seen,
        messages=[legible(text) for text in notes.messages],
    )
    if word != TorchWord():
        snapshot.gpu.torch = known(word, "the text")


# -- settings ---------------------------------------------------------------------------------------------------------


def _settings(snapshot: Snapshot, notes: Notes) -> None:
    """Variables of which the text gives some; those that it does not name may be set all the same."""
    if not notes.variables:
        return
    found = []
    for name, value in notes.variables.items():
        if is_secret(name):
            found.append(Variable(name, secret=True, length=len(value)))
        else:
            found.append(Variable(name, legible(without_credentials(value[:4000]))))
    snapshot.settings.variables = known(found, "the text: environment variables")
