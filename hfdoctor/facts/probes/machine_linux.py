"""The machine's facts on Linux, read from /etc, /proc and /sys."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..fact import Fact, absent, failed, known
from ..legible import legible
from ..observe import observe
from ..sections.machine import Cpu, Libc, Machine, Memory, OsInfo, Space
from .machine import architecture_name

#: the extensions that libraries ask for, under the kernel's names; a whole flags line has over a hundred
FEATURES = frozenset(
    {"sse2", "pni", "ssse3", "sse4_1", "sse4_2", "popcnt", "avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "avx_vnni"}
    | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16"}
    | {"amx_tile", "amx_int8", "amx_bf16"}
    | {"asimd", "asimdhp", "asimddp", "atomics", "fphp", "bf16", "i8mm", "sve", "sve2", "vfpv4", "neon"}
)


def fill(section: Machine, environ: Mapping[str, str], root: Path = Path("/")) -> None:
    """Fill the facts of ``section`` that Linux tells in its own way; ``root`` replaces ``/`` (for another machine)."""
    uname = os.uname()
    observe(section, "os", lambda: os_info(root, uname.release), "/etc/os-release")
    section.architecture = known(architecture_name(uname.machine), "uname")
    observe(section, "libc", lambda: libc(root), "confstr CS_GNU_LIBC_VERSION")
    observe(section, "wsl", lambda: wsl(root, environ, uname.release), "/proc/version")
    observe(section, "container", lambda: container(root, environ), "/proc/1/cgroup")
    _fill_cpu(section, root)
    observe(section, "memory", lambda: memory(root), "/proc/meminfo")
    observe(section, "shm", lambda: shm(root), "statvfs /dev/shm")
    section.elevated = known(os.geteuid() == 0, "geteuid")


def os_info(root: Path, release: str) -> Fact[OsInfo]:
    """The distribution's own name and version. Source: os-release, and the kernel release from uname."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            text = (root / name).read_text("utf-8", "replace")
        except OSError:
            continue
        fields = dict(re.findall(r"""^([A-Z_]+)=["']?(.*?)["']?\s*$""", text, re.MULTILINE))
        title = fields.get("PRETTY_NAME") or fields.get("NAME") or "Linux"
        info = OsInfo("linux", name=title, version=fields.get("VERSION_ID", ""), build=release)
        return known(info, f"/{name}")
    return known(OsInfo("linux", name="Linux", build=release), "uname")


def libc(root: Path) -> Fact[Libc]:
    """The C library of this process. Source: confstr for glibc; musl's loader, which prints its version."""
    try:
        family, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        family = version = ""
    if version:
        return known(Libc(family, version), "confstr CS_GNU_LIBC_VERSION")
    return musl(root)


def musl(root: Path) -> Fact[Libc]:
    """The musl C library of this machine. Source: its loader /lib/ld-musl-*.so.1 run without arguments."""
    from ..child import run_child

    loaders = sorted((root / "lib").glob("ld-musl-*.so.1"))
    if not loaders:
        return failed("neither glibc nor the loader of musl was found", "/lib/ld-musl-*.so.1")
    said = run_child([str(loaders[0])], 2.0).stderr.decode("utf-8", "replace")
    version = re.search(r"^Version\s+(\S+)", said, re.MULTILINE)
    if version is None:
        return failed(f"the loader of musl said: {said[:80]!r}", str(loaders[0]))
    return known(Libc("musl", version[1]), str(loaders[0]))


def wsl(root: Path, environ: Mapping[str, str], release: str) -> Fact[str]:
    """ "1" or "2" inside the Windows Subsystem for Linux. Source: the kernel's release, WSL's own interop file."""
    lower = release.lower()
    if "microsoft" in lower:
        # WSL 1 is no kernel: it answers 4.4.0-<Windows build>-Microsoft
        first = lower.startswith("4.4.") and "microsoft-standard" not in lower and "wsl2" not in lower
        return known("1" if first else "2", "uname")
    interop = root / "proc/sys/fs/binfmt_misc"
    if "WSL_DISTRO_NAME" in environ and any((interop / name).exists() for name in ("WSLInterop", "WSLInterop-late")):
        return known("2", "/proc/sys/fs/binfmt_misc/WSLInterop")  # with a kernel of the person's own
    return absent("no Microsoft kernel", "/proc/version")


def container(root: Path, environ: Mapping[str, str]) -> Fact[str]:
    """The kind of container this process runs in. Source: marker files, variables, the control groups."""
    if "KUBERNETES_SERVICE_HOST" in environ:
        return known("kubernetes", "KUBERNETES_SERVICE_HOST")
    for variable in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        if variable in environ:
            return known("apptainer", variable)
    for marker, kind in (("run/.containerenv", "podman"), (".dockerenv", "docker"), (".flatpak-info", "flatpak")):
        if (root / marker).exists():
            return known(kind, f"/{marker}")
    # what the container's manager says of itself, by systemd's interface for containers
    for source, kind in (
        ("/run/systemd/container", _first_line(root / "run/systemd/container")),
        ("container", environ.get("container", "")),
    ):
        if kind and kind != "wsl":
            return known(legible(kind)[:40], source)
    groups = _first_line(root / "proc/1/cgroup", whole=True)
    for word, kind in (("kubepods", "kubernetes"), ("/docker", "docker"), ("libpod", "podman"), ("/lxc", "lxc")):
        if word in groups:
            return known(kind, "/proc/1/cgroup")
    if "containerd" in groups and "/system.slice/containerd.service" not in groups:
        return known("containerd", "/proc/1/cgroup")
    return absent("no sign of one", "/proc/1/cgroup")


def _fill_cpu(section: Machine, root: Path) -> None:
    block: dict[str, str] = {}
    observe(section, "cpu_features", lambda: cpu_features(block, root), "/proc/cpuinfo")
    observe(section, "cpu", lambda: cpu(block, root), "/proc/cpuinfo")


def cpu_features(block: dict[str, str], root: Path) -> Fact[list[str]]:
    """The instruction set extensions of the first processor; fills ``block`` for ``cpu``. Source: /proc/cpuinfo."""
    block.update(first_processor(root / "proc/cpuinfo"))
    flags = block.get("flags") or block.get("Features")
    if flags is None:
        return failed("it lists no flags", "/proc/cpuinfo")
    return known(sorted(FEATURES.intersection(flags.split())), "/proc/cpuinfo")


def cpu(block: dict[str, str], root: Path) -> Fact[Cpu]:
    """Model, and how many processors this process may use. Source: /proc/cpuinfo, device tree, sched_getaffinity."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    model = block.get("model name") or block.get("Model") or block.get("Hardware") or ""
    if not model:  # ARM: the board says what it is, the processor only gives numbers
        model = _first_line(root / "sys/firmware/devicetree/base/model").strip("\0")
    if not model and "CPU part" in block:
        model = f"implementer {block.get('CPU implementer', '?')} part {block['CPU part']}"
    return known(Cpu(model=legible(model), count=count), "/proc/cpuinfo")


def first_processor(path: Path) -> dict[str, str]:
    """The first block of /proc/cpuinfo. Only that much is read: the kernel makes the rest, processor by processor."""
    data = b""
    with path.open("rb", buffering=0) as stream:
        while b"\n\n" not in data and len(data) < 65536:
            chunk = stream.read(4096)
            if not chunk:
                break
            data += chunk
    fields = {}
    for line in data.partition(b"\n\n")[0].decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip()] = value.strip()
    return fields


def memory(root: Path) -> Fact[Memory]:
    """Bytes of memory and swap, and the control group's limit. Source: /proc/meminfo, /sys/fs/cgroup."""
    text = (root / "proc/meminfo").read_text("ascii", "replace")
    kib = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    available = kib.get("MemAvailable")
    if available is None:  # kernels before 3.14
        available = kib.get("MemFree", 0) + kib.get("Buffers", 0) + kib.get("Cached", 0)
    return known(
        Memory(
            ram_total=kib["MemTotal"] * 1024,
            ram_available=available * 1024,
            swap_total=kib.get("SwapTotal", 0) * 1024,
            cgroup_limit=cgroup_limit(root),
        ),
        "/proc/meminfo",
    )


def cgroup_limit(root: Path) -> int | None:
    """The lowest memory limit (bytes) of this process's control group and those above it; None without one."""
    base = root / "sys/fs/cgroup"
    limits: list[int] = []
    for line in _first_line(root / "proc/self/cgroup", whole=True).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers == "":
            tops, name = [base, base / "unified"], "memory.max"
        elif "memory" in controllers.split(","):
            tops, name = [base / "memory"], "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in group.split("/") if part not in ("", "..")]
        for top in tops:
            for depth in range(len(parts), -1, -1):
                # in a container the path may be the host's, and only the top is there: so every level is tried
                value = _first_line(top.joinpath(*parts[:depth], name))
                if value.isdigit() and int(value) < 1 << 60:  # v1 says "no limit" with the largest number it knows
                    limits.append(int(value))
    return min(limits, default=None)


def shm(root: Path) -> Fact[Space]:
    """Bytes and inodes of /dev/shm. Source: statvfs."""
    try:
        info = os.statvfs(root / "dev/shm")
    except FileNotFoundError:
        return absent("there is no /dev/shm", "statvfs /dev/shm")
    return known(
        Space(
            total=info.f_blocks * info.f_frsize,
            free=info.f_bavail * info.f_frsize,
            inodes_total=info.f_files or None,
            inodes_free=info.f_favail if info.f_files else None,
        ),
        "statvfs /dev/shm",
    )


def _first_line(path: Path, whole: bool = False) -> str:
    """The first line (or all) of a small file; "" if it cannot be read."""
    try:
        with path.open("rb") as stream:
            text = stream.read(65536).decode("utf-8", "replace")
    except OSError:
        return ""
    return text if whole else text.partition("\n")[0].strip()
