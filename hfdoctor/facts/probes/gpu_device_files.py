"""The device files through which programs reach a GPU on Linux, and whether this user may use them."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

from ..legible import legible
from ..sections.gpu import DeviceFile
from .small_files import text_of

#: what programs that compute open; opening one of NVIDIA's here would wake the GPU, so only the child tries some
NAMES = frozenset({"nvidiactl", "nvidia-uvm", "nvidia-modeset", "kfd", "dxg", "nvmap", "nvhost-gpu", "nvhost-ctrl-gpu"})
RENDER = "dri/renderD"
#: those that the child may open: they start nothing on a GPU, and a control group that forbids them forbids all
HARMLESS = ("/dev/nvidiactl", "/dev/nvidia-uvm")


def device_files(root: str) -> list[DeviceFile]:
    """The device files in /dev, by their permissions alone. Raises OSError if /dev cannot be listed."""
    folder = os.path.join(root, "dev")
    names = sorted(
        name for name in os.listdir(folder) if name in NAMES or (name.startswith("nvidia") and name[6:].isdigit())
    )
    with contextlib.suppress(OSError):  # no graphics at all
        names += sorted(f"dri/{name}" for name in os.listdir(f"{folder}/dri") if name.startswith("renderD"))
    found = []
    owners: dict[str, dict[int, str]] = {}
    for name in names:
        path = f"{folder}/{name}"
        try:
            info = os.stat(path)
        except OSError:
            continue
        usable = os.access(path, os.R_OK | os.W_OK)
        owner = f"{_name(owners, root, 'passwd', info.st_uid)} {_name(owners, root, 'group', info.st_gid)}"
        mode = f"{stat.S_IMODE(info.st_mode):04o}"
        found.append(DeviceFile(f"/dev/{name}", usable, "" if usable else "EACCES", legible(f"{owner} {mode}")))
    return found


def apply(files: list[DeviceFile], opened: dict[str, str]) -> None:
    """Let what came of opening a file stand for what its permissions say."""
    for file in files:
        error = opened.get(file.path)
        if error is not None:
            file.usable, file.error = not error, error


def missing_groups(files: Iterable[DeviceFile], root: str) -> list[str]:
    """The groups to which the device files of AMD's compute driver are open, if this user may not use them otherwise.

    A render node counts if its GPU is driven by amdgpu.
    """
    found: list[str] = []
    for file in files:
        if file.usable or file.error != "EACCES":
            continue
        if file.path != "/dev/kfd" and not _of_amd(file.path, root):
            continue
        _, group, mode = file.owner.rsplit(" ", 2)
        if int(mode, 8) & 0o060 == 0o060 and group not in found:
            found.append(group)
    return found


def _of_amd(path: str, root: str) -> bool:
    if not path.startswith("/dev/" + RENDER):
        return False
    link = os.path.join(root, "sys/class/drm", path.rpartition("/")[2], "device/driver")
    try:
        return os.path.basename(os.readlink(link)) == "amdgpu"
    except OSError:
        return False


def _name(known: dict[str, dict[int, str]], root: str, table: str, number: int) -> str:
    """The name of a user or group from the file itself: a name service could take seconds."""
    if table not in known:
        names: dict[int, str] = {}
        for line in text_of(os.path.join(root, "etc", table)).splitlines():
            parts = line.split(":")
            if len(parts) > 2 and parts[2].isdigit():
                names.setdefault(int(parts[2]), parts[0])
        known[table] = names
    return known[table].get(number, str(number))
