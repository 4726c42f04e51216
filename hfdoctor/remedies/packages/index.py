"""Where packages come from: what pip or uv is set up to ask, in the words of uv.

Credentials in these settings are handed to uv in its environment, never on its command line, and are kept nowhere.
"""

from __future__ import annotations

import configparser
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from ...facts.probes.installer_config import pip_files, uv_files
from ..action import Refused

_TRUE = ("1", "true", "yes", "on", "t", "y")
#: settings of uv that name another index than PyPI
_UV_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")


class Source(msgspec.Struct):
    """Whose settings hold, what the change itself says, and what they mean for uv.

    ``tool``: whose settings say where packages come from.
    """

    tool: Literal["pip", "uv"]
    words: list[str]
    #: variables for uv; "" takes one away
    environ: dict[str, str]

    def over(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ`` with these variables in it."""
        return {name: value for name, value in {**environ, **self.environ}.items() if self.environ.get(name) != ""}

    def cached(self, environ: Mapping[str, str], home: str, own: str = "", *, fresh: bool = False) -> list[str]:
        """``words`` with the cache to use: the person's where there is one already, else ``own`` ("": none).

        ``fresh``: nothing that was fetched earlier.
        """
        if fresh or not _has_cache(environ, home):
            return [*self.words, *(["--cache-dir", own] if own else ["--no-cache"])]
        return self.words


def source(
    environ: Mapping[str, str],
    home: str,
    cwd: str,
    prefix: str,
    *,
    tool: Literal["pip", "uv"],
    index: str = "",
    extra_index: str = "",
) -> Source:
    """How uv is to be run so that it asks the indexes that ``tool`` would ask; ``index`` is asked alone.

    Raises Refused if a configuration file cannot be understood.
    """
    if tool == "uv" and not _uv_is_set_up(environ, home, cwd) and _pip_index_is_set(environ, home, prefix, cwd):
        tool = "pip"  # the mirror that pip is set up for is the one that can be reached
    found = Source(tool, [], {})
    if tool == "pip":
        _like_pip(found, environ, home, cwd, prefix)
    if index:
        found.environ.update(dict.fromkeys(_UV_INDEX, ""), UV_DEFAULT_INDEX=index)
        if "--no-config" not in found.words:
            found.words.append("--no-config")
    if extra_index:
        others = found.environ.get("UV_INDEX", "" if index else environ.get("UV_INDEX", ""))
        found.environ["UV_INDEX"] = f"{others} {extra_index}".strip()
        if "--index-strategy" not in found.words:
            found.words += ["--index-strategy", "unsafe-best-match"]
    return found


def pip_settings(environ: Mapping[str, str], home: str, prefix: str, cwd: str) -> dict[str, str]:
    """pip's options for ``pip install`` by name (``index-url``), credentials included: files, then PIP_ variables.

    Raises Refused if a file cannot be understood, which stops pip itself, too.
    """
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for path in pip_files(environ, home, prefix, cwd):
        try:
            text = Path(path).read_bytes().decode("utf-8-sig", "replace") if Path(path).is_file() else ""
        except OSError:
            continue  # pip passes over what it cannot open, too
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(text)
        except configparser.Error as error:
            raise Refused(f"{path} cannot be understood: {str(error).splitlines()[0]}") from None
        for section, values in found.items():
            if parser.has_section(section):
                values.update(
                    (key.lower().replace("_", "-").removeprefix("--"), value) for key, value in parser.items(section)
                )
    settings = {**found["global"], **found["install"]}
    for name, value in environ.items():
        if name.upper().startswith("PIP_") and value:
            settings[name[4:].lower().replace("_", "-")] = value
    return settings


def _like_pip(found: Source, environ: Mapping[str, str], home: str, cwd: str, prefix: str) -> None:
    settings = pip_settings(environ, home, prefix, cwd)
    # pip treats all indexes alike and takes the best version of any
    found.words = ["--no-config", "--index-strategy", "unsafe-best-match"]
    put = found.environ
    for name in _UV_INDEX:
        put[name] = ""
    if settings.get("index-url"):
        put["UV_DEFAULT_INDEX"] = settings["index-url"].strip()
    if settings.get("extra-index-url"):
        put["UV_INDEX"] = " ".join(settings["extra-index-url"].split())
    if settings.get("find-links"):
        # pip passes over a folder that is not there, uv does not
        places = [one for text in settings["find-links"].split() if (one := _place(text, cwd))]
        put["UV_FIND_LINKS"] = ",".join(places)
    if settings.get("no-index", "").lower() in _TRUE:
        found.words.append("--no-index")  # uv has no variable for it
    if settings.get("constraint"):
        put["UV_CONSTRAINT"] = settings["constraint"]
    if settings.get("pre", "").lower() in _TRUE:
        put["UV_PRERELEASE"] = "allow"
    if settings.get("proxy"):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            put[name] = settings["proxy"]
            put[name.lower()] = settings["proxy"]
    if settings.get("timeout", settings.get("default-timeout", "")).replace(".", "", 1).isdigit():
        put["UV_HTTP_TIMEOUT"] = str(int(float(settings.get("timeout", settings.get("default-timeout", "30")))))
    if settings.get("client-cert"):
        put["SSL_CLIENT_CERT"] = settings["client-cert"]
    if settings.get("trusted-host"):
        put["UV_INSECURE_HOST"] = " ".join(settings["trusted-host"].split())
    if settings.get("keyring-provider", "") in ("subprocess", "import") or (
        "@" in settings.get("index-url", "") and shutil.which("keyring", path=environ.get("PATH"))
    ):
        found.words += ["--keyring-provider", "subprocess"]
    certificates = settings.get("cert") or environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE") or ""
    if certificates and os.path.isfile(os.path.expanduser(certificates)):
        put["SSL_CERT_FILE"] = os.path.expanduser(certificates)
    elif not environ.get("SSL_CERT_FILE"):
        # pip asks the system for its certificates; the first name is uv's older one
        put["UV_NATIVE_TLS"] = put["UV_SYSTEM_CERTS"] = "1"


def _place(text: str, cwd: str) -> str:
    """A find-links entry as uv takes it: a URL, or a path that does not depend on the folder one is in."""
    if "://" in text:
        return text
    path = os.path.normpath(os.path.join(cwd, os.path.expanduser(text)))
    return path if os.path.exists(path) else ""


def _pip_index_is_set(environ: Mapping[str, str], home: str, prefix: str, cwd: str) -> bool:
    settings = pip_settings(environ, home, prefix, cwd)
    return any(settings.get(name) for name in ("index-url", "extra-index-url", "find-links", "no-index"))


def _uv_is_set_up(environ: Mapping[str, str], home: str, cwd: str) -> bool:
    if any(environ.get(name) for name in _UV_INDEX):
        return True
    for path in uv_files(environ, home, cwd):
        try:
            text = Path(path).read_text("utf-8", "replace") if Path(path).is_file() else ""
        except OSError:
            continue
        if path.name == "pyproject.toml" and "[tool.uv" not in text:
            continue
        if "index" in text or "find-links" in text:
            return True
    return False


def _has_cache(environ: Mapping[str, str], home: str) -> bool:
    """Whether the person uses uv: it has its cache already, or its place is set."""
    if environ.get("UV_NO_CACHE"):
        return False
    if environ.get("UV_CACHE_DIR"):
        return True
    if os.name == "nt":
        local = environ.get("LOCALAPPDATA", "")
        return bool(local) and os.path.isdir(os.path.join(local, "uv", "cache"))
    return os.path.isdir(os.path.join(environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"), "uv"))


def sets_a_place(environ: Mapping[str, str], home: str, prefix: str, cwd: str) -> str:
    """pip's setting that sends what it installs elsewhere than into the environment ("--target"), or ""."""
    settings = pip_settings(environ, home, prefix, cwd)
    return next((name for name in ("target", "prefix", "root") if settings.get(name)), "")
