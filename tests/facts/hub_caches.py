"""Caches that the real huggingface_hub made, of several releases, downloading from the hub on loopback."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .hub_server import hub

DOWNLOAD = """
from huggingface_hub import hf_hub_download, snapshot_download
snapshot_download("ana/tiny")
hf_hub_download("gpt0", "model.safetensors")
try:
    hf_hub_download("gpt0", "absent.json")
except Exception as error:
    assert "EntryNotFound" in type(error).__name__, error
snapshot_download("ana/rows", repo_type="dataset")
"""

#: a download by Xet ends with this call; the loopback hub speaks no Xet, so it is made by hand
SHARE = """
import hashlib, os, sys
from huggingface_hub import constants
from huggingface_hub.utils._shared_blobs import publish_blob_to_shared_store
from pathlib import Path
root = Path(constants.HF_HUB_CACHE)
for blob in sorted(root.glob("models--*/blobs/*")):
    if len(blob.name) == 64:
        fake = hashlib.sha256(b"xet" + blob.name.encode()).hexdigest()
        size = blob.stat().st_size
        assert publish_blob_to_shared_store(
            blob_path=str(blob), xet_hash=fake, cache_dir=root, expected_size=size
        ), blob
"""


def run_python(script: str, home: Path, *, library: Path | None = None, **variables: str) -> None:
    """Run ``script`` in a child with its own HF_HOME; ``library`` holds another release of huggingface_hub."""
    environ = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP", "TMP") if name in os.environ}
    environ |= {"HF_HOME": str(home / "huggingface"), "HOME": str(home), "USERPROFILE": str(home)} | variables
    environ |= {"NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if library is not None:
        environ["PYTHONPATH"] = str(library)
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


@functools.cache
def install(release: str) -> Path:
    """A release of huggingface_hub with its dependencies in a folder of its own, the same for all; or skip the test."""
    named = os.environ.get("HFDOCTOR_HUB_RELEASES")  # a folder that holds them already
    if named and (Path(named) / release).is_dir():
        return Path(named) / release
    folder = tempfile.mkdtemp(prefix=f"huggingface_hub-{release}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    argv = [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", sys.executable, "--target", folder]
    done = subprocess.run([*argv, f"huggingface_hub=={release}"], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        pytest.skip(f"huggingface_hub {release} cannot be installed here: {done.stderr[-300:]}")
    return Path(folder)


def make_cache(home: Path, *, library: Path | None = None, **variables: str) -> Path:
    """A cache with two models and a dataset, made by the library itself."""
    with hub() as address:
        run_python(DOWNLOAD, home, library=library, HF_ENDPOINT=address, **variables)
    return home / "huggingface" / "hub"
