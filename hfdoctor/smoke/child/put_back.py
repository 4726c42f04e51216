"""What training changes in the whole process, put back afterwards: random states, variables, the one accelerator."""

from __future__ import annotations

import contextlib
import os
import random
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: variables that would make a single process part of a distributed run, or its numbers others than float32's
ELSEWHERE = (
    "ACCELERATE_",
    "FSDP_",
    "OMPI_",
    "PMI_",
    "MV2_",
    "SM_",
    "TORCHELASTIC_",
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TENSORBOARD_LOGGING_DIR",
)


@contextlib.contextmanager
def everything_put_back() -> Iterator[None]:
    """A training run of one process inside leaves no trace in what comes after it.

    The variables that launchers of distributed runs leave in a shell are set aside meanwhile: a Trainer would wait for
    the other processes.
    """
    import numpy
    import torch

    environ = dict(os.environ)
    for name in environ:
        if name.startswith(tuple(part for part in ELSEWHERE if part.endswith("_"))) or name in ELSEWHERE:
            del os.environ[name]
    python, legacy, cpu = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    threads = torch.get_num_threads()
    verbosity = _verbosity()
    try:
        yield
    finally:
        for name in set(os.environ) - set(environ):
            del os.environ[name]
        os.environ.update(environ)
        random.setstate(python)
        numpy.random.set_state(legacy)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        _verbosity(verbosity)
        _forget_the_accelerator()


def _verbosity(level: int | None = None) -> int:
    """How much transformers logs; set first where ``level`` is given."""
    from transformers.utils import logging

    if level is not None:
        logging.set_verbosity(level)
    return int(logging.get_verbosity())


def _forget_the_accelerator() -> None:
    """accelerate keeps its device for the life of the process: here the CPU, where others may want a GPU."""
    state: Any = sys.modules.get("accelerate.state")
    for name, words in (("AcceleratorState", {"reset_partial_state": True}), ("GradientState", {})):
        with contextlib.suppress(AttributeError, TypeError):  # not public: where it is gone, so is what it undid
            getattr(state, name)._reset_state(**words)
