"""The Hugging Face hub as this machine sees it: cache folder, its health, token shape, offline switches."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class CacheLocation(msgspec.Struct, omit_defaults=True):
    """Where the target's huggingface_hub keeps its cache and which setting says so.

    ``path`` is absolute; ``literal`` is what the library itself works with (it may be relative or quoted).
    ``kind`` is what stands there: folder, missing, file, below-a-file, dangling-link, unreadable.
    """

    path: str
    set_by: str
    exists: bool
    hf_home: str = ""
    xet_path: str = ""
    token_path: str = ""
    literal: str = ""
    kind: str = "folder"
    #: the same of the folder that holds the cache, the token and the assets
    hf_home_literal: str = ""
    hf_home_set_by: str = ""
    hf_home_kind: str = ""
    #: the hub's own cache where transformers 4 keeps its models in another one, which is then ``path``; else ""
    hub_path: str = ""


class TokenShape(msgspec.Struct, omit_defaults=True):
    """The shape of the access token, never its value.

    ``source`` is the variable's name or the token file's path. ``oddities``: quoted, whitespace, newline,
    bearer-prefix, placeholder, non-ascii, wrong-prefix, other-service, empty, too-short, inner-whitespace; and for
    the file: unreadable, not-a-file, not-text. Blanks and line ends around it (whitespace, newline) are removed by
    the library itself.
    """

    source: str
    length: int
    oddities: list[str] = []


class OfflineSwitch(msgspec.Struct, omit_defaults=True):
    """The switch for offline mode as the library understands it: ``variable`` is the one that decided."""

    on: bool
    variable: str = ""
    value: str = ""


class RepoTrouble(msgspec.Struct, omit_defaults=True):
    """One damaged thing in a cached repository.

    ``repo`` is the folder's name, ``path`` is below the cache folder. ``kind`` is one of TROUBLES. ``copy``: a file of
    a snapshot that is no link, which the library does not replace when it downloads again.
    """

    repo: str
    kind: str
    path: str
    expected_bytes: int | None = None
    actual_bytes: int | None = None
    copy: bool = False
    #: what has to go away together for the library to fetch it again, below the cache folder: all links to the file
    #: and the file itself. Nothing outside of the cache is ever among them; empty where that cannot be told
    entries: list[str] = []


class Leftover(msgspec.Struct):
    """What a download left that died: its path below the cache folder, and the bytes that it takes on the disk."""

    path: str
    bytes: int


class OldRevisions(msgspec.Struct, omit_defaults=True):
    """The revisions of one repository that no branch or tag points at and that are not its newest.

    ``bytes`` is what only they take on the disk (at least: of very many files not all are measured). ``entries``,
    below the cache folder, are their folders and those files; empty where there are too many of them.
    """

    repo: str
    commits: list[str]
    bytes: int
    entries: list[str] = []


#: kind of trouble -> what it means
TROUBLES = {
    "dangling-link": "a link of the snapshot leads to a file that is not there",
    "empty": "a file that cannot be empty has no bytes",
    "zeroed": "weights that begin with nothing but zero bytes",
    "lfs-pointer": "the text that Git LFS leaves instead of a file, where the file should be",
    "lfs-pointer-upstream": "the same, but the repository itself holds that text",
    "shorter-than-listed": "shorter than the hub's list of this commit says",
    "longer-than-listed": "longer than the hub's list of this commit says",
    "cut-short": "shorter than the file's own header says",
    "too-long": "longer than the file's own header says",
    "not-weights": "not the format that its name says",
    "html-instead": "a web page (an error message, a login page) instead of the file",
    "folder-instead": "a folder where a file should be",
    "file-instead": "a file where a folder should be",
    "no-refs-target": "a branch or tag points at a snapshot that is not there",
    "bad-ref": "the file of a branch or tag holds no commit",
    "unreadable": "may not be read, or the system failed to read it",
}


class CacheHealth(msgspec.Struct, omit_defaults=True):
    """What the structure of the cache alone shows. Bytes; the lists are cut, the counts are whole.

    ``files`` are the entries of all snapshots. Of these ``measured`` were held against their sizes and ``opened``
    were looked into (the first bytes); without --deep both are bounded.
    """

    repos: int
    revisions: int
    files: int
    blob_bytes: int
    measured: int = 0
    opened: int = 0
    #: snapshots that have the hub's own list of files (trees/<commit>.json)
    listed: int = 0
    troubles_total: int = 0
    troubles: list[RepoTrouble] = []
    #: kind of trouble -> how many
    trouble_counts: dict[str, int] = {}
    #: remains of downloads that died: "<etag>.incomplete", since release 2 "<etag>.<8 hex>.incomplete"
    incomplete: int = 0
    incomplete_bytes: int = 0
    #: downloads that are (or may be) running: incomplete files younger than an hour, not counted above
    incomplete_recent: int = 0
    #: the largest of the remains
    leftovers: list[Leftover] = []
    #: the repositories with old revisions, those first that use most
    old_revisions: list[OldRevisions] = []
    lock_files: int = 0
    #: snapshot entries that are real files instead of links (a machine without symbolic links)
    copies: int = 0
    links: int = 0
    #: Windows only: the longest name of a file in a snapshot, below the cache folder; "" where there is none
    longest_file: str = ""
    #: things in the cache folder that are not part of any layout known to hfdoctor
    strangers: list[str] = []
    #: the cache has a store of files that several repositories share, and the version in its marker
    shared_blobs: bool = False
    shared_blobs_version: str = ""
    #: entries that belong to another user; and of the folders those in which this user cannot write
    foreign_owner: int = 0
    foreign_examples: list[str] = []
    unwritable_folders: int = 0
    unwritable_examples: list[str] = []
    #: bytes of the cache that transformers used before release 4.22, which nothing reads any more
    old_transformers_bytes: int = 0


class LockTrial(msgspec.Struct, omit_defaults=True):
    """A file lock tried in the cache's own folder, the way the library takes it. ``code`` is errno or WinError."""

    ok: bool
    error: str = ""
    code: int | None = None
    at: str = ""


class LinkTrial(msgspec.Struct, omit_defaults=True):
    """A relative symbolic link tried in the cache's own folder."""

    ok: bool
    error: str = ""
    #: WinError number or errno
    code: int | None = None
    at: str = ""


class HubUser(msgspec.Struct, omit_defaults=True):
    """Another environment found on this machine whose huggingface_hub would use the same cache."""

    python: str
    version: str
    shared_blobs: bool = False


class HubLibrary(msgspec.Struct, omit_defaults=True):
    """The target's huggingface_hub, as its own files describe it."""

    version: str
    path: str
    #: it knows the store of shared files in the cache
    shared_blobs: bool = False
    #: it keeps the hub's list of each snapshot's files
    trees: bool = False
    #: the module that is its command line program, "" if it has none
    cli: str = ""
    #: the program knows ``cache rm`` (since release 1)
    cache_rm: bool = False


class Hub(msgspec.Struct, omit_defaults=True):
    """The section ``hub``."""

    cache: Fact[CacheLocation] = unobserved()
    #: absent if the target has no huggingface_hub
    library: Fact[HubLibrary] = unobserved()
    token: Fact[TokenShape] = unobserved()
    offline: Fact[OfflineSwitch] = unobserved()
    #: the address of the hub, HF_ENDPOINT or the default; credentials removed
    endpoint: Fact[str] = unobserved()
    #: absent if there is no cache folder
    health: Fact[CacheHealth] = unobserved()
    lock: Fact[LockTrial] = unobserved()
    link: Fact[LinkTrial] = unobserved()
    #: names of variables (HF_*, TRANSFORMERS_* ...) in the files of the installed huggingface_hub that read them
    variables_read: Fact[list[str]] = unobserved()
    #: the same for transformers; absent if that is not installed
    transformers_variables_read: Fact[list[str]] = unobserved()
    other_users: Fact[list[HubUser]] = unobserved()
