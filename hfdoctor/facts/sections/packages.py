"""What is installed in the target: distributions, their files, what the libraries' files say of themselves."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class Distribution(msgspec.Struct, omit_defaults=True):
    """One installed distribution, from its .dist-info or .egg-info."""

    name: str
    version: str
    #: the .dist-info or .egg-info folder (or file)
    path: str
    requires_python: str = ""
    requires: list[str] = []
    #: tags of the wheel it came from (WHEEL file), e.g. cp311-cp311-manylinux_2_28_x86_64
    tags: list[str] = []
    installer: str = ""
    #: direct_url.json, credentials removed
    direct_url: str = ""
    editable: bool = False
    #: "" or one of: no-metadata, unreadable, no-version, no-name, oversized, truncated, not-a-folder
    problem: str = ""


class Leftover(msgspec.Struct):
    """What pip left of an interrupted removal: a ``~ransformers`` folder."""

    path: str
    #: the name with its first letter guessed back where a distribution of that name is known, else as found
    package: str


class Damage(msgspec.Struct, omit_defaults=True):
    """One file that is not as RECORD says."""

    path: str
    #: missing, truncated, longer, zeroed, altered, not-a-file, unreadable
    kind: str
    expected_bytes: int | None = None
    actual_bytes: int | None = None


class PackageFiles(msgspec.Struct, omit_defaults=True):
    """The files of one distribution held against its RECORD. ``damages`` lists at most 20, counts are whole."""

    name: str
    version: str
    files: int
    checked: int
    hashed: int = 0
    damaged: int = 0
    damages: list[Damage] = []
    #: why nothing could be held against RECORD: no-record, unreadable, editable
    problem: str = ""


class TorchBuild(msgspec.Struct, omit_defaults=True):
    """What torch/version.py says; ``cuda``/``hip``/``xpu`` are versions, or "" for a build without."""

    version: str
    cuda: str = ""
    hip: str = ""
    xpu: str = ""
    git_version: str = ""
    debug: bool = False


class TransformersNeeds(msgspec.Struct, omit_defaults=True):
    """What the installed transformers' own files ask for."""

    version: str
    #: the oldest torch it accepts ("" if its files do not say), and the file that says so
    minimum_torch: str = ""
    minimum_torch_source: str = ""
    #: dependency_versions_table.py: package -> requirement
    table: dict[str, str] = {}
    #: the names in dependency_versions_check.py, which are checked at import
    checked_at_import: list[str] = []


class NumpyClient(msgspec.Struct):
    """A compiled module that uses NumPy's C interface, and the NumPy major version it was compiled with."""

    package: str
    path: str
    built_with: str


class OpenMPRuntime(msgspec.Struct):
    """A copy of an OpenMP runtime: family is intel (libiomp5), llvm (libomp), gnu (libgomp), msvc (vcomp)."""

    family: str
    path: str
    package: str


class KerasInfo(msgspec.Struct, omit_defaults=True):
    """Keras generation beside transformers' TensorFlow classes."""

    keras: str = ""
    tf_keras: str = ""
    tensorflow: str = ""


class ImportTrial(msgspec.Struct, omit_defaults=True):
    """What happened when the target imported a package in a child (``--deep``)."""

    package: str
    ok: bool
    version: str = ""
    seconds: float = 0.0
    #: exception type, or "signal SIGSEGV", "exit 120", "timeout"
    error: str = ""
    message: str = ""
    #: last lines of stderr
    stderr: str = ""


class Packages(msgspec.Struct, omit_defaults=True):
    """The section ``packages``."""

    distributions: Fact[list[Distribution]] = unobserved()
    leftovers: Fact[list[Leftover]] = unobserved()
    #: only the packages that matter (the closure of transformers and torch)
    files: Fact[list[PackageFiles]] = unobserved()
    torch_build: Fact[TorchBuild] = unobserved()
    transformers_needs: Fact[TransformersNeeds] = unobserved()
    numpy_clients: Fact[list[NumpyClient]] = unobserved()
    openmp: Fact[list[OpenMPRuntime]] = unobserved()
    #: --deep only: the target's own import of torch, transformers, tokenizers, numpy, safetensors
    imports: Fact[list[ImportTrial]] = unobserved()
