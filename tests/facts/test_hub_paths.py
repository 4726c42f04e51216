"""The rules for the hub's places, held against the library itself and against Python's own path functions."""

from __future__ import annotations

import ntpath
import posixpath
import types
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfdoctor.facts import cache_paths as paths
from hfdoctor.facts.cache_paths import Rules, cache_paths, expand_user, expand_variables, offline_switch

VALUES = {"A": "one", "LONG_NAME": "two words", "EMPTY": "", "HOME": "/home/ana", "USERPROFILE": "C:\\Users\\ana"}

WORDS = st.lists(
    st.sampled_from(
        ["$", "{", "}", "%", "'", "A", "LONG_NAME", "EMPTY", "NO", "/", "\\", "~", "-", "\u4f60", " ", "$$"]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(WORDS)
def test_variables_expand_as_python_expands_them(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VALUES.items():
            patch.setenv(name, value)
        patch.delenv("NO", raising=False)
        assert expand_variables(text, VALUES, "linux") == posixpath.expandvars(text)
        assert expand_variables(text, VALUES, "windows") == ntpath.expandvars(text)


@settings(max_examples=300, deadline=None)
@given(WORDS)
def test_the_home_expands_as_python_expands_it(rest: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VALUES.items():
            patch.setenv(name, value)
        patch.delenv("USERNAME", raising=False)
        text = "~/" + rest
        assert expand_user(text, "/home/ana", "linux") == posixpath.expanduser(text)
        assert expand_user(text, "C:\\Users\\ana", "windows") == ntpath.expanduser(text)


ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"HF_HOME": "/data/hf"},
    {"HF_HOME": "~/hf"},
    {"HF_HOME": "$SCRATCH/hf", "SCRATCH": "/scratch/ana"},
    {"HF_HOME": "${SCRATCH}/hf"},
    {"HF_HOME": ""},
    {"HF_HOME": "models"},
    {"HF_HOME": '"/data/hf"'},
    {"XDG_CACHE_HOME": "/var/cache/ana"},
    {"XDG_CACHE_HOME": "~/c"},
    {"HUGGINGFACE_HUB_CACHE": "~/old"},
    {"HF_HUB_CACHE": "/data/hub", "HUGGINGFACE_HUB_CACHE": "/old"},
    {"HF_HUB_CACHE": "~/$SUB/hub", "SUB": "deep"},
    {"HF_HUB_CACHE": "", "HF_HOME": "/data/hf"},
    {"HF_TOKEN_PATH": "~/secret", "HF_ASSETS_CACHE": "$SUB", "SUB": "x"},
    {"HF_XET_CACHE": "~/xet"},
    {"HF_HUB_OFFLINE": "1"},
    {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"},
    {"HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": "yes"},
    {"HF_HUB_OFFLINE": "true "},
]


@pytest.mark.parametrize("environ", ENVIRONMENTS)
def test_the_library_itself_agrees(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the installed library's own constants.py with these variables; nothing of it is imported."""
    import importlib.util

    spec = importlib.util.find_spec("huggingface_hub")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("huggingface_hub is not installed beside the tests")
    source = (Path(spec.submodule_search_locations[0]) / "constants.py").read_text("utf-8")
    compare(source, environ, monkeypatch)


def compare(source: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    theirs = types.ModuleType("constants")
    exec(compile(source, "constants.py", "exec"), theirs.__dict__)
    ours = cache_paths(environ, "/home/ana", "linux", rules=paths.rules_of(source))
    assert ours.hf_home == (theirs.HF_HOME if hasattr(theirs, "HF_HOME") else theirs.hf_cache_home)
    assert ours.hub == (theirs.HF_HUB_CACHE if hasattr(theirs, "HF_HUB_CACHE") else theirs.HUGGINGFACE_HUB_CACHE)
    assert ours.token == theirs.HF_TOKEN_PATH
    assert ours.assets == (
        theirs.HF_ASSETS_CACHE if hasattr(theirs, "HF_ASSETS_CACHE") else theirs.HUGGINGFACE_ASSETS_CACHE
    )
    if hasattr(theirs, "HF_XET_CACHE"):
        assert ours.xet == theirs.HF_XET_CACHE
    assert offline_switch(environ, "linux")[0] == theirs.HF_HUB_OFFLINE


def test_windows() -> None:
    environ = {"Hf_Home": "%LocalAppData%\\hf", "LOCALAPPDATA": "C:\\Users\\ana\\AppData\\Local"}
    ours = cache_paths(environ, "C:\\Users\\ana", "windows")
    assert ours.hub == "C:\\Users\\ana\\AppData\\Local\\hf\\hub"
    assert ours.hub_set_by == "HF_HOME"
    assert cache_paths({}, "C:\\Users\\ana", "windows").hub == "C:\\Users\\ana\\.cache\\huggingface\\hub"


def test_relative_places_count_from_the_folder_of_the_program() -> None:
    ours = cache_paths({"HF_HOME": "models"}, "/home/ana", "linux")
    assert ours.hub == "models/hub"
    assert ours.anchored("/project", "linux").hub == "/project/models/hub"


def test_transformers_4_has_its_own_variables() -> None:
    environ = {"PYTORCH_TRANSFORMERS_CACHE": "/p", "TRANSFORMERS_CACHE": "/t", "HF_HOME": "/hf"}
    ours = cache_paths(environ, "/home/ana", "linux", transformers_variables=True)
    assert (ours.models, ours.models_set_by, ours.hub) == ("/t", "TRANSFORMERS_CACHE", "/hf/hub")
    assert cache_paths(environ, "/home/ana", "linux").models == "/hf/hub"


def test_rules_are_read_from_the_file_not_guessed() -> None:
    old = 'hf_cache_home = os.path.expanduser(\n    os.getenv("HF_HOME", "x")\n)\nHF_TOKEN_PATH = join(home, "token")\n'
    assert paths.rules_of(old) == Rules(False, False, False, False, False)
