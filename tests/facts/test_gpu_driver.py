"""NVIDIA's driver asked for real: the real binding in the real child, against a library that misbehaves to order."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hfdoctor.facts.probes import gpu_device_files, gpu_nvml
from hfdoctor.facts.sections.gpu import DeviceFile, Gpu, GpuProcess
from tests.facts import gpu_trees as trees

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the libraries are those of Linux"),
]
SOURCE = Path(__file__).with_name("fake_nvml.c")
LIBRARIES = "usr/lib/x86_64-linux-gnu"


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two libraries, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a library with")
    folder = tmp_path_factory.mktemp("libraries")
    for name, options in (("libnvidia-ml.so.1", []), ("libcuda.so.1", ["-DCUDA"])):
        command = [compiler, "-shared", "-fPIC", "-w", f"-Wl,-soname,{name}", *options, "-o", folder / name, SOURCE]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def server(root: Path, libraries: Path, *, version: str = "570.86.15", names: str = "nvml cuda") -> Path:
    """A server with two H100, the kernel's module 570.86.15 and these libraries of the given version."""
    entries = [entry for entry in trees.h100_server() if entry[0][5:7] in ("18", "2a", "05", "04")]
    trees.make(root, [trees.INTEL_UHD, *entries], modules={"nvidia": "570.86.15"})
    for name, word in (("libnvidia-ml", "nvml"), ("libcuda", "cuda")):
        if word in names.split():
            trees.put(root, f"{LIBRARIES}/{name}.so.{version}", (libraries / f"{name}.so.1").read_bytes())
            trees.link(root, f"{LIBRARIES}/{name}.so.1", f"{name}.so.{version}")
    return root


def asked(root: Path, mode: str, *, container: str = "", patience_s: float = 30.0) -> Gpu:
    return trees.observed(root, {"FAKE_NVML": mode}, container=container, patience_s=patience_s)


def test_a_driver_that_works(tmp_path: Path, libraries: Path) -> None:
    root = server(tmp_path, libraries)
    trees.put(root, "proc/4242/comm", "python3\n")
    section = asked(root, "ok")
    nvml = section.nvml.need()
    assert (nvml.answer, nvml.detail) == ("ok", "")
    assert nvml.library.endswith("libnvidia-ml.so.570.86.15")
    driver = section.driver.need()
    assert (driver.version, driver.cuda, driver.numbering) == ("570.86.15", "12.8", "linux")
    own, first, second = section.devices.need()
    assert own.vendor == "intel" and own.integrated and own.seen == "pci"
    assert (first.address, first.seen, first.kernel_driver) == ("0000:18:00.0", "pci+nvml", "nvidia")
    assert (first.name, first.capability, first.pci_id) == ("NVIDIA H100 80GB HBM3", "9.0", "10de:2330")
    assert (first.memory_total, first.memory_free) == (85520809984, 85000000000)
    assert (first.mig, first.mig_slices, first.ecc_errors) == ("disabled", [], 0)
    assert second.ecc_errors == 4
    assert first.uuid != second.uuid
    # the third of the devices is the driver's second
    assert section.processes.need() == [GpuProcess(device=2, pid=4242, name="python3", memory=1024)]
    assert section.devices.source == "/sys/bus/pci/devices, NVML"


def test_processes_of_a_container_have_no_names(tmp_path: Path, libraries: Path) -> None:
    """The numbers are the host's: a process of that number in here is another."""
    root = server(tmp_path, libraries)
    trees.put(root, "proc/4242/comm", "innocent\n")
    trees.put(root, "proc/self/mountinfo", "1 1 0:1 / / rw - ext4 a rw\n")
    section = asked(root, "ok", container="docker")
    assert [process.name for process in section.processes.need()] == [""]


def test_slices(tmp_path: Path, libraries: Path) -> None:
    _, first, second = asked(server(tmp_path, libraries), "mig").devices.need()
    assert (first.mig, first.mig_slices) == ("enabled", ["NVIDIA H100 80GB HBM3 MIG 1g.10gb"] * 2)
    assert (second.mig, second.mig_slices) == ("disabled", [])


def test_what_a_gpu_does_not_have_is_none(tmp_path: Path, libraries: Path) -> None:
    """Where CPU and GPU share their memory, NVML knows none of it."""
    section = asked(server(tmp_path, libraries), "shared-memory")
    assert section.nvml.need().answer == "ok"
    device = section.devices.need()[1]
    assert (device.memory_total, device.mig, device.ecc_errors) == (None, "", None)


@pytest.mark.parametrize(
    ("mode", "answer"),
    [
        ("mismatch", "version-mismatch"),
        ("not-loaded", "driver-not-loaded"),
        ("no-permission", "no-permission"),
        ("unknown", "other"),
        ("segv", "crashed"),
    ],
)
def test_a_driver_that_refuses(tmp_path: Path, libraries: Path, mode: str, answer: str) -> None:
    """The GPUs are known all the same, and the version of the library that programs get."""
    section = asked(server(tmp_path, libraries, version="580.65.06"), mode)
    nvml = section.nvml.need()
    assert nvml.answer == answer
    assert nvml.detail
    assert nvml.library.endswith("580.65.06") or answer == "crashed"
    if answer == "crashed":
        assert nvml.detail.startswith("SIGSEGV at nvmlInit")
    driver = section.driver.need()
    assert (driver.version, driver.cuda) == ("580.65.06", "12.8")
    assert section.kernel_modules.need()["nvidia"] == "570.86.15"
    assert [device.seen for device in section.devices.need()] == ["pci"] * 3
    assert section.processes.status == "failed"


@pytest.mark.parametrize(("mode", "known"), [("hang", 0), ("hang-device", 1), ("hang-with-child", 0)])
def test_a_driver_that_hangs(tmp_path: Path, libraries: Path, mode: str, known: int) -> None:
    """It costs the time that it was given, and what was said before counts."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    root = server(tmp_path, libraries)
    started = time.monotonic()
    section = asked(root, mode, patience_s=3.0)
    assert time.monotonic() - started < 10
    nvml = section.nvml.need()
    assert nvml.answer == "hung"
    assert "3 s at " + ("device 1" if known else "nvmlInit") in nvml.detail
    assert [device.seen for device in section.devices.need()].count("pci+nvml") == known
    assert section.driver.need().version == "570.86.15"
    left = {process.pid for process in psutil.Process().children(recursive=True)} - before
    assert not [process for pid in left if (process := psutil.Process(pid)).status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(("mode", "answer"), [("lost", "gpu-lost"), ("off-the-bus", "other")])
def test_one_gpu_of_two_is_gone(tmp_path: Path, libraries: Path, mode: str, answer: str) -> None:
    section = asked(server(tmp_path, libraries), mode)
    nvml = section.nvml.need()
    assert nvml.answer == answer
    assert nvml.detail.startswith("GPU 1: ")
    assert [device.seen for device in section.devices.need()] == ["pci", "pci+nvml", "pci"]
    assert section.driver.need().cuda == "12.8"


def test_the_driver_sees_none_of_the_gpus(tmp_path: Path, libraries: Path) -> None:
    section = asked(server(tmp_path, libraries), "none")
    assert section.nvml.need().answer == "ok"
    assert [device.seen for device in section.devices.need()] == ["pci"] * 3
    assert section.processes.need() == []


def test_libcuda_alone(tmp_path: Path, libraries: Path) -> None:
    """A container with NVIDIA_DRIVER_CAPABILITIES=compute gets no NVML."""
    section = asked(server(tmp_path, libraries, names="cuda"), "ok")
    assert section.nvml.need().answer == "library-missing"
    driver = section.driver.need()
    assert (driver.version, driver.cuda) == ("570.86.15", "12.8")
    assert section.processes.status == "not-run"


def test_a_library_that_is_none(tmp_path: Path, libraries: Path) -> None:
    root = server(tmp_path, libraries)
    trees.put(root, f"{LIBRARIES}/libnvidia-ml.so.570.86.15", b"\x7fELF rubbish")
    section = asked(root, "ok")
    assert section.nvml.need().answer == "library-missing"
    assert section.driver.need().version == "570.86.15"


def test_a_compatibility_package_comes_first(tmp_path: Path, libraries: Path) -> None:
    root = server(tmp_path, libraries)
    newer = "usr/local/cuda-12.8/compat/libcuda.so"
    trees.put(root, f"{newer}.575.57.08", (libraries / "libcuda.so.1").read_bytes())
    trees.link(root, f"{newer}.1", "libcuda.so.575.57.08")
    trees.loader_cache(root, [f"/{newer}.1", f"/{LIBRARIES}/libcuda.so.1", f"/{LIBRARIES}/libnvidia-ml.so.1"])
    section = asked(root, "unknown")
    assert section.cuda_compat.need() == f"/{newer}.1"
    assert section.driver.need().version == "570.86.15"  # not that of the package
    trees.loader_cache(root, [f"/{LIBRARIES}/libcuda.so.1", f"/{newer}.1", f"/{LIBRARIES}/libnvidia-ml.so.1"])
    assert asked(root, "unknown").cuda_compat.absent


def wsl(root: Path, libraries: Path, *names: str) -> Path:
    """WSL 2: virtual devices on the bus, and what Windows lends."""
    entries: list[trees.Entry] = [
        ("5582:00:00.0", 0x018000, 0x1AF4, 0x1043, "virtio-pci"),
        ("b7c4:00:00.0", 0x030200, 0x1414, 0x008E, "dxgkrnl"),
    ]
    trees.make(root, entries, dev=["dxg"])
    for name in names:
        trees.put(root, f"usr/lib/wsl/lib/{name}", (libraries / name).read_bytes())
    return root


def test_wsl(tmp_path: Path, libraries: Path) -> None:
    root = wsl(tmp_path, libraries, "libcuda.so.1", "libnvidia-ml.so.1")
    trees.loader_cache(root, ["/usr/lib/wsl/lib/libcuda.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"])
    section = trees.observed(root, {"FAKE_NVML": "ok"}, wsl="2")
    found = section.wsl.need()
    assert (found.dxg, found.stub, found.linux_driver) == (True, "/usr/lib/wsl/lib/libcuda.so.1", "")
    assert section.driver.need().numbering == "windows"
    assert [device.seen for device in section.devices.need()] == ["nvml", "nvml"]
    assert section.devices.source == "NVML"


def test_wsl_with_a_driver_of_linux_over_it(tmp_path: Path, libraries: Path) -> None:
    root = wsl(tmp_path, libraries, "libcuda.so.1", "libnvidia-ml.so.1")
    trees.put(root, f"{LIBRARIES}/libcuda.so.535.183.01", (libraries / "libcuda.so.1").read_bytes())
    trees.link(root, f"{LIBRARIES}/libcuda.so.1", "libcuda.so.535.183.01")
    trees.loader_cache(root, [f"/{LIBRARIES}/libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"])
    section = trees.observed(root, {"FAKE_NVML": "unknown"}, wsl="2")
    assert section.wsl.need().linux_driver == f"/{LIBRARIES}/libcuda.so.1"
    # Windows' own number is what counts there, and nothing told it
    assert section.driver.status == "failed"
    assert section.devices.status == "failed"


def test_wsl_to_which_windows_lends_nothing(tmp_path: Path, libraries: Path) -> None:
    section = trees.observed(wsl(tmp_path, libraries), wsl="2")
    assert section.wsl.need().stub == ""
    assert section.driver.absent
    assert section.devices.status == "failed"
    assert section.processes.absent


def test_outside_wsl(tmp_path: Path) -> None:
    assert trees.observed(trees.make(tmp_path)).wsl.absent
    assert trees.observed(tmp_path, wsl="1").wsl.absent


def test_a_jetson_whose_driver_answers(tmp_path: Path, libraries: Path) -> None:
    """Its GPU is on no bus that the kernel shows: board and driver speak of the same one."""
    root = trees.make(tmp_path, modules={"nvidia": "540.4.0"})
    trees.put(root, "etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 1\n")
    trees.put(root, "usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1.1", (libraries / "libcuda.so.1").read_bytes())
    trees.link(root, "usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1", "libcuda.so.1.1")
    section = asked(root, "ok")
    driver = section.driver.need()
    assert (driver.version, driver.cuda, driver.numbering) == ("540.4.0", "12.8", "")
    assert section.devices.need()[0].name == "NVIDIA Jetson"


def test_the_toolkits_stub_is_no_driver(tmp_path: Path, libraries: Path) -> None:
    root = trees.make(tmp_path, trees.desktop(""))
    trees.put(root, "usr/local/cuda/lib64/stubs/libcuda.so.1", (libraries / "libcuda.so.1").read_bytes())
    environ = {"FAKE_NVML": "stub", "LD_LIBRARY_PATH": "/usr/local/cuda/lib64/stubs"}
    section = trees.observed(root, environ)
    assert section.driver.status == "failed"
    assert "stub" in section.driver.reason
    assert section.nvml.need().answer == "library-missing"


def test_a_control_group_that_forbids_a_device_file() -> None:
    """Its permissions allow it, opening it fails: only the child's try tells."""
    lines = [
        {"at": "open /dev/nvidiactl"},
        {"opened": "/dev/nvidiactl", "errno": 1},
        {"opened": "/dev/zero", "errno": 0},
    ]
    files = [DeviceFile("/dev/nvidiactl", True), DeviceFile("/dev/zero", False, "EACCES"), DeviceFile("/dev/kfd", True)]
    gpu_device_files.apply(files, gpu_nvml.understand(lines).opened)
    assert [(file.usable, file.error) for file in files] == [(False, "EPERM"), (True, ""), (True, "")]


def test_the_child_really_opens_what_it_is_given(tmp_path: Path) -> None:
    there, gone = str(trees.put(tmp_path, "nvidiactl")), str(tmp_path / "gone")
    told = gpu_nvml.ask({"LD_LIBRARY_PATH": str(tmp_path)}, 20.0, files=[there, gone])
    assert told.opened == {there: "", gone: "ENOENT"}
    assert told.nvml.answer  # whatever this machine has


def test_a_child_that_cannot_start_says_nothing_of_the_driver(
    tmp_path: Path, libraries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_nvml, "PROGRAM", str(tmp_path / "not-there.py"))
    section = asked(server(tmp_path / "root", libraries), "ok")
    assert section.nvml.status == "failed"
    assert "did not start" in section.nvml.reason
    assert section.driver.need().version == "570.86.15"


def test_the_own_process_never_loads_the_binding(tmp_path: Path, libraries: Path) -> None:
    assert asked(server(tmp_path, libraries), "ok").nvml.need().answer == "ok"
    assert "pynvml" not in sys.modules


def test_without_the_binding(tmp_path: Path, libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise gpu_nvml.BindingMissing("nvidia-ml-py is not installed beside hfdoctor")

    monkeypatch.setattr(gpu_nvml, "binding_path", missing)
    section = asked(server(tmp_path, libraries), "ok")
    assert section.nvml.status == "failed" and "nvidia-ml-py" in section.nvml.reason
    assert len(section.devices.need()) == 3


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [("00000000:01:00.0", "0000:01:00.0"), ("0000000F:01:00.0", "000f:01:00.0"), ("", ""), ("x:y", "")],
)
def test_addresses(raw: str, wanted: str) -> None:
    assert gpu_nvml.pci_address(raw) == wanted
