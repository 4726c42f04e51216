"""The scratch folder of a run, and the environment in which everything that libraries write goes there."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: begins the folder's name; the process that made it comes next, so that a later run can tell whether it is dead
PREFIX = "hfdoctor-smoke-"
#: variable -> folder below the scratch folder: where libraries would write what outlives the run
CACHES = {
    "HF_HOME": "hf",
    "HF_DATASETS_CACHE": "hf/datasets",
    "TORCH_HOME": "torch",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "TORCH_EXTENSIONS_DIR": "extensions",
    "CUDA_CACHE_PATH": "cuda",
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "JAX_COMPILATION_CACHE_DIR": "jax",
    "TMPDIR": "tmp",
    "TEMP": "tmp",
    "TMP": "tmp",
}
#: variables that would send files past the folders above, or results elsewhere
REMOVED = (
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_XET_CACHE",
    "HF_ASSETS_CACHE",
    "HF_MODULES_CACHE",
    "TRANSFORMERS_CACHE",
    "PYTORCH_TRANSFORMERS_CACHE",
    "PYTORCH_PRETRAINED_BERT_CACHE",
    "TENSORBOARD_LOGGING_DIR",
)


class Scratch:
    """A folder of this run alone. ``with Scratch() as scratch``: it is gone afterwards, whatever happened.

    Raises OSError where no folder can be made in the temporary directory.
    """

    def __init__(self, where: str | None = None) -> None:
        sweep(where)
        self.path = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where)
        for folder in set(CACHES.values()):
            Path(self.path, folder).mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the folder; what cannot be removed now is swept by a later run."""
        remove_tree(self.path)

    def environment(self, environ: Mapping[str, str], *, online: bool) -> dict[str, str]:
        """``environ`` as the child gets it: the person's own, but nothing is left behind, and nothing is fetched."""
        child = {name: value for name, value in environ.items() if name not in REMOVED}
        # the person's token is theirs wherever HF_HOME was; the cache is ours
        home = environ.get("HF_HOME") or os.path.join(_cache_home(environ), "huggingface")
        child.setdefault("HF_TOKEN_PATH", os.path.join(os.path.expanduser(home), "token"))
        child |= {name: os.path.join(self.path, folder) for name, folder in CACHES.items()}
        child["PYTHONDONTWRITEBYTECODE"] = "1"
        child["HF_HUB_DISABLE_TELEMETRY"] = "1"
        child["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        child["TOKENIZERS_PARALLELISM"] = child.get("TOKENIZERS_PARALLELISM", "false")
        child["WANDB_MODE"] = "disabled"
        if not online:
            child["HF_HUB_OFFLINE"] = child["TRANSFORMERS_OFFLINE"] = child["HF_DATASETS_OFFLINE"] = "1"
        return child


def _cache_home(environ: Mapping[str, str]) -> str:
    """Where caches lie by the rules of huggingface_hub."""
    return environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")


def sweep(where: str | None = None) -> None:
    """Remove the folders of runs whose process is dead: one that was killed could not clean up."""
    import psutil

    with contextlib.suppress(OSError):
        for entry in os.scandir(where or tempfile.gettempdir()):
            number = entry.name[len(PREFIX) :].partition("-")[0]
            if not entry.name.startswith(PREFIX) or not number.isdigit() or psutil.pid_exists(int(number)):
                continue
            if os.name == "nt" or entry.stat(follow_symlinks=False).st_uid == os.getuid():
                remove_tree(entry.path)


def remove_tree(path: str) -> None:
    """Remove a folder, also one whose files were made read-only."""

    def open_up(function: Any, name: str, _error: Any) -> None:
        with contextlib.suppress(OSError):
            Path(name).parent.chmod(stat.S_IRWXU)
            Path(name).chmod(stat.S_IRWXU)
            function(name)

    shutil.rmtree(path, onerror=open_up)
