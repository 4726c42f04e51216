"""The Hugging Face hub as this machine sees it: cache folder, its health, token shape, offline switches."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class CacheLocation(msgspec.Struct, omit_defaults=True):
    """Where the target's huggingface_hub keeps its cache and which setting says so."""

    path: str
    set_by: str
    exists: bool
    hf_home: str = ""
    xet_path: str = ""
    token_path: str = ""


class TokenShape(msgspec.Struct, omit_defaults=True):
    """The shape of the access token, never its value. ``oddities``: quoted, whitespace, newline, bearer-prefix,
    placeholder, non-ascii, wrong-prefix, empty, too-short, inner-whitespace."""

    source: str
    length: int
    oddities: list[str] = []


class RepoTrouble(msgspec.Struct, omit_defaults=True):
    """One damaged thing in a cached repository.

    ``kind``: dangling-link, empty-weights, lfs-pointer, shorter-than-listed, longer-than-listed, missing-from-tree,
    no-refs-target, not-a-folder, unreadable, html-instead.
    """

    repo: str
    kind: str
    path: str
    expected_bytes: int | None = None
    actual_bytes: int | None = None


class CacheHealth(msgspec.Struct, omit_defaults=True):
    """What the structure of the cache alone shows. Bytes; lists are cut at 50 entries, the counts are whole."""

    repos: int
    revisions: int
    files: int
    blob_bytes: int
    troubles_total: int = 0
    troubles: list[RepoTrouble] = []
    #: "<etag>.<8 hex>.incomplete" and "*.incomplete": remains of downloads that died
    incomplete: int = 0
    incomplete_bytes: int = 0
    #: downloads that are (or may be) running: incomplete files younger than an hour
    incomplete_recent: int = 0
    lock_files: int = 0
    #: snapshot entries that are real files instead of links (a machine without symbolic links)
    copies: int = 0
    links: int = 0
    #: things in the cache folder that are not part of any layout known to hfdoctor
    strangers: list[str] = []
    shared_blobs: bool = False
    foreign_owner: int = 0
    foreign_examples: list[str] = []


class LockTrial(msgspec.Struct, omit_defaults=True):
    """A file lock tried in the cache's own folder."""

    ok: bool
    error: str = ""


class LinkTrial(msgspec.Struct, omit_defaults=True):
    """A relative symbolic link tried in the cache's own folder (or the nearest parent that exists)."""

    ok: bool
    error: str = ""
    #: WinError number or errno
    code: int | None = None
    at: str = ""


class HubUser(msgspec.Struct, omit_defaults=True):
    """Another interpreter found beside the target that uses the same cache with its own huggingface_hub."""

    python: str
    version: str


class Hub(msgspec.Struct, omit_defaults=True):
    """The section ``hub``."""

    cache: Fact[CacheLocation] = unobserved()
    #: version of huggingface_hub in the target; absent if not installed
    library: Fact[str] = unobserved()
    token: Fact[TokenShape] = unobserved()
    offline: Fact[bool] = unobserved()
    endpoint: Fact[str] = unobserved()
    health: Fact[CacheHealth] = unobserved()
    lock: Fact[LockTrial] = unobserved()
    link: Fact[LinkTrial] = unobserved()
    #: names of HF_*/TRANSFORMERS_* variables that the installed libraries' own files still read
    variables_read: Fact[list[str]] = unobserved()
    other_users: Fact[list[HubUser]] = unobserved()
