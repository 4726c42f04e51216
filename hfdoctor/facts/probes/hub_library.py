"""What the installed huggingface_hub and transformers say of themselves, read from their files and never imported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from ..fact import Fact, known
from ..legible import legible
from ..sections.hub import HubLibrary, HubUser

#: bytes of a source file that are read; the largest of those below has 150,000
LARGEST_SOURCE = 2_000_000

#: where the libraries read environment variables; a file that a release does not have is passed over
HUB_SOURCES = (
    "__init__.py",
    "_login.py",
    "_oidc.py",
    "constants.py",
    "file_download.py",
    "utils/_auth.py",
    "utils/_headers.py",
    "utils/_hf_folder.py",
    "utils/_http.py",
    "utils/_runtime.py",
    "utils/_telemetry.py",
    "utils/logging.py",
    "utils/tqdm.py",
)
TRANSFORMERS_SOURCES = (
    "utils/__init__.py",
    "utils/generic.py",
    "utils/hub.py",
    "utils/import_utils.py",
    "utils/logging.py",
    "modeling_utils.py",
)
_MAKERS = tuple(
    maker.encode()
    for maker in (
        "HF_",
        "HUGGINGFACE_",
        "HUGGING_FACE_",
        "TRANSFORMERS_",
        "PYTORCH_TRANSFORMERS_",
        "PYTORCH_PRETRAINED_",
    )
)
#: bytes that follow the first part of a variable's name at most
LONGEST_NAME = 100
CLI_BEFORE_034 = "huggingface_hub.commands.huggingface_cli"
_VERSION = re.compile(rb"""^__version__\s*(?::\s*str\s*)?=\s*["']([^"'\n]{1,60})["']""", re.MULTILINE)


def find_package(folders: Iterable[str], name: str) -> str | None:
    """The folder of the package ``name`` that the first of ``folders`` (those of sys.path) has."""
    for folder in folders:
        if folder and os.path.isfile(os.path.join(folder, name, "__init__.py")):
            return os.path.join(folder, name)
    return None


def read_source(package: str, name: str) -> bytes:
    """One source file of a package; empty if the release has none. Raises OSError if it cannot be read."""
    try:
        with open(os.path.join(package, *name.split("/")), "rb") as file:
            return file.read(LARGEST_SOURCE)
    except FileNotFoundError:
        return b""


def read_library(package: str) -> Fact[HubLibrary]:
    """Version and abilities of the huggingface_hub in the folder ``package``."""
    found = _VERSION.search(read_source(package, "__init__.py"))
    if found is None:
        raise ValueError("huggingface_hub/__init__.py does not say its version")
    programs = {"cli/hf.py": "huggingface_hub.cli.hf", "commands/huggingface_cli.py": CLI_BEFORE_034}
    return known(
        HubLibrary(
            version=found[1].decode("utf-8", "replace"),
            path=legible(package),
            shared_blobs=os.path.isfile(os.path.join(package, "utils", "_shared_blobs.py")),
            trees=os.path.isfile(os.path.join(package, "_tree_cache.py")),
            cli=next((name for file, name in programs.items() if read_source(package, file)), ""),
            cache_rm=b"\ndef rm(" in read_source(package, "cli/cache.py"),
        ),
        legible(os.path.join(package, "__init__.py")),
    )


def variables_read(package: str, sources: Iterable[str], always: str) -> Fact[list[str]]:
    """Names of variables in the ``sources`` of a package, which must name ``always``. Raises ValueError if not."""
    names: set[str] = set()
    for source in sources:
        names.update(_quoted_names(read_source(package, source)))
    if always not in names:
        raise ValueError(f"the files that are known to read variables do not name {always}")
    return known(sorted(names), legible(package))


def _quoted_names(source: bytes) -> Iterator[str]:
    """The texts between quotation marks that are names of such variables (one pattern for all takes twice as long)."""
    for maker in _MAKERS:
        if maker in source:
            for mark in (b'"', b"'"):
                for rest in source.split(mark + maker)[1:]:
                    name, end, _ = (maker + rest[:LONGEST_NAME]).partition(mark)
                    if end and re.fullmatch(rb"[A-Z0-9_]{4,}", name):
                        yield name.decode()


def other_users(environ: Mapping[str, str], home: str, cwd: str, own: str | None) -> Fact[list[HubUser]]:
    """Other environments on this machine with a huggingface_hub: only where one is likely, so not a complete list."""
    found: dict[str, HubUser] = {}
    for prefix in _prefixes(environ, home, cwd):
        for folder in _site_packages(prefix):
            package = os.path.join(folder, "huggingface_hub")
            if not os.path.isfile(os.path.join(package, "__init__.py")):
                continue
            if own is not None and os.path.realpath(package) == os.path.realpath(own):
                continue
            try:
                library = read_library(package).need()
            except (OSError, ValueError):
                continue
            found[os.path.realpath(package)] = HubUser(legible(prefix), library.version, library.shared_blobs)
    return known(sorted(found.values(), key=lambda user: user.python), "environments of uv, pipx, conda; .venv here")


def _prefixes(environ: Mapping[str, str], home: str, cwd: str) -> list[str]:
    """Folders of environments: this folder's, the active ones, the tools of uv and pipx, those that conda knows."""
    prefixes = [os.path.join(cwd, ".venv"), os.path.join(cwd, "venv")]
    prefixes += [value for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if (value := environ.get(name))]
    data = environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    roaming = environ.get("APPDATA", "")
    tools = [
        environ.get("UV_TOOL_DIR") or os.path.join(data, "uv", "tools"),
        os.path.join(environ.get("PIPX_HOME") or os.path.join(data, "pipx"), "venvs"),
        os.path.join(home, ".local", "pipx", "venvs"),
    ]
    if roaming:
        tools.append(os.path.join(roaming, "uv", "tools"))
    for folder in tools if home else ():
        try:
            prefixes += [os.path.join(folder, name) for name in sorted(os.listdir(folder))[:100]]
        except OSError:
            continue
    try:
        with open(os.path.join(home, ".conda", "environments.txt"), encoding="utf-8", errors="replace") as file:
            prefixes += file.read(65536).splitlines()[:100]
    except OSError:
        pass
    return [prefix for prefix in dict.fromkeys(prefixes) if prefix]


def _site_packages(prefix: str) -> list[str]:
    if os.name == "nt":
        return [os.path.join(prefix, "Lib", "site-packages")]
    library = os.path.join(prefix, "lib")
    try:
        names = [name for name in os.listdir(library) if name.startswith(("python3", "pypy3"))]
    except OSError:
        return []
    return [os.path.join(library, name, "site-packages") for name in sorted(names)]
