"""GPUs made out of the CPU, inside the real torch of an environment.

A ``sitecustomize`` puts itself between the real torch and whoever imports it: torch.cuda says that there are GPUs, and
what is put on one of them stays on the CPU and remembers where it belongs. Everything is computed by the real torch;
what a GPU does wrong is a line in GPUS. It stands in for hardware that no test machine has; what cuBLAS, cuDNN and
drivers do, it cannot show.
"""

from __future__ import annotations

from pathlib import Path

SOURCE = '''
import importlib.abc, importlib.util, sys, types

#: number -> what it does wrong: "raise", "wrong", "leak", "off" (convolutions), "tears" (copies to others)
GPUS = {gpus!r}


class Finder(importlib.abc.MetaPathFinder):
    busy = False

    def find_spec(self, name, path=None, target=None):
        if name != "torch" or self.busy:
            return None
        self.busy = True
        try:
            spec = importlib.util.find_spec("torch")
        finally:
            self.busy = False
        real = spec.loader.exec_module
        def exec_module(module):
            real(module)
            change(module)
        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())


def change(torch):
    from torch.overrides import TorchFunctionMode

    state = {{"broken": False, "held": 0}}

    def number_of(value):
        """The number of the GPU that an argument names, -1 for the CPU, None for anything else."""
        text = str(value) if isinstance(value, (str, torch.device)) else ""
        if text.partition(":")[0] == "cuda":
            return int(text.partition(":")[2] or 0)
        return -1 if text == "cpu" else None

    class Gpus(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            kwargs = kwargs or {{}}
            name = getattr(function, "__name__", "")
            wanted = None
            if name in ("to", "cpu", "cuda", "tensor", "rand", "zeros", "arange", "empty", "ones", "full"):
                wanted = next((n for v in (*args, *kwargs.values()) if (n := number_of(v)) is not None), None)
                if name == "cpu":
                    wanted = -1
            args = tuple("cpu" if (number_of(one) or -1) >= 0 or number_of(one) == 0 else one for one in args)
            kwargs = {{k: "cpu" if number_of(v) is not None else v for k, v in kwargs.items()}}
            places = [one.gpu for one in args if isinstance(one, torch.Tensor) and hasattr(one, "gpu")]
            at = wanted if wanted is not None else (places or [-1])[0]
            fault = GPUS.get(at, "")
            if at >= 0 and (state["broken"] or (fault == "raise" and "mul" in name)):
                state["broken"] = True
                raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
            result = function(*args, **kwargs)
            if isinstance(result, torch.Tensor):
                if at >= 0 and (fault == "wrong" and name == "linear" or fault == "off" and name == "conv2d"):
                    result = result + 1.0
                if wanted is not None and any(result is one for one in args):
                    result = result.clone()
                if name == "to" and places and wanted is not None and wanted >= 0 and places[0] != wanted:
                    if "tears" in (GPUS.get(places[0]), fault):
                        result = result * (torch.arange(result.numel()).view(result.shape) < 4096)
                if at >= 0 and name != "__get__":
                    result.gpu = at
                elif wanted == -1 and hasattr(result, "gpu"):
                    del result.gpu
            return result

    def allocated(device=None):
        state["held"] += 4096 if GPUS.get(device) == "leak" else 0
        return 1 << 20 | state["held"]

    cuda = torch.cuda
    torch.version.cuda = "12.8"
    cuda.is_available = lambda: True
    cuda.device_count = lambda: len(GPUS)
    cuda.init = cuda.synchronize = cuda.empty_cache = lambda *_: None
    cuda.get_device_name = lambda index=0: "Made GPU"
    cuda.get_device_capability = lambda index=0: (8, 9)
    cuda.get_device_properties = lambda index=0: types.SimpleNamespace(total_memory=8 << 30, major=8)
    cuda.get_arch_list = lambda: ["sm_80", "sm_86"]
    cuda.memory_allocated = allocated
    cuda.can_device_access_peer = lambda one, other: True
    cuda.is_initialized = lambda: False
    torch.backends.cudnn.version = lambda: 91002
    torch._C._select_conv_backend = lambda *_: "ConvBackend.Cudnn"
    generator = torch.Generator


    class Generator(generator):
        def __new__(cls, device="cpu"):
            return generator()

    torch.Generator = Generator
    state["mode"] = Gpus()
    state["mode"].__enter__()
    torch._made_gpus = state
'''


def write_gpus(site: Path, gpus: dict[int, str]) -> None:
    """Write it into the folder ``site``, which PYTHONPATH must name. ``gpus``: what each does wrong, "" for nothing."""
    site.mkdir(parents=True, exist_ok=True)
    (site / "sitecustomize.py").write_text(SOURCE.format(gpus=gpus))
