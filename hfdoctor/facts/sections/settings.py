"""Settings that steer the libraries and the installers: environment variables and configuration files."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class Variable(msgspec.Struct, omit_defaults=True):
    """One environment variable; credentials in URLs are masked.

    The value of a secret one is never kept, only its ``length`` in characters.
    """

    name: str
    value: str = ""
    secret: bool = False
    length: int = 0
    #: who fails because the user name or password of a proxy, masked here, holds letters that a URL must have as %XX:
    #: "" nobody, "pip", "all"
    unescaped: str = ""


class CertificateSetting(msgspec.Struct, omit_defaults=True):
    """A certificate bundle that a variable or a configuration names."""

    name: str
    path: str
    #: file, folder, missing, empty-value, not-a-certificate (no PEM block in it, or no file at all), damaged (a block
    #: that does not decode), unreadable
    state: str
    #: readable ones in a file, hashed names (9d66eef0.0) in a folder
    certificates: int | None = None


class ConfigValue(msgspec.Struct, omit_defaults=True):
    """One value of pip's or uv's configuration; credentials in URLs are masked.

    pip: ``global.index-url``, ``install.find-links``. uv: ``index-url``, ``pip.index-url``, ``index[0].url``.
    """

    name: str
    value: str
    file: str


class Settings(msgspec.Struct, omit_defaults=True):
    """The section ``settings``."""

    #: HF_*, HUGGINGFACE_*, TRANSFORMERS_*, TORCH_*, PYTORCH_*, CUDA_*, OMP_*/KMP_*/MKL_*, PYTHON*, PIP_*, UV_*,
    #: proxy and certificate variables, TMP/TEMP/TMPDIR, XDG_*, VIRTUAL_ENV, CONDA_*, LD_LIBRARY_PATH ...; by name
    variables: Fact[list[Variable]] = unobserved()
    certificates: Fact[list[CertificateSetting]] = unobserved()
    #: in the order in which they are read: the last one of a name holds. ``failed`` if a file cannot be understood,
    #: which stops pip (or uv) itself too
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

    def pip_option(self, option: str, command: str = "install") -> tuple[str, str] | None:
        """Value of a pip option such as ``index-url`` and what set it (a variable or a file), or None if nothing did.

        pip lets variables go before files, and a command's own section before ``[global]``; an empty variable is none.
        Raises FactMissing if variables or configuration could not be read.
        """
        name = f"PIP_{option.upper().replace('-', '_')}"
        value = self.variable(name)
        if value:
            return value, name
        config = self.pip_config.need()
        for section in (command, "global"):
            for entry in reversed(config):
                if entry.name == f"{section}.{option}":
                    return entry.value, entry.file
        return None
