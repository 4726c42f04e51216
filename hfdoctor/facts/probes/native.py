"""Fills the section ``native``, and ``gpu.torch``: what torch says of the GPUs needs the target and its packages."""

from __future__ import annotations

from ..fact import not_run
from ..observe import observe
from ..probe import Context
from . import linkage
from .gpu_code import read_gpu_code


def probe(ctx: Context) -> None:
    """Fill every fact of ``snapshot.native``, and ``snapshot.gpu.torch``."""
    section = ctx.snapshot.native
    assert section is not None
    observe(section, "gpu_code", lambda: read_gpu_code(ctx), "headers of native libraries")
    observe(section, "linkage", lambda: linkage.read_linkage(ctx))
    observe(section, "cuda_libraries", lambda: linkage.read_cuda_libraries(ctx))
    observe(section, "linked_with", lambda: linkage.read_linked_with(ctx))
    _ask_torch(ctx)


def _ask_torch(ctx: Context) -> None:
    """Last of all: it takes seconds, and only --deep wants it."""
    if not ctx.request.deep:
        ctx.snapshot.gpu.torch = not_run("only --deep asks torch")
        return
    from .torch_word import read_torch_word

    ctx.snapshot.gpu.torch = not_run("torch has not answered yet")  # what stays if the budget is over meanwhile
    observe(ctx.snapshot.gpu, "torch", lambda: read_torch_word(ctx), "inspect_torch.py")
