"""The settings that uv and pip get: a person's index, certificates and wheels apply to both.

uv reads neither pip's configuration files nor its PIP_* variables, so what is set up for pip (a company's mirror,
a folder of wheels) is said to uv in its own variables, unless it has its own settings already.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

#: settings with which an installer would do something else than install into the environment we name
_UNWANTED = (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__"),
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_DRY_RUN", "PIP_NO_DEPS", "PIP_REQUIRE_HASHES"),
    *("PIP_NO_BUILD_ISOLATION", "PIP_REQUIREMENT", "PIP_EDITABLE", "PIP_QUIET", "PIP_VERBOSE", "PIP_REPORT"),
    *("UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_NO_BUILD_ISOLATION", "UV_REQUIRE_HASHES", "UV_VENV_CLEAR", "UV_VENV_SEED"),
)


def for_pip(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables with which venv, ensurepip and pip are started."""
    kept = {name: value for name, value in environment.items() if name not in _UNWANTED}
    # without a network, a quarter of the wait of pip's five
    kept.setdefault("PIP_RETRIES", "3")
    # "user = true" in a configuration file would make every install into an environment fail
    return kept | {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def for_uv(environment: Mapping[str, str], pip: Mapping[str, str]) -> dict[str, str]:
    """The environment variables with which uv is started; ``pip``: see :func:`pip_configuration`."""
    result = {name: value for name, value in environment.items() if name not in _UNWANTED}

    def give(value: str, name: str, *synonyms: str) -> None:
        if value and not any(result.get(known) for known in (name, *synonyms)):
            result[name] = value

    # compiled now, as pip does, and not at every start where PYTHONDONTWRITEBYTECODE is set
    give("1", "UV_COMPILE_BYTECODE")
    give(pip.get("index-url", ""), "UV_DEFAULT_INDEX", "UV_INDEX_URL")
    extra = [place for place in pip.get("extra-index-url", "").split() if _is_there(place)]
    if extra and not any(result.get(name) for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL")):
        result["UV_INDEX"] = " ".join(extra)
        # pip takes the best version of all its indexes, uv by default only what the first one offers
        give("unsafe-best-match", "UV_INDEX_STRATEGY")
    give(",".join(place for place in pip.get("find-links", "").split() if _is_there(place)), "UV_FIND_LINKS")
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        give("1", "UV_NO_INDEX")
    give(pip.get("cert", ""), "SSL_CERT_FILE")
    give(" ".join(pip.get("trusted-host", "").split()), "UV_INSECURE_HOST")
    give(pip.get("timeout", "") or pip.get("default-timeout", ""), "UV_HTTP_TIMEOUT")
    give(pip.get("constraint", ""), "UV_CONSTRAINT")
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        give(pip.get("proxy", ""), name, name.lower(), "ALL_PROXY", "all_proxy")
    return result


def _is_there(place: str) -> bool:
    """False for a local folder that does not exist: pip passes over those with a warning, uv stops."""
    if place.lower().startswith("file:"):
        return Path(url2pathname(urlsplit(place).path)).exists()
    return "://" in place or Path(place).exists()


def pip_configuration(python: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What pip is configured to do, from its files and from PIP_* variables, by option name.

    Asked of the pip that belongs to ``python``; without one, the variables alone are read.
    """
    found: dict[str, str] = {}
    try:
        listing = subprocess.run(
            [python, "-I", "-m", "pip", "config", "list"],
            env=for_pip(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=20,
            check=False,
        ).stdout.decode(errors="surrogateescape")
    except (OSError, subprocess.SubprocessError):
        listing = ""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for line in listing.splitlines():
        # such as: global.index-url='https://...'
        name, _, value = line.partition("=")
        section, _, option = name.strip().rpartition(".")
        if section in sections:
            try:
                sections[section][option] = str(ast.literal_eval(value.strip()))
            except (ValueError, SyntaxError):
                continue
    # from the weakest to the strongest, as pip itself orders them
    found.update(sections["global"])
    found.update(sections["install"])
    for name, value in environment.items():
        if name.startswith("PIP_") and value:
            found[name[4:].lower().replace("_", "-")] = value
    return found


def cpu_index_reachable(index: str, environment: Mapping[str, str]) -> bool:
    """Whether PyTorch's index of CPU builds answers within three seconds."""
    import ssl
    import urllib.error
    import urllib.request

    try:
        trust = ssl.create_default_context(cafile=environment.get("PIP_CERT") or environment.get("SSL_CERT_FILE"))
        with urllib.request.urlopen(f"{index}/torch/", timeout=3, context=trust) as answer:
            return int(answer.status) == 200
    except (OSError, ValueError, urllib.error.URLError):
        return False


def wants_cpu_index() -> bool:
    """Only for Linux does the registry's own torch bring CUDA libraries."""
    return sys.platform == "linux" and os.uname().machine in ("x86_64", "aarch64")
