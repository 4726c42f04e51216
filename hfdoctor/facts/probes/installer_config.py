"""Reads the configuration files of pip and uv, by their own rules of where these are."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..fact import Fact, failed, known
from ..legible import legible
from ..redaction import is_secret, without_credentials
from ..sections.settings import ConfigValue

#: bytes; a configuration file is never this long, a file that a setting names by mistake may be
READ_LIMIT = 1024 * 1024


def pip_config(environ: Mapping[str, str], home: str, prefix: str, cwd: str) -> Fact[list[ConfigValue]]:
    """pip's settings, in the order in which pip reads them. Source: pip.conf (pip.ini on Windows).

    ``home`` is what ``~`` stands for, ``prefix`` the target's own ("" leaves its file out).
    """
    values: list[ConfigValue] = []
    sources = []
    for path in pip_files(environ, home, prefix, cwd):
        text = _text(path)
        if text is None:
            continue  # pip passes over what it cannot open, too
        sources.append(str(path))
        import configparser

        parser = configparser.RawConfigParser()
        try:
            parser.read_string(text)
        except configparser.Error as error:
            return failed(f"{legible(str(path))}: {str(error).splitlines()[0]}"[:300], legible(str(path)))
        for section in parser.sections():
            for key, value in parser.items(section):
                name = f"{section}.{key.lower().replace('_', '-').removeprefix('--')}"
                values.append(_config_value(name, value, path))
    return known(values, legible(", ".join(sources)) or "no pip.conf")


def pip_files(environ: Mapping[str, str], home: str, prefix: str, cwd: str) -> list[Path]:
    """Where pip looks, first to last; later files override earlier ones."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    file = "pip.ini" if sys.platform == "win32" else "pip.conf"
    paths: list[Path] = []
    if named:
        paths.append(Path(cwd, named))
    if sys.platform == "win32":
        if environ.get("PROGRAMDATA"):
            paths.append(Path(environ["PROGRAMDATA"], "pip", file))
    elif sys.platform == "darwin":
        paths.append(Path("/Library/Application Support/pip", file))
    else:
        folders = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
        paths += [Path(folder, "pip", file) for folder in folders if folder]
        paths.append(Path("/etc", file))
    if not (named and Path(cwd, named).exists()):  # a file that is named so takes the place of the person's own
        paths += _pip_user_files(environ, home, file)
    if prefix:
        paths.append(Path(prefix, file))
    return paths


def _pip_user_files(environ: Mapping[str, str], home: str, file: str) -> list[Path]:
    paths = [Path(home, "pip" if sys.platform == "win32" else ".pip", file)] if home else []
    if sys.platform == "win32":
        if environ.get("APPDATA"):
            paths.append(Path(environ["APPDATA"], "pip", file))
        return paths
    if sys.platform == "darwin" and home and Path(home, "Library/Application Support/pip").is_dir():
        return [*paths, Path(home, "Library/Application Support/pip", file)]
    base = environ.get("XDG_CONFIG_HOME") if sys.platform != "darwin" else ""
    if base or home:
        paths.append(Path(base or Path(home, ".config"), "pip", file))
    return paths


def uv_config(environ: Mapping[str, str], home: str, cwd: str) -> Fact[list[ConfigValue]]:
    """uv's settings, the weakest first. Source: uv.toml, and [tool.uv] of pyproject.toml.

    Fails on Python 3.10, which has no reader for TOML, if there is such a file.
    """
    if environ.get("UV_NO_CONFIG", "").lower() in ("1", "true", "t", "yes", "y", "on"):
        return known([], "UV_NO_CONFIG")
    values: list[ConfigValue] = []
    sources = []
    for path in uv_files(environ, home, cwd):
        text = _text(path)
        if text is None or (path.name == "pyproject.toml" and "[tool.uv" not in text):
            continue
        source = legible(str(path))
        sources.append(source)
        try:
            toml = importlib.import_module("tomllib")
        except ImportError:
            return failed("TOML can only be read with Python 3.11 or newer", source)
        try:
            document: Any = toml.loads(text)
        except ValueError as error:
            return failed(f"{source}: {error}"[:300], source)
        if path.name == "pyproject.toml":
            document = document.get("tool", {}).get("uv", {})
        values += [_config_value(name, value, path) for name, value in _flat(document)]
    return known(values, ", ".join(sources) or "no uv.toml")


def uv_files(environ: Mapping[str, str], home: str, cwd: str) -> list[Path]:
    """Where uv looks, the weakest first: the system's file, the person's, the project's."""
    named = environ.get("UV_CONFIG_FILE")
    if named:
        return [Path(cwd, named)]
    paths: list[Path] = []
    if sys.platform == "win32":
        paths += [Path(environ[name], "uv", "uv.toml") for name in ("PROGRAMDATA", "APPDATA") if environ.get(name)]
    else:
        folders = [folder for folder in environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep) if folder]
        system = [Path(folder, "uv", "uv.toml") for folder in [*folders, "/etc/xdg", "/etc"]]
        paths += next(([path] for path in system if path.is_file()), [])
        base = environ.get("XDG_CONFIG_HOME")
        if base or home:
            paths.append(Path(base or Path(home, ".config"), "uv", "uv.toml"))
    for folder in [Path(cwd), *Path(cwd).parents]:
        for name in ("uv.toml", "pyproject.toml"):
            if (folder / name).is_file():
                return [*paths, folder / name]
    return paths


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values as text; lists of plain values are joined by blanks."""
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from _flat(item, f"{name}[{index}].")
        elif isinstance(value, list):
            yield name, " ".join(str(item) for item in value)
        elif isinstance(value, bool):
            yield name, str(value).lower()
        else:
            yield name, str(value)


def _config_value(name: str, value: str, path: Path) -> ConfigValue:
    key = name.rpartition(".")[2].replace("-", "_")
    text = "***" if is_secret(key) else without_credentials(legible(value.strip()))
    return ConfigValue(name=legible(name), value=text, file=legible(str(path)))


def _text(path: Path) -> str | None:
    """The text of a file; None if it is not there or cannot be opened."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            return stream.read(READ_LIMIT).decode("utf-8-sig", "replace")
    except (OSError, ValueError):
        return None
