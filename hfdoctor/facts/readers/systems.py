"""What a line about the operating system says: its name, kernel, processor, and whether it is WSL or a Jetson."""

from __future__ import annotations

import re

from ..sections.machine import OsInfo
from .notes import Notes, nothing

ARCHITECTURES = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "x64": "x86_64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "i686": "i686",
    "i386": "i686",
    "x86": "i686",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
_IN_BRACKETS = re.compile(r"\s*\((x86_64|amd64|x64|aarch64|arm64|i[36]86|ppc64le|s390x|riscv64)\)\s*\Z", re.I)
_WINDOWS_BUILD = re.compile(r"\b(\d{1,2}\.\d{1,2}\.\d{4,6})\b")
_LINUX = (
    "ubuntu|debian|centos|red hat|rhel|fedora|arch|manjaro|opensuse|suse|linux|rocky|alma|amazon|alpine|kali|nixos|"
    "gentoo|pop!_os|mint|chainguard|wolfi|oracle|euleros|openeuler|kylin|anolis|tencentos|alibaba|uos|void|clear|"
    "photon|mariner|azure|wsl|endeavour|zorin|elementary|raspbian|deepin|sles|scientific|guix|garuda|cachyos"
)
_LINUX_NAME = re.compile(rf"\b(?:{_LINUX})", re.I)


def read_os(value: str, who: str, notes: Notes) -> None:
    """An ``OS:`` line: ``Ubuntu 22.04.4 LTS (x86_64)``, ``macOS 15.3.1 (arm64)``, ``Windows 11 Pro (10.0 64-bit)``."""
    if nothing(value):
        return
    value = value[:200]
    bracket = _IN_BRACKETS.search(value)
    if bracket:
        notes.say("architecture", ARCHITECTURES[bracket[1].lower()], who)
        value = value[: bracket.start()]
    lower = value.lower()
    if "windows" in lower and "linux" not in lower and "wsl" not in lower and "ubuntu" not in lower:
        build = _WINDOWS_BUILD.search(value)
        name = re.sub(r"\s*\((?:\d[\d.]*|[^()]*-bit|64)[^()]*\)\s*\Z", "", value).strip()
        version = build[1] if build else ""
        notes.say("system", "windows", who)
        notes.say("os", OsInfo("windows", name, version, version.rpartition(".")[2]), who)
    elif lower.startswith(("macos", "mac os", "darwin", "os x")):
        version = re.search(r"\d+(?:\.\d+)*", value)
        notes.say("system", "macos", who)
        notes.say("os", OsInfo("macos", value.strip(), version[0] if version else ""), who)
    elif _LINUX_NAME.search(value):
        version = re.search(r"\d+(?:\.\d+)*", value)
        notes.say("system", "linux", who)
        notes.say("os", OsInfo("linux", value.strip(), version[0] if version else ""), who)


def read_platform(value: str, who: str, notes: Notes) -> None:
    """What platform.platform() gives: ``Linux-5.15.0-1022-aws-x86_64-with-glibc2.29``, ``macOS-14.5-arm64-arm-64bit``.

    The C library in it is not used: some Pythons give the oldest one that they could run with.
    """
    value = value.strip()[:300]
    lower = value.lower()
    if lower.startswith("windows-"):
        parts = value.split("-")
        version = next((part for part in parts if _WINDOWS_BUILD.fullmatch(part)), "")
        notes.say("system", "windows", who)
        build = version.rpartition(".")[2]
        notes.say("os", OsInfo("windows", " ".join(parts[:2]), version, build), who, weak=True)
    elif lower.startswith(("macos-", "darwin-")):
        notes.say("system", "macos", who)
        if lower.startswith("macos-"):
            version = value.split("-")[1]
            notes.say("os", OsInfo("macos", f"macOS {version}", version), who, weak=True)
    elif lower.startswith("linux-"):
        notes.say("system", "linux", who)
        kernel = re.match(
            r"Linux-(.{1,120}?)(?:-(?:x86_64|aarch64|arm64|i686|ppc64le|s390x|riscv64)\b|-with|\Z)", value
        )
        if kernel:
            read_kernel(kernel[1], who, notes)
    else:
        return
    words = re.findall(r"-(x86_64|amd64|aarch64|arm64|i686|ppc64le|s390x|riscv64)\b", value, re.I)
    if words:
        notes.say("architecture", ARCHITECTURES[words[0].lower()], who)


def read_kernel(kernel: str, who: str, notes: Notes) -> None:
    """A Linux kernel's release: ``5.15.153.1-microsoft-standard-WSL2``, ``5.10.216-tegra``."""
    notes.say("kernel", kernel, who)
    if re.search(r"-microsoft-standard|wsl2", kernel, re.I):
        notes.say("wsl", "2", who)
    elif kernel.endswith("-Microsoft"):
        notes.say("wsl", "1", who)
    else:
        notes.say("wsl", "", who)
    if "tegra" in kernel:
        notes.say("jetson", kernel, who)
