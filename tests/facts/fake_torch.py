"""Writes a package ``torch`` that has torch's interface of devices and computes in Python's own lists.

What each device does with a kernel is a line of Python that is run there: ``raise RuntimeError(...)``, a sleep, a
signal. It stands in for hardware that no test machine has; the questions put to it are those of the real torch.
"""

from __future__ import annotations

from pathlib import Path

SOURCE = """
import os, signal, sys, time, types, warnings
SEGFAULT = lambda: os.kill(os.getpid(), signal.SIGSEGV)

__version__ = {version!r}
version = types.SimpleNamespace(cuda={cuda!r}, hip={hip!r})
KERNEL = {kernel!r}
CONVOLUTION = {convolution!r}
HANG = lambda: time.sleep(600)

def run(code):
    exec(code, globals())

run({on_import!r})

class Tensor:
    def __init__(self, rows, place="cpu"):
        self.rows, self.place = rows, place
    def to(self, place):
        return Tensor(self.rows, place)
    cpu = lambda self: Tensor(self.rows)
    def tolist(self):
        return self.rows
    def __sub__(self, number):
        return Tensor([[x - number for x in row] for row in self.rows], self.place)
    def __add__(self, other):
        return Tensor([[float(x + y) for x, y in zip(a, b)] for a, b in zip(self.rows, other.rows)], self.place)

class no_grad:
    def __enter__(self): pass
    def __exit__(self, *error): pass

float32 = "float32"
tensor = lambda rows, dtype: Tensor(rows)

def matmul(a, b):
    run(KERNEL.get(a.place, ""))
    off = 1 if KERNEL.get(a.place) == "WRONG = True" else 0
    return Tensor([[sum(x * y for x, y in zip(r, c)) + off for c in zip(*b.rows)] for r in a.rows], a.place)

def relu(a):
    return Tensor([[max(0, x) for x in row] for row in a.rows], a.place)

def conv2d(image, weight):
    run(CONVOLUTION.get(image.place, ""))
    picture, [[w]] = image.rows[0][0], weight.rows
    across = range(len(picture) - 2)
    sums = [[sum(picture[i + k][j + m] * w[k][m] for k in range(3) for m in range(3)) for j in across] for i in across]
    return Tensor([[sums]])

nn = types.SimpleNamespace(functional=types.SimpleNamespace(conv2d=conv2d))

class CUDA:
    def is_available(self):
        run({on_available!r})
        return bool({names!r})
    def init(self):
        run({on_init!r})
    def device_count(self):
        return len({names!r})
    def get_device_name(self, index):
        return {names!r}[index]
    def get_device_capability(self, index):
        return (8, 6)
    def get_device_properties(self, index):
        return types.SimpleNamespace(total_memory=8 << 30, gcnArchName="gfx1030")
    def get_arch_list(self):
        return {arch_list!r} if {names!r} else []
    def synchronize(self, index):
        pass
for name in {without!r}:
    delattr(CUDA, name)
cuda = CUDA()
_C = types.SimpleNamespace(_cuda_getArchFlags=lambda: " ".join({arch_list!r}))

class CuDNN:
    enabled = True
    is_available = lambda self: bool(version.cuda)
    version = lambda self: {cudnn!r}
backends = types.SimpleNamespace(cudnn=CuDNN())
if {apple!r}:
    backends.mps = types.SimpleNamespace(is_available=lambda: True, get_name=lambda: "Apple M3")
    mps = types.SimpleNamespace(recommended_max_memory=lambda: 16 << 30, synchronize=lambda: None)
"""


def write_torch(
    site: Path,
    *,
    version: str = "2.9.1+cu128",
    cuda: str | None = "12.8",
    hip: str | None = None,
    names: tuple[str, ...] = ("NVIDIA A10", "NVIDIA A10"),
    kernel: dict[str, str] | None = None,
    convolution: dict[str, str] | None = None,
    arch_list: tuple[str, ...] = ("sm_80", "sm_86", "compute_90"),
    cudnn: int | None = 91002,
    on_import: str = "",
    on_available: str = "",
    on_init: str = "",
    apple: bool = False,
    without: tuple[str, ...] = (),
) -> None:
    """Write it into the folder ``site``. ``kernel`` and ``convolution``: what is run on which device (cuda:0)."""
    (site / "torch").mkdir(parents=True, exist_ok=True)
    text = SOURCE.format(
        version=version,
        cuda=cuda,
        hip=hip,
        names=names,
        kernel=kernel or {},
        convolution=convolution or {},
        arch_list=list(arch_list),
        cudnn=cudnn,
        on_import=on_import,
        on_available=on_available,
        on_init=on_init,
        apple=apple,
        without=without,
    )
    (site / "torch" / "__init__.py").write_text(text)
    (site / "torch" / "version.py").write_text(f"__version__ = {version!r}\ncuda = {cuda!r}\nhip = {hip!r}\n")
