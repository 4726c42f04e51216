"""The GPU's way from Windows into WSL 2: /dev/dxg, and the driver library that Windows lends."""

from __future__ import annotations

from ..facts.fact import FactMissing
from ..facts.snapshot import Snapshot
from . import torch_gpu
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .torch_gpu import Build, build_in_question, chosen_on_purpose, severity_of


def _wsl(s: Snapshot, goal: Goal) -> Verdict:
    if s.machine.wsl.or_absent() != "2":
        return Skip("not_wsl")
    build = build_in_question(s, goal, "cuda")
    if not isinstance(build, Build):
        return build
    way = s.gpu.wsl.or_absent()
    if way is None:
        raise FactMissing(s.gpu.wsl)
    fields: dict[str, Plain] = {**build.fields, "stub": way.stub, "linux_driver": way.linux_driver}
    severity: Severity = severity_of(goal)
    if way.linux_driver:
        clues = [Clue(s.gpu.wsl, way.linux_driver, "over_it", fields)]
        if way.stub:
            clues.append(Clue(s.gpu.wsl, way.stub, "stub_is", fields))
            severity = "error"
        steps = [Step(says="remove_driver", administrator=True), Step(says="only_toolkit"), Step(says="shutdown")]
        return Fail("linux_driver", severity, "derived", clues, fields, Treatment("print-only", steps))
    if s.machine.container.maybe():
        return Skip("container")
    if way.dxg and way.stub:
        return Pass(2, [Clue(s.gpu.wsl, way.stub)])
    if not way.dxg and way.stub:
        clues = [Clue(s.gpu.wsl, way.stub, "stub_is", fields), Clue(s.gpu.wsl, "/dev/dxg", "no_dxg")]
        steps = [Step(["wsl", "--update"], "update", network=True), Step(says="shutdown"), Step(says="gpu_support")]
        return Fail("dxg", severity, "observed", clues, fields, Treatment("print-only", steps))
    if not chosen_on_purpose(s, goal):
        return Unknown("no_proof")
    clues = [Clue(s.gpu.wsl, "libcuda.so.1", "no_stub")]
    if not way.dxg:
        clues.append(Clue(s.gpu.wsl, "/dev/dxg", "no_dxg"))
    steps = [Step(says="windows_driver", network=True), Step(["wsl", "--update"], "update", network=True)]
    steps.append(Step(says="shutdown"))
    return Fail("stub", severity, "observed", clues, fields, Treatment("print-only", steps))


WSL_GPU = Condition(
    id="wsl-gpu",
    family="gpu",
    title="The GPU of Windows does not reach WSL 2",
    reads=("gpu", "packages", "machine"),
    detect=_wsl,
    words={
        **torch_gpu.WORDS,
        "not_wsl": "this is not WSL 2",
        "container": "whether the GPU reaches a container is gpu-hidden's question",
        "no_proof": "Windows lends no NVIDIA driver to WSL; whether it has an NVIDIA GPU cannot be seen from here",
        "linux_driver": "a Linux driver of NVIDIA's was installed over the one that Windows lends to "
        "WSL: {linux_driver}",
        "over_it": "the loader finds {linux_driver} first; in WSL only the library that Windows lends can "
        "reach the GPU",
        "stub_is": "Windows lends its driver: {stub}",
        "dxg": "Windows lends its NVIDIA driver, but WSL has no /dev/dxg, the door to the GPU",
        "no_dxg": "/dev/dxg does not exist",
        "stub": "Windows lends no NVIDIA driver to WSL: torch {torch} can compute only on the processor",
        "no_stub": "/usr/lib/wsl/lib/libcuda.so.1 does not exist",
        "remove_driver": "remove the Linux driver inside WSL, and nothing else: apt purge 'libnvidia-compute-*' "
        "'nvidia-driver-*' (for a .run installer: nvidia-uninstall)",
        "only_toolkit": "if you need nvcc, install cuda-toolkit, never the packages cuda or cuda-drivers",
        "windows_driver": "install a current NVIDIA driver in Windows (https://www.nvidia.com/drivers), "
        "never inside WSL",
        "update": "run in Windows: brings WSL's kernel up to date",
        "shutdown": "then, in Windows: wsl --shutdown, and open WSL again",
        "gpu_support": "look that gpuSupport=false does not stand in .wslconfig",
    },
    explained_by=("driver-mismatch",),
)

CONDITIONS: tuple[Condition, ...] = (WSL_GPU,)
