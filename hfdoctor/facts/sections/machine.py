"""What the machine is: operating system, processor, memory, limits, locale."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..fact import Fact, unobserved

System = Literal["linux", "windows", "macos", "other"]


class OsInfo(msgspec.Struct, omit_defaults=True):
    """The operating system; ``build`` is the Windows build or the kernel release.

    Windows only: ``release`` is like 24H2, ``update`` the number after the build (UBR).
    """

    system: System
    name: str = ""
    version: str = ""
    build: str = ""
    edition: str = ""
    release: str = ""
    update: int | None = None


class Libc(msgspec.Struct):
    """The C library: ``glibc`` or ``musl`` and its version."""

    family: str
    version: str


class Cpu(msgspec.Struct, omit_defaults=True):
    """The processor; ``count`` is the number of logical CPUs this process may use."""

    model: str
    count: int


class Memory(msgspec.Struct, omit_defaults=True):
    """Bytes. The commit limit is Windows' (RAM plus page files); ``cgroup_limit`` a container's."""

    ram_total: int
    ram_available: int
    swap_total: int = 0
    commit_limit: int | None = None
    commit_available: int | None = None
    cgroup_limit: int | None = None


class Locale(msgspec.Struct, omit_defaults=True):
    """Encodings as Python names (``utf-8``, ``cp949``); ``language`` like ``ko_KR``."""

    preferred_encoding: str
    output_encoding: str = ""
    filesystem_encoding: str = ""
    language: str = ""


class OpenFiles(msgspec.Struct):
    """The limit on open files of a process; -1 means unlimited."""

    soft: int
    hard: int


class Space(msgspec.Struct, omit_defaults=True):
    """Bytes and inodes of a file system; inodes are None where the file system has no such limit."""

    total: int
    free: int
    inodes_total: int | None = None
    inodes_free: int | None = None


class Machine(msgspec.Struct, omit_defaults=True):
    """The section ``machine``."""

    os: Fact[OsInfo] = unobserved()
    #: x86_64, aarch64 (Apple's and Windows' arm64 too), i686 ...: of the machine; the interpreter's own is in
    #: ``target.interpreter``
    architecture: Fact[str] = unobserved()
    libc: Fact[Libc] = unobserved()
    #: "1" or "2" inside the Windows Subsystem for Linux; absent elsewhere
    wsl: Fact[str] = unobserved()
    #: docker, podman, kubernetes, lxc ...; absent outside a container
    container: Fact[str] = unobserved()
    cpu: Fact[Cpu] = unobserved()
    #: instruction set extensions under their Linux names: sse4_2, avx, avx2, avx512f ...
    cpu_features: Fact[list[str]] = unobserved()
    memory: Fact[Memory] = unobserved()
    locale: Fact[Locale] = unobserved()
    open_files: Fact[OpenFiles] = unobserved()
    #: /dev/shm, where PyTorch's DataLoader workers pass tensors
    shm: Fact[Space] = unobserved()
    #: what ``~`` stands for; absent where Python would leave ``~`` as it is (no HOME, no entry for the user)
    home: Fact[str] = unobserved()
    #: the folder in which hfdoctor was started
    cwd: Fact[str] = unobserved()
    #: root, or a Windows administrator whose token is elevated
    elevated: Fact[bool] = unobserved()
