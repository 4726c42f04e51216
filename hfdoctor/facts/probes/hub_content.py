"""What the first and last bytes of a cached model file say about it. Reads little, judges nothing by its name alone."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

import msgspec

WEIGHTS = frozenset({"safetensors", "bin", "gguf", "pt", "pth", "ckpt", "msgpack", "h5", "onnx", "model"})
#: JSON files that transformers cannot do without
NEEDED_JSON = frozenset(
    {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "preprocessor_config.json",
        "generation_config.json",
        "model.safetensors.index.json",
        "pytorch_model.bin.index.json",
    }
)

#: files of torch.save; any other .bin may be bare numbers (OpenVINO's, say), which may well begin with zeros
TORCH_BIN = ("pytorch_model", "adapter_model", "diffusion_pytorch_model", "training_args", "optimizer")

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
#: bytes; the longest pointer that Git LFS writes is far below
LFS_POINTER_LIMIT = 1024
#: bytes of a safetensors header that are read without --deep; 70-billion-parameter models have about 100 kB
HEADER_LIMIT = 4 * 1024 * 1024
#: bytes; the safetensors library itself accepts no longer header
HEADER_MAXIMUM = 100_000_000
#: bytes; a file up to this size is hashed to see whether it is what the hub has
GENUINE_LIMIT = 1024 * 1024

_DATA_END = rb'"data_offsets"\s*:\s*\[\s*\d+\s*,\s*(\d+)\s*\]'
_EMPTY_HASHES = frozenset(
    {
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",  # git's name for no bytes
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",  # sha256 of no bytes
    }
)


class Look(msgspec.Struct, frozen=True):
    """What is wrong with a file (a word of sections.hub.TROUBLES) and the bytes it should have, if that is known."""

    kind: str
    expected_bytes: int | None = None


def kind_of(name: str) -> str:
    """``weights``, ``json`` or ``""``: what transformers takes a file of this name for."""
    if name in NEEDED_JSON:
        return "json"
    return "weights" if name.rpartition(".")[2] in WEIGHTS else ""


def look_into(path: str, name: str, size: int, blob: str, *, deep: bool = False) -> Look | None:
    """Open a file of ``kind_of(name)`` and say what is wrong with it, or None. Raises OSError if it cannot be read.

    ``blob`` is the name of the file the link leads to (the hub names it by its hash), or "" for a copy.
    """
    if size == 0:
        return None if blob in _EMPTY_HASHES else Look("empty")
    with open(path, "rb", buffering=0) as file:
        head = file.read(512)
        found = _by_beginning(head, name, size) or _by_format(file, head, name, size, deep)
        if found is None or size > GENUINE_LIMIT or not _genuine(file, size, blob):
            return found
    # what the repository itself holds is not damage; a pointer there still cannot be loaded
    return Look("lfs-pointer-upstream") if found.kind == "lfs-pointer" else None


def _by_beginning(head: bytes, name: str, size: int) -> Look | None:
    if size < LFS_POINTER_LIMIT and head.startswith(LFS_POINTER):
        return Look("lfs-pointer", _size_in_pointer(head))
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:14].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return Look("html-instead")
    if not head.strip(b"\0") and (not name.endswith(".bin") or name.startswith(TORCH_BIN)):
        return Look("zeroed")
    return None


def _by_format(file: BinaryIO, head: bytes, name: str, size: int, deep: bool) -> Look | None:
    if name.endswith(".safetensors"):
        return _safetensors(file, head, size, deep)
    if name.endswith(".json"):
        file.seek(-min(size, 64), os.SEEK_END)
        return None if file.read(64).rstrip()[-1:] in (b"}", b"]", b"") else Look("cut-short")
    if name.endswith((".bin", ".pt", ".pth", ".ckpt")) and head.startswith(b"PK\x03\x04"):
        # torch.save makes a zip archive, whose list of contents is its very end
        file.seek(-min(size, 22 + 65535), os.SEEK_END)
        return None if b"PK\x05\x06" in _read(file, 22 + 65535) else Look("cut-short")
    return None


def _safetensors(file: BinaryIO, head: bytes, size: int, deep: bool) -> Look | None:
    """Hold the file's length against its own list of tensors: 8 bytes of length, JSON, then the data."""
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9:
        return Look("cut-short")
    if head[8:9] != b"{" or length > HEADER_MAXIMUM:
        return Look("not-weights")
    if length > size - 8:
        return Look("cut-short", 8 + length)
    if length > HEADER_LIMIT and not deep:
        return None
    file.seek(8)
    header = _read(file, length)
    expected = 8 + length + max(map(int, re.findall(_DATA_END, header)), default=0)
    if expected == size:
        return None
    return Look("cut-short" if size < expected else "too-long", expected)


def _read(file: BinaryIO, size: int) -> bytes:
    """Up to ``size`` bytes: an unbuffered file may give fewer at a time."""
    parts = []
    while size > 0 and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _genuine(file: BinaryIO, size: int, blob: str) -> bool:
    """Whether the content is exactly what the blob's name, a sha256 or git's sha1, says."""
    if len(blob) not in (40, 64):
        return False
    import hashlib  # loads OpenSSL, for something that is rarely asked

    file.seek(0)
    content = _read(file, size)
    if len(blob) == 64:
        return hashlib.sha256(content).hexdigest() == blob
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == blob


def _size_in_pointer(head: bytes) -> int | None:
    found = re.search(rb"^size (\d{1,18})$", head, re.MULTILINE)
    return int(found[1]) if found else None
