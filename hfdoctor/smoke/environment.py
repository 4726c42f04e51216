"""The environment that the child gets: the person's own, but nothing is left behind and nothing is fetched."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping

from ..facts.cache_paths import CachePaths, cache_paths

#: variable -> folder below the scratch folder: where libraries would write what outlives the run.
#: Short names: below them compilers build deep trees, and sockets have short paths
CACHES = {
    "HF_HOME": "hf",
    "HF_DATASETS_CACHE": "hf/datasets",
    "TORCH_HOME": "torch",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TORCH_EXTENSIONS_DIR": "extensions",
    "TORCH_COMPILE_DEBUG_DIR": "debug",
    "PYTORCH_KERNEL_CACHE_PATH": "kernels",
    "TRITON_CACHE_DIR": "triton",
    "TRITON_HOME": "triton",
    "CUDA_CACHE_PATH": "cuda",
    "MIOPEN_USER_DB_PATH": "miopen",
    "MIOPEN_CUSTOM_CACHE_DIR": "miopen",
    "AMD_COMGR_CACHE_DIR": "comgr",
    "NEO_CACHE_DIR": "neo",
    "SYCL_CACHE_DIR": "sycl",
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "KERAS_HOME": "keras",
    "XDG_CACHE_HOME": "cache",
    "TMPDIR": "t",
    "TEMP": "t",
    "TMP": "t",
}
#: the folder in which the stages after the imports run: what a library writes into "here" ends there
WORK = "work"
FOLDERS = (*sorted(set(CACHES.values())), WORK)
#: variables that would send files past the folders above, or that make tools record a run elsewhere
ELSEWHERE = (
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HUGGINGFACE_ASSETS_CACHE",
    "HF_XET_CACHE",
    "HF_ASSETS_CACHE",
    "HF_MODULES_CACHE",
    "HF_METRICS_CACHE",
    "HF_EVALUATE_CACHE",
    "HF_DATASETS_DOWNLOADED_DATASETS_PATH",
    "HF_DATASETS_EXTRACTED_DATASETS_PATH",
    "HF_KERNELS_CACHE",
    "KERNELS_CACHE",
    "TRANSFORMERS_CACHE",
    "PYTORCH_TRANSFORMERS_CACHE",
    "PYTORCH_PRETRAINED_BERT_CACHE",
    "TENSORBOARD_LOGGING_DIR",
    "TORCH_TRACE",
    "TORCH_LOGS_OUT",
    "TRITON_DUMP_DIR",
    # JAX keeps what it compiled only where this is set
    "JAX_COMPILATION_CACHE_DIR",
    "CUDA_ENABLE_COREDUMP_ON_EXCEPTION",
    "CUDA_ENABLE_LIGHTWEIGHT_COREDUMP",
    # a file in /tmp for each process; results of coverage in the person's folder
    "PYTHONPERFSUPPORT",
    "PYTHON_PERF_JIT_SUPPORT",
    "COVERAGE_PROCESS_START",
    "COVERAGE_PROCESS_CONFIG",
)
#: variables of a launcher in whose shell the doctor runs: a single process would wait for the others
DISTRIBUTED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
#: keeps the interpreter at its prompt after the last stage
PROMPT = "PYTHONINSPECT"


def child_environment(environ: Mapping[str, str], scratch: str, *, online: bool) -> dict[str, str]:
    """``environ`` with every cache and result below ``scratch``; without ``online`` the hub stays offline."""
    removed = {*ELSEWHERE, *DISTRIBUTED, PROMPT}
    child = {name: value for name, value in environ.items() if name not in removed}
    # the person's token is theirs wherever HF_HOME was; the cache is ours
    places = places_of(environ)
    child.setdefault("HF_TOKEN_PATH", places.token)
    child.setdefault("HF_STORED_TOKENS_PATH", os.path.join(places.hf_home, "stored_tokens"))
    child |= {name: os.path.join(scratch, *folder.split("/")) for name, folder in CACHES.items()}
    _keep_keras_settings(environ, child["KERAS_HOME"])
    child["PYTHONDONTWRITEBYTECODE"] = "1"
    child["HF_HUB_DISABLE_TELEMETRY"] = "1"
    child["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"  # datasets would ask a place of its own (s3.amazonaws.com)
    child["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    child["WANDB_MODE"] = "disabled"
    child["COMET_MODE"] = "DISABLED"
    if not online:
        child["HF_HUB_OFFLINE"] = child["TRANSFORMERS_OFFLINE"] = child["HF_DATASETS_OFFLINE"] = "1"
    return child


def places_of(environ: Mapping[str, str]) -> CachePaths:
    """Where the person's own huggingface_hub has its files, their token among them."""
    return cache_paths(environ, _home(environ), "windows" if os.name == "nt" else sys.platform)


def _keep_keras_settings(environ: Mapping[str, str], folder: str) -> None:
    """Keras writes its settings when it is imported: it gets a copy of the person's."""
    home = environ.get("KERAS_HOME") or os.path.join(_home(environ), ".keras")
    with contextlib.suppress(OSError):
        shutil.copyfile(os.path.join(home, "keras.json"), os.path.join(folder, "keras.json"))


def _home(environ: Mapping[str, str]) -> str:
    """The home folder that ``environ`` names, else the user's."""
    return environ.get("USERPROFILE" if os.name == "nt" else "HOME") or os.path.expanduser("~")
