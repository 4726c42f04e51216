"""The machine's facts: real ones here, and Linux' own files of other machines."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.facts.fact import Fact
from hfdoctor.facts.legible import legible
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import machine, machine_linux, machine_macos
from hfdoctor.facts.sections.machine import Machine
from hfdoctor.facts.snapshot import Snapshot, dump, load

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux' own files")


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")


def observed(environ: dict[str, str] | None = None) -> Machine:
    snapshot = Snapshot()
    request = Request(environ=os.environ if environ is None else environ)
    machine.probe(Context(request, snapshot, time.monotonic() + 10))
    return snapshot.machine


def test_every_fact_of_this_machine_is_known_or_absent() -> None:
    section = observed()
    for name in section.__struct_fields__:
        fact: Fact[object] = getattr(section, name)
        assert fact.status in ("known", "absent"), (name, fact)
        assert fact.source, name
    assert section.os.need().name
    assert section.memory.need().ram_total > section.memory.need().ram_available > 0
    assert section.cpu.need().count >= 1
    assert section.architecture.need() == machine.architecture_name(platform.machine())


@linux_only
def test_agrees_with_psutil() -> None:
    import psutil

    memory = observed().memory.need()
    assert memory.ram_total == psutil.virtual_memory().total
    assert abs(memory.ram_available - psutil.virtual_memory().available) < memory.ram_total // 4
    assert memory.swap_total == psutil.swap_memory().total


def test_survives_an_empty_environment() -> None:
    section = observed({})
    assert section.home.status in ("known", "absent")
    assert section.os.known


@linux_only
def test_no_home_and_no_entry_for_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1234567)
    assert machine.home({}).absent
    assert "1234567" in machine.home({}).reason
    assert machine.home({"HOME": "/nonexistent"}).need() == "/nonexistent"


@linux_only
def test_bytes_that_are_no_text_do_not_break_the_snapshot() -> None:
    section = observed({"HOME": os.fsdecode(b"/home/\xb1\xe8")})
    assert section.home.need() == "/home/��"
    snapshot = Snapshot(machine=section)
    assert load(dump(snapshot)).machine.home == section.home


@pytest.mark.parametrize(
    ("text", "wanted"), [("plain", "plain"), ("김철수", "김철수"), ("a\udcb1", "a�"), ("\ud800x", "?x"), ("", "")]
)
def test_legible(text: str, wanted: str) -> None:
    assert legible(text) == wanted
    legible(text).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ('PRETTY_NAME="Ubuntu 24.04.3 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\n', "Ubuntu 24.04.3 LTS", "24.04"),
        ("NAME=Arch Linux\nPRETTY_NAME='Arch Linux'\nBUILD_ID=rolling\n", "Arch Linux", ""),
        ("NAME=Fedora\n# comment\nVERSION_ID=43\n", "Fedora", "43"),
        ("garbage \x00\n", "Linux", ""),
        ("", "Linux", ""),
    ],
)
def test_os_release(tmp_path: Path, text: str, name: str, version: str) -> None:
    put(tmp_path, "etc/os-release", text)
    info = machine_linux.os_info(tmp_path, "6.1.0").need()
    assert (info.name, info.version, info.build) == (name, version, "6.1.0")


def test_no_os_release(tmp_path: Path) -> None:
    assert machine_linux.os_info(tmp_path, "6.1.0").need().name == "Linux"


@pytest.mark.parametrize(
    ("release", "wanted"),
    [
        ("5.15.167.4-microsoft-standard-WSL2", "2"),
        ("4.19.128-microsoft-standard", "2"),
        ("4.4.0-19041-Microsoft", "1"),
        ("6.8.0-71-generic", None),
        ("6.8.0-1021-azure", None),
    ],
)
def test_wsl(tmp_path: Path, release: str, wanted: str | None) -> None:
    assert machine_linux.wsl(tmp_path, {}, release).or_absent() == wanted


def test_wsl_with_a_kernel_of_ones_own(tmp_path: Path) -> None:
    put(tmp_path, "proc/sys/fs/binfmt_misc/WSLInterop", "enabled\n")
    assert machine_linux.wsl(tmp_path, {"WSL_DISTRO_NAME": "Ubuntu"}, "6.6.1-mine").need() == "2"
    assert machine_linux.wsl(tmp_path, {}, "6.6.1-mine").absent


@pytest.mark.parametrize(
    ("files", "environ", "wanted"),
    [
        ({".dockerenv": ""}, {}, "docker"),
        ({"run/.containerenv": 'engine="podman"\n'}, {}, "podman"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({}, {"APPTAINER_CONTAINER": "/images/torch.sif"}, "apptainer"),
        ({"run/systemd/container": "lxc\n"}, {}, "lxc"),
        ({"run/systemd/container": "wsl\n"}, {}, None),
        ({}, {"container": "systemd-nspawn"}, "systemd-nspawn"),
        ({"proc/1/cgroup": "12:memory:/docker/4f1c\n"}, {}, "docker"),
        ({"proc/1/cgroup": "0::/kubepods.slice/pod1\n"}, {}, "kubernetes"),
        ({"proc/1/cgroup": "0::/init.scope\n"}, {}, None),
        ({}, {}, None),
    ],
)
def test_container(tmp_path: Path, files: dict[str, str], environ: dict[str, str], wanted: str | None) -> None:
    for path, text in files.items():
        put(tmp_path, path, text)
    assert machine_linux.container(tmp_path, environ).or_absent() == wanted


def test_cpu_of_x86_and_arm(tmp_path: Path) -> None:
    x86 = "processor\t: 0\nmodel name\t: Intel(R) Celeron(R) N4020\nflags\t\t: fpu sse2 ssse3 sse4_2 popcnt\n\n"
    put(tmp_path, "proc/cpuinfo", x86 + "processor\t: 1\nflags\t\t: avx\n\n")
    block: dict[str, str] = {}
    features = machine_linux.cpu_features(block, tmp_path).need()
    assert "sse4_2" in features and "avx" not in features
    assert machine_linux.cpu(block, tmp_path).need().model == "Intel(R) Celeron(R) N4020"

    arm = "processor\t: 0\nFeatures\t: fp asimd atomics\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n"
    put(tmp_path, "proc/cpuinfo", arm)
    block = {}
    assert machine_linux.cpu_features(block, tmp_path).need() == ["asimd", "atomics"]
    assert machine_linux.cpu(block, tmp_path).need().model == "implementer 0x41 part 0xd08"
    put(tmp_path, "sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    assert machine_linux.cpu(block, tmp_path).need().model == "Raspberry Pi 4 Model B Rev 1.4"


def test_cpu_without_flags_is_failed_not_featureless(tmp_path: Path) -> None:
    put(tmp_path, "proc/cpuinfo", "processor : 0\nvendor_id : IBM/S390\n\n")
    assert machine_linux.cpu_features({}, tmp_path).status == "failed"


def test_cpuinfo_is_read_only_as_far_as_needed(tmp_path: Path) -> None:
    put(tmp_path, "proc/cpuinfo", "flags : avx\n\n" + "x" * 3_000_000)
    assert machine_linux.first_processor(tmp_path / "proc/cpuinfo") == {"flags": "avx"}


def test_memory_limits_of_control_groups(tmp_path: Path) -> None:
    put(tmp_path, "proc/meminfo", "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 10 kB\nCached: 20 kB\n")
    memory = machine_linux.memory(tmp_path).need()
    assert (memory.ram_total, memory.ram_available, memory.cgroup_limit) == (1024000, 133120, None)

    put(tmp_path, "proc/self/cgroup", "0::/user.slice/session.scope\n")
    put(tmp_path, "sys/fs/cgroup/user.slice/session.scope/memory.max", "max\n")
    put(tmp_path, "sys/fs/cgroup/user.slice/memory.max", "4096\n")
    assert machine_linux.cgroup_limit(tmp_path) == 4096

    put(tmp_path, "proc/self/cgroup", "9:memory:/docker/abc\n8:pids:/docker/abc\n")
    put(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n")
    assert machine_linux.cgroup_limit(tmp_path) == 2147483648
    put(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert machine_linux.cgroup_limit(tmp_path) is None


@linux_only
def test_shm(tmp_path: Path) -> None:
    assert machine_linux.shm(tmp_path).absent
    (tmp_path / "dev/shm").mkdir(parents=True)
    assert machine_linux.shm(tmp_path).need().total > 0


@linux_only
@pytest.mark.allow_subprocess
def test_musl_is_asked_through_its_loader(tmp_path: Path) -> None:
    loader = tmp_path / "lib/ld-musl-x86_64.so.1"
    put(tmp_path, "lib/ld-musl-x86_64.so.1", "#!/bin/sh\nprintf 'musl libc (x86_64)\\nVersion 1.2.5\\n' >&2\nexit 1\n")
    loader.chmod(0o755)
    libc = machine_linux.musl(tmp_path).need()
    assert (libc.family, libc.version) == ("musl", "1.2.5")
    put(tmp_path, "lib/ld-musl-x86_64.so.1", "#!/bin/sh\necho nothing >&2\n")
    assert machine_linux.musl(tmp_path).status == "failed"


def test_neither_glibc_nor_musl(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    assert machine_linux.musl(tmp_path).status == "failed"


def test_macos_translated_by_rosetta_is_still_arm() -> None:
    arm = {"hw.optional.arm64": (1).to_bytes(4, "little"), "hw.optional.arm.FEAT_BF16": (1).to_bytes(4, "little")}
    assert machine_macos.architecture(arm.get).need() == "aarch64"
    assert machine_macos.cpu_features(arm.get).need() == ["asimd", "bf16"]


def test_macos_intel() -> None:
    words = {"machdep.cpu.features": b"FPU SSE4.2 AVX1.0\0", "machdep.cpu.leaf7_features": b"AVX2 BMI2\0"}
    assert machine_macos.cpu_features(words.get).need() == ["avx", "avx2", "bmi2", "sse4_2"]
    assert machine_macos.cpu_features({}.get).status == "failed"
