"""What is installed in the target: distributions, their files, what the libraries' files say of themselves."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class Distribution(msgspec.Struct, omit_defaults=True):
    """One installed distribution, from its .dist-info or .egg-info."""

    #: normalised as PEP 503 says: ``huggingface-hub``
    name: str
    version: str
    #: the .dist-info or .egg-info folder (or file)
    path: str
    requires_python: str = ""
    requires: list[str] = []
    #: tags of the wheel it came from (WHEEL file), e.g. cp311-cp311-manylinux_2_28_x86_64
    tags: list[str] = []
    #: pip, uv, conda, debian ...: the INSTALLER file, "" without one
    installer: str = ""
    #: direct_url.json, credentials removed
    direct_url: str = ""
    editable: bool = False
    #: "" or one of METADATA_PROBLEMS
    problem: str = ""
    #: an earlier folder of sys.path holds a distribution of this name: the target does not see this one
    shadowed: bool = False


#: what can be wrong with a distribution's own description
METADATA_PROBLEMS = {
    "no-metadata": "its METADATA file is missing",
    "empty": "its METADATA file is empty",
    "zeroed": "its METADATA file holds only zero bytes",
    "unreadable": "its METADATA file cannot be read",
    "not-utf8": "its METADATA file is not UTF-8 text, and Python refuses to read it",
    "oversized": "its METADATA file has no end of its header within the first megabyte",
    "no-name": "its METADATA file names no package",
    "no-version": "its METADATA file names no version",
    "not-a-file": "a folder stands where its METADATA file should be",
    "not-a-folder": "a file stands where its .dist-info folder should be",
}


class Leftover(msgspec.Struct):
    """What pip left of an interrupted removal: a ``~ransformers`` folder."""

    path: str
    #: the name with its first letter guessed back where a distribution of that name is known, else as found
    package: str


class Damage(msgspec.Struct, omit_defaults=True):
    """One file that is not as RECORD says. ``kind`` is one of DAMAGE_KINDS, ``part`` one of FILE_PARTS."""

    path: str
    kind: str
    expected_bytes: int | None = None
    actual_bytes: int | None = None
    part: str = ""


#: what can be wrong with a file
DAMAGE_KINDS = {
    "missing": "is missing",
    "dangling-link": "is a link to a file that is gone",
    "empty": "is empty",
    "truncated": "ends too early",
    "garbled": "is not valid Python any more",
    "foreign": "holds something else than a library",
    "zeroed": "holds zero bytes instead of its content",
    "altered": "is not the file that was installed",
    "not-a-file": "is not a file",
    "unreadable": "cannot be read",
}

#: what a file is for, by its name: what its loss means follows from it
FILE_PARTS = {
    "code": "Python modules and native libraries",
    "data": "files that the code reads",
    "headers": "C and C++ headers, for building extensions and for torch.compile",
    "extra": "tests, type stubs and documentation",
}


class PackageFiles(msgspec.Struct, omit_defaults=True):
    """The files of one distribution held against its RECORD.

    ``damages`` lists at most 20, those of code first and mere alterations last; the counts are whole. Compiled .pyc
    files, files outside site-packages (scripts) and the .dist-info folder's own are not counted.
    """

    name: str
    version: str
    #: files that RECORD lists
    files: int
    #: files whose presence was checked
    checked: int
    #: files whose content was checked (--deep)
    hashed: int = 0
    #: files with a damage other than ``altered``
    damaged: int = 0
    #: whole files that are not those which were installed: edited, patched, stripped, signed
    altered: int = 0
    damages: list[Damage] = []
    #: number of ``damaged`` files for each part that has any
    damaged_parts: dict[str, int] = {}
    #: in the closure of transformers and torch (else one of the optional companions)
    required: bool = False
    #: why nothing could be held against RECORD: "" or one of RECORD_PROBLEMS
    problem: str = ""
    #: the .dist-info folder, to tell two of one name apart
    path: str = ""
    #: the longest path in RECORD of a .py, .pyd or .dll file, below site-packages; filled on Windows only
    longest_code: str = ""


#: why the files of a distribution could not be held against its RECORD
RECORD_PROBLEMS = {
    "no-record": "it has no RECORD file",
    "unreadable": "its RECORD file cannot be read",
    "garbled": "its RECORD file is not a list of files",
    "editable": "it is installed in editable mode",
    "managed": "another package manager owns its files",
}


class Orphan(msgspec.Struct):
    """A package folder in site-packages of which no distribution is known.

    ``importable`` is False for mere remains: a folder without ``__init__.py``.
    """

    package: str
    path: str
    importable: bool


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
    """A copy of an OpenMP runtime: family is intel (libiomp5), llvm (libomp), gnu (libgomp), msvc (vcomp).

    ``mkl`` is no runtime but Intel's library that loads one: mkl_intel_thread.
    """

    family: str
    path: str
    package: str


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

    #: of every folder on sys.path, in its order; within a folder by name
    distributions: Fact[list[Distribution]] = unobserved()
    leftovers: Fact[list[Leftover]] = unobserved()
    #: only looked for under the names of the packages that matter
    orphans: Fact[list[Orphan]] = unobserved()
    #: only the packages that matter (the closure of transformers and torch, and their companions)
    files: Fact[list[PackageFiles]] = unobserved()
    torch_build: Fact[TorchBuild] = unobserved()
    transformers_needs: Fact[TransformersNeeds] = unobserved()
    #: what torchvision/version.py and torchaudio/version.py say: 0.28.0+cu130, also where the metadata has no +cu130
    companion_builds: Fact[dict[str, str]] = unobserved()
    numpy_clients: Fact[list[NumpyClient]] = unobserved()
    openmp: Fact[list[OpenMPRuntime]] = unobserved()
    #: --deep only: the target's own import of torch, transformers, tokenizers, numpy, safetensors
    imports: Fact[list[ImportTrial]] = unobserved()

    def installed(self) -> dict[str, Distribution]:
        """The distributions that the target sees, by normalised name: of several of one name the first sound one.

        Raises FactMissing if the distributions could not be read.
        """
        seen: dict[str, Distribution] = {}
        for entry in self.distributions.need():
            if entry.shadowed:
                continue
            held = seen.get(entry.name)
            if held is None or (held.problem and not entry.problem):
                seen[entry.name] = entry
        return seen

    def imported(self, package: str) -> bool:
        """Whether the target was seen importing ``package`` (``--deep``)."""
        return any(trial.package == package and trial.ok for trial in self.imports.maybe() or ())
