"""The files of a repository of the hub: fetched one by one, listed where the address does so, held against hashes."""

from __future__ import annotations

import hashlib
import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .teller import Stage


class Wrong(Exception):
    """What arrived, or what the cache gave back, is not what it should be."""


class Listed:
    """What the hub's list says of a file: bytes, and the hash of its content in the form of its ETag."""

    def __init__(self, size: int | None, etag: str) -> None:
        self.size = size
        self.etag = etag


class Repository:
    """A model or a data set. ``files`` are those fetched, by name; ``listed`` is None until the hub has listed them."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.files: dict[str, str] = {}
        self.listed: dict[str, Listed] | None = None

    def get(self, name: str, needed: bool = True) -> None:
        """Fetch a file. Raises what huggingface_hub raises; a file that is not there counts only if ``needed``."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

        if name in self.files:
            return
        try:
            self.files[name] = hf_hub_download(self.name, name, repo_type=self.kind)
        except LocalEntryNotFoundError:  # a kind of EntryNotFoundError, for when nobody could be asked
            raise
        except (EntryNotFoundError, RepositoryNotFoundError):
            if needed:
                raise

    def from_cache(self, name: str) -> str:
        """The path of a fetched file, without asking anybody."""
        from huggingface_hub import hf_hub_download

        return str(hf_hub_download(self.name, name, repo_type=self.kind, local_files_only=True))

    def list_files(self) -> None:
        """Ask which files there are. An address that serves files alone answers with an error: that harms nothing."""
        from huggingface_hub import HfApi, constants
        from huggingface_hub.utils import HfHubHTTPError

        try:
            found = HfApi().repo_info(
                self.name, repo_type=self.kind, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
        except (HfHubHTTPError, KeyError, TypeError, ValueError):
            return
        self.listed = {}
        for entry in found.siblings or ():
            lfs: Any = getattr(entry, "lfs", None)
            digest = lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", None)
            etag = digest or getattr(entry, "blob_id", None) or ""
            self.listed[entry.rfilename] = Listed(getattr(entry, "size", None), str(etag))

    def etag_of(self, name: str) -> str:
        """The hash that the hub gave for a file: the name of its blob, or the list's where the cache holds no links."""
        path = self.files[name]
        if os.path.islink(path):
            etag = os.path.basename(os.readlink(path))
            if is_hash(etag):
                return etag
        listed = (self.listed or {}).get(name)
        if listed is not None and is_hash(listed.etag):
            return listed.etag
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        etag = get_hf_file_metadata(hf_hub_url(self.name, name, repo_type=self.kind)).etag or ""
        return etag if is_hash(etag) else ""


def is_hash(etag: str) -> bool:
    """Whether an ETag is one of the hub's: sha256 of a large file, git's sha1 of a small one."""
    return re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", etag) is not None


def check(stage: Stage, repository: Repository) -> list[str]:
    """Hold every file against its hash; the names of those that have one. Raises Wrong for the first that differs."""
    checked = []
    for name, path in repository.files.items():
        etag = repository.etag_of(name)
        if not etag:
            continue
        got = content_hash(path, etag)
        if got != etag:
            listed = (repository.listed or {}).get(name)
            size = os.path.getsize(path)
            stage.fact("file", name)
            stage.fact("expected", etag)
            stage.fact("got", got)
            stage.fact("why", "wrong-bytes")
            kind = "sha256" if len(etag) == 64 else "git's sha1"
            known = f" of {listed.size}" if listed is not None and listed.size is not None else ""
            raise Wrong(
                f"{name} of {repository.name} is not what the hub has: {kind} {etag} was announced, "
                f"{got} arrived ({size}{known} bytes)"
            )
        checked.append(name)
    return checked


def content_hash(path: str, etag: str) -> str:
    """The hash of a file's content in the form of ``etag``."""
    if len(etag) == 64:
        digest = hashlib.sha256()
    else:
        try:
            digest = hashlib.new("sha1", usedforsecurity=False)
        except TypeError:  # Python 3.8
            digest = hashlib.new("sha1")
        digest.update(b"blob %d\0" % os.path.getsize(path))
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
