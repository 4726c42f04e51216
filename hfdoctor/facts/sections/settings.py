"""Settings that steer the libraries and the installers: environment variables and configuration files."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class Variable(msgspec.Struct, omit_defaults=True):
    """One environment variable; the value of a secret one is never kept, only ``length``."""

    name: str
    value: str = ""
    secret: bool = False
    length: int = 0


class CertificateSetting(msgspec.Struct, omit_defaults=True):
    """A certificate bundle that a variable or a configuration names."""

    name: str
    path: str
    #: file, folder, missing, empty-value, not-a-certificate, unreadable
    state: str
    certificates: int | None = None


class ConfigValue(msgspec.Struct, omit_defaults=True):
    """One value of pip's or uv's configuration; credentials in URLs are removed."""

    name: str
    value: str
    file: str


class Settings(msgspec.Struct, omit_defaults=True):
    """The section ``settings``."""

    #: HF_*, HUGGINGFACE_*, TRANSFORMERS_*, TORCH_*, PYTORCH_*, CUDA_*, OMP_*/KMP_*/MKL_*, PYTHON*, PIP_*, UV_*,
    #: proxy and certificate variables, TMP/TEMP/TMPDIR, XDG_*, VIRTUAL_ENV, CONDA_*, LD_LIBRARY_PATH ...; by name
    variables: Fact[list[Variable]] = unobserved()
    certificates: Fact[list[CertificateSetting]] = unobserved()
    pip_config: Fact[list[ConfigValue]] = unobserved()
    uv_config: Fact[list[ConfigValue]] = unobserved()

    def variable(self, name: str) -> str | None:
        """Value of an environment variable or None if it is not set.

        Raises FactMissing if the variables could not be read.
        """
        for entry in self.variables.need():
            if entry.name == name:
                return entry.value
        return None
