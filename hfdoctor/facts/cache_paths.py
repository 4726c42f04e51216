"""Where huggingface_hub keeps things: the library's own rules, as pure functions of the environment variables.

Nothing here looks at the machine. Quotes, blanks and relative paths are kept exactly as the library keeps them: a
quoted path is a folder whose name contains quotes, and saying so is a condition's business.

The rules changed with the releases. ``rules_of`` reads them from the text of the installed ``constants.py`` instead
of from a table of versions; ``NEWEST`` are those of releases 0.34 to 2.4.
"""

from __future__ import annotations

import ntpath
import posixpath
import re
from collections.abc import Callable, Mapping

import msgspec

#: the values, in upper case, that the library takes for "on"; everything else is "off"
TRUE_VALUES = frozenset({"1", "ON", "YES", "TRUE"})

#: transformers 4 looked here before the hub's own cache, the first that is set wins; release 5 no longer does
TRANSFORMERS_CACHE_VARIABLES = ("TRANSFORMERS_CACHE", "PYTORCH_TRANSFORMERS_CACHE", "PYTORCH_PRETRAINED_BERT_CACHE")


class Rules(msgspec.Struct, frozen=True):
    """Which of the rules an installed huggingface_hub follows."""

    #: HF_HUB_CACHE is read (since 0.19); before, only HUGGINGFACE_HUB_CACHE
    hub_cache_variable: bool = True
    #: HF_HUB_CACHE goes through expanduser and expandvars; before 0.30 it was taken literally
    expands_hub_cache: bool = True
    #: $NAME and %NAME% in HF_HOME are replaced
    expands_home_variables: bool = True
    #: HF_TOKEN_PATH is read
    token_path_variable: bool = True
    #: HF_TOKEN_PATH goes through expanduser and expandvars
    expands_token_path: bool = True


NEWEST = Rules()


class CachePaths(msgspec.Struct, frozen=True):
    """The library's places, as literally as it uses them (relative ones count from the program's folder).

    ``hub_set_by`` and ``home_set_by`` name the deciding variable, or are ``"default"``.
    """

    hf_home: str
    home_set_by: str
    hub: str
    hub_set_by: str
    #: where transformers keeps models: the hub cache, but for transformers 4 with one of its own variables
    models: str
    models_set_by: str
    assets: str
    xet: str
    xet_set_by: str
    token: str
    token_set_by: str
    #: the token's place before release 0.20
    old_token: str
    #: the cache of transformers before 4.22, files named by hashes
    old_transformers: str

    def anchored(self, cwd: str, system: str) -> CachePaths:
        """The same places with relative paths made absolute against ``cwd``."""
        flavour = path_flavour(system)
        names = ("hf_home", "hub", "models", "assets", "xet", "token", "old_token", "old_transformers")
        return msgspec.structs.replace(
            self, **{name: flavour.normpath(flavour.join(cwd, getattr(self, name))) for name in names}
        )


def cache_paths(
    environ: Mapping[str, str],
    home: str,
    system: str,
    *,
    rules: Rules = NEWEST,
    transformers_variables: bool = False,
    home_of: Callable[[str], str | None] = lambda user: None,
) -> CachePaths:
    """Apply the library's rules to ``environ``.

    ``home`` is what ``~`` stands for on that machine; ``system`` is ``windows`` or another word of ``machine.os``.
    ``transformers_variables`` is true if the installed transformers still reads TRANSFORMERS_CACHE (release 4).
    ``home_of`` gives the home of another user (``~bob``) or None; the library leaves unknown ones as they are.
    """
    flavour = path_flavour(system)
    values = _Environment(environ, system)

    def expand(path: str, variables: bool = True) -> str:
        path = expand_user(path, home, system, home_of)
        return expand_variables(path, values, system) if variables else path

    default_home = flavour.join(expand_user("~", home, system, home_of), ".cache")
    under = flavour.join(values.get("XDG_CACHE_HOME", default_home), "huggingface")
    hf_home = expand(values.get("HF_HOME", under), rules.expands_home_variables)
    home_set_by = values.first("HF_HOME", "XDG_CACHE_HOME")

    hub = values.get("HUGGINGFACE_HUB_CACHE", flavour.join(hf_home, "hub"))
    hub_set_by = values.first("HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
    if rules.hub_cache_variable:
        hub = values.get("HF_HUB_CACHE", hub)
        hub_set_by = values.first("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
        if rules.expands_hub_cache:
            hub = expand(hub)
    models, models_set_by = hub, hub_set_by
    if transformers_variables and values.first(*TRANSFORMERS_CACHE_VARIABLES) != "default":
        models_set_by = values.first(*TRANSFORMERS_CACHE_VARIABLES)
        models = values.get(models_set_by, hub)

    assets = values.get("HUGGINGFACE_ASSETS_CACHE", flavour.join(hf_home, "assets"))
    assets = values.get("HF_ASSETS_CACHE", assets) if rules.hub_cache_variable else assets
    token = flavour.join(hf_home, "token")
    token_set_by = home_set_by
    if rules.token_path_variable:
        token = values.get("HF_TOKEN_PATH", token)
        token_set_by = values.first("HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME")
        if rules.expands_token_path:
            token = expand(token)
    return CachePaths(
        hf_home=hf_home,
        home_set_by=home_set_by,
        hub=hub,
        hub_set_by=hub_set_by,
        models=models,
        models_set_by=models_set_by,
        assets=expand(assets) if rules.expands_hub_cache else assets,
        xet=values.get("HF_XET_CACHE", flavour.join(hf_home, "xet")),
        xet_set_by=values.first("HF_XET_CACHE", "HF_HOME", "XDG_CACHE_HOME"),
        token=token,
        token_set_by=token_set_by,
        old_token=expand_user(flavour.join("~", ".huggingface", "token"), home, system, home_of),
        old_transformers=flavour.join(hf_home, "transformers"),
    )


def rules_of(constants: str) -> Rules:
    """The rules that the text of an installed ``huggingface_hub/constants.py`` follows."""

    def assignment(name: str) -> str:
        found = re.search(rf"^{name}\b[^=\n]*=(.*?)(?=^\S)", constants + "\nend", re.MULTILINE | re.DOTALL)
        # a closing bracket alone at the start of a line still belongs to the assignment, but adds nothing to it
        return found[1] if found else ""

    home = assignment("HF_HOME") or assignment("hf_cache_home")
    hub, token = assignment("HF_HUB_CACHE"), assignment("HF_TOKEN_PATH")
    return Rules(
        hub_cache_variable='"HF_HUB_CACHE"' in hub,
        expands_hub_cache="expandvars" in hub,
        expands_home_variables="expandvars" in home,
        token_path_variable='"HF_TOKEN_PATH"' in token,
        expands_token_path="expandvars" in token,
    )


def is_true(value: str | None) -> bool:
    """Whether the library takes the value of a switch for "on": no blanks are removed, case does not matter."""
    return value is not None and value.upper() in TRUE_VALUES


def offline_switch(environ: Mapping[str, str], system: str) -> tuple[bool, str, str]:
    """Whether offline mode is on, and the name and value of the variable that decided (``""`` if none is set).

    HF_HUB_OFFLINE decides unless it is unset or empty; only then TRANSFORMERS_OFFLINE is looked at.
    """
    values = _Environment(environ, system)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        value = values.get(name, "")
        if value:
            return is_true(value), name, value
    return False, "", ""


def path_flavour(system: str) -> PathFlavour:
    """``ntpath`` for Windows, else ``posixpath``: the described system's rules, whatever runs this."""
    return ntpath if system == "windows" else posixpath  # type: ignore[return-value]


class PathFlavour:
    """The functions of ntpath and posixpath that are used here; both are pure string functions (for the types)."""

    join: Callable[..., str]
    normpath: Callable[[str], str]
    isabs: Callable[[str], bool]
    dirname: Callable[[str], str]
    basename: Callable[[str], str]


class _Environment:
    """Variables by name; Windows does not tell upper from lower case there."""

    def __init__(self, environ: Mapping[str, str], system: str) -> None:
        self._fold = system == "windows"
        self._values = {name.upper(): value for name, value in environ.items()} if self._fold else environ

    def get(self, name: str, default: str) -> str:
        return self._values.get(name.upper() if self._fold else name, default)

    def __contains__(self, name: str) -> bool:
        return (name.upper() if self._fold else name) in self._values

    def first(self, *names: str) -> str:
        return next((name for name in names if name in self), "default")


def expand_user(path: str, home: str, system: str, home_of: Callable[[str], str | None] = lambda user: None) -> str:
    """``os.path.expanduser`` for a machine whose home is ``home``."""
    if not path.startswith("~"):
        return path
    separators = "/\\" if system == "windows" else "/"
    end = next((i for i, letter in enumerate(path) if letter in separators), len(path))
    user = path[1:end]
    found = home_of(user) if user else home
    if not found:
        return path
    if system != "windows":
        found = found.rstrip("/")
        return (found + path[end:]) or "/"
    return found + path[end:]


def expand_variables(path: str, values: Mapping[str, str] | _Environment, system: str) -> str:
    """``os.path.expandvars`` for a machine with the variables ``values``; unknown ones stay as they are."""

    def value(name: str, as_written: str) -> str:
        return values.get(name, as_written)

    if system != "windows":
        return re.sub(
            r"\$(?:(\w+)|\{([^}]*)\})", lambda m: value(m[1] if m[1] is not None else m[2], m[0]), path, flags=re.ASCII
        )

    def on_windows(match: re.Match[str]) -> str:
        if match["kept"] is not None:
            return match["kept"]
        if match["percent"] is not None:
            return value(match["percent"], match[0]) if match["percent"] else "%"
        if match["dollars"]:
            return "$"
        name = match["braced"] if match["braced"] is not None else match["plain"]
        return value(name, match[0])

    # nothing is replaced between quotes, nor after a percent sign or a brace that is never closed
    kept = r"(?P<kept>'[^']*'?|%[^%]*$|\$\{[^}]*$)"
    replaced = r"%(?P<percent>[^%]*)%|(?P<dollars>\$\$)|\$(?:\{(?P<braced>[^}]*)\}|(?P<plain>[-\w]+))"
    return re.sub(f"{kept}|{replaced}", on_windows, path, flags=re.ASCII)
