"""Fixes that set or take away variables: really wrong start-up files, mended, tried in a new shell, and undone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hfdoctor.facts.cache_paths import offline_switch
from hfdoctor.facts.collect import collect
from hfdoctor.facts.fact import known
from hfdoctor.facts.probes.settings import variables
from hfdoctor.facts.sections.hub import OfflineSwitch
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.engine import begin, carry_out, take_back
from hfdoctor.remedies.journal import Journal
from tests import recorded

from .persons_shell import PersonAtShell, tree

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(os.name == "nt", reason="on Windows a variable lives in the registry"),
]

HUB = """
HF_HUB_OFFLINE = _is_true(os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE"))
HF_HUB_ETAG_TIMEOUT = int(os.environ.get("HF_HUB_ETAG_TIMEOUT") or 10)
HF_HUB_DOWNLOAD_TIMEOUT = int(os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT") or 10)
ENDPOINT = os.getenv("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
HF_HOME = os.path.expandvars(os.path.expanduser(os.getenv("HF_HOME")))
HUGGINGFACE_HUB_CACHE = os.getenv("HUGGINGFACE_HUB_CACHE", default_cache_path)
HF_HUB_CACHE = os.path.expandvars(os.path.expanduser(os.getenv("HF_HUB_CACHE", HUGGINGFACE_HUB_CACHE)))
HF_XET_CACHE = os.getenv("HF_XET_CACHE")
"""
OLD_HUB = """
HF_HUB_OFFLINE = _is_true(os.environ.get("HF_HUB_OFFLINE"))
hf_cache_home = os.path.expanduser(os.getenv("HF_HOME"))
HUGGINGFACE_HUB_CACHE = os.getenv("HUGGINGFACE_HUB_CACHE", default_cache_path)
"""


def installed(site: Path, name: str, version: str, files: dict[str, str]) -> None:
    """A package of a few files, with its metadata."""
    for file, text in {"__init__.py": f'__version__ = "{version}"\n', **files}.items():
        path = site / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "INSTALLER").write_text("pip\n")
    (info / "RECORD").write_text("")


def environment(folder: Path, hub: str, constants: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    site = next(folder.glob("lib/python*/site-packages"))
    installed(site, "huggingface_hub", hub, {"constants.py": constants})
    logging = 'os.getenv("TRANSFORMERS_VERBOSITY")\n'
    installed(site, "transformers", "5.23.0", {"utils/hub.py": logging, "utils/logging.py": logging})
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("target") / "venv", "2.4.0", HUB)


@pytest.fixture(scope="module")
def old_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("old") / "venv", "0.17.3", OLD_HUB)


@pytest.fixture
def at_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[dict[str, str]], Snapshot]], PersonAtShell]:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return lambda look: PersonAtShell(tmp_path / "home", tmp_path / "state" / "hfdoctor", look)


def really(target: Path, home: Path) -> Callable[[dict[str, str]], Snapshot]:
    """Observe the machine, with ``target`` as the patient."""
    return lambda environ: collect(str(target), environ=environ, cwd=home)


def as_recorded(name: str) -> Callable[[dict[str, str]], Snapshot]:
    """A recorded machine (with a GPU, without a network) in which the environment's variables are the real ones."""

    def look(environ: dict[str, str]) -> Snapshot:
        snapshot = recorded.load(name)
        snapshot.settings.variables = variables(environ)
        on, variable, value = offline_switch(environ, "linux")
        snapshot.hub.offline = known(OfflineSwitch(on, variable, value))
        return snapshot

    return look


#: lines in ~/.bashrc -> words of the finding, what a new terminal must have afterwards, which way is the first
SETTINGS: dict[str, tuple[list[str], str, dict[str, str | None], int]] = {
    "quoted": (["export HF_HOME='\"/data/hf\"'"], "quotes", {"HF_HOME": "/data/hf"}, 1),
    "blanks": (["export HF_HUB_CACHE=' /data/hf '"], "blank", {"HF_HUB_CACHE": "/data/hf"}, 1),
    "empty": (["export HF_HOME="], "set to nothing", {"HF_HOME": None}, 1),
    "unexpanded": (["export HF_HOME='$NOWHERE/hf'"], "$NOWHERE", {"HF_HOME": None}, 2),
    "quoted-home": (["export HF_HOME=\"'~/hf'\""], "quotes", {"HF_HOME": "HOME/hf"}, 1),
    "windows": (["export HF_HOME='D:\\hf'"], "Windows path", {"HF_HOME": None}, 2),
    "relative": (["export HF_HUB_CACHE=models"], "not an absolute", {"HF_HUB_CACHE": None}, 2),
    "relative-there": (["export HF_HUB_CACHE=there"], "not an absolute", {"HF_HUB_CACHE": "HOME/there"}, 1),
    "not-expanded": (["export HF_XET_CACHE='~/xet'"], "not an absolute", {"HF_XET_CACHE": "HOME/xet"}, 1),
    "file": (["export HF_HOME=~/file"], "not a folder", {"HF_HOME": None}, 2),
    "seconds": (["export HF_HUB_DOWNLOAD_TIMEOUT=30s"], "whole number", {"HF_HUB_DOWNLOAD_TIMEOUT": "30"}, 1),
    "no-seconds": (["export HF_HUB_ETAG_TIMEOUT=long"], "whole number", {"HF_HUB_ETAG_TIMEOUT": None}, 2),
    "not-on": (["export HF_HUB_OFFLINE=y"], "does not mean on", {"HF_HUB_OFFLINE": "1"}, 1),
    "old-name": (
        ["export TRANSFORMERS_CACHE=/data/models"],
        "not read any more",
        {"HF_HUB_CACHE": "/data/models", "TRANSFORMERS_CACHE": None},
        1,
    ),
    "old-name-relative": (["export TRANSFORMERS_CACHE=models"], "not read any more", {"TRANSFORMERS_CACHE": None}, 2),
    "two-caches": (
        ["export HF_HUB_CACHE=/a", "export HUGGINGFACE_HUB_CACHE=/b"],
        "different folders",
        {"HF_HUB_CACHE": "/a", "HUGGINGFACE_HUB_CACHE": None},
        1,
    ),
    "two-switches": (
        ["export HF_HUB_OFFLINE=1", "export TRANSFORMERS_OFFLINE=0"],
        "contradict",
        {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": None},
        1,
    ),
    "no-endpoint": (["export HF_ENDPOINT="], "no address to connect", {"HF_ENDPOINT": None}, 1),
    "endpoint": (
        ["export HF_ENDPOINT=hub.example.org"],
        "no web address",
        {"HF_ENDPOINT": "https://hub.example.org"},
        1,
    ),
    "strange-endpoint": (["export HF_ENDPOINT='my hub'"], "no web address", {"HF_ENDPOINT": None}, 2),
    "page": (["export HF_ENDPOINT=https://huggingface.co/gpt2"], "address alone", {"HF_ENDPOINT": None}, 1),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_hub_settings(case: str, target: Path, at_shell: Callable[..., PersonAtShell], tmp_path: Path) -> None:
    lines, says, wanted, way = SETTINGS[case]
    person = at_shell(really(target, tmp_path / "home"))
    (person.home / "there").mkdir()
    (person.home / "file").write_text("a file")
    person.writes(*lines)
    new = person.is_cured("hub-settings", says, way=way)
    for name, value in wanted.items():
        assert new.get(name) == (None if value is None else value.replace("HOME", str(person.home))), name


def test_an_old_library_gets_the_older_name_of_the_setting(
    old_target: Path, at_shell: Callable[..., PersonAtShell], tmp_path: Path
) -> None:
    person = at_shell(really(old_target, tmp_path / "home"))
    person.writes("export HF_HUB_CACHE=/data/hub")
    new = person.is_cured("hub-settings", "not read any more")
    assert new["HF_HUB_CACHE"] == new["HUGGINGFACE_HUB_CACHE"] == "/data/hub"


def test_settings_with_secrets_in_them_are_left_to_the_person(
    target: Path, at_shell: Callable[..., PersonAtShell], tmp_path: Path
) -> None:
    person = at_shell(really(target, tmp_path / "home"))
    person.writes("export HF_ENDPOINT='\"https://ana:geheim@hub.example.org\"'")
    environ = person.terminal()
    wrong, snapshot = person.findings("hub-settings", environ)
    first, second = person.choices(wrong[0], snapshot, environ)
    assert not first.automatic
    assert [type(action).__name__ for action in second.actions] == ["VariableAction"]
    assert "geheim" not in str(first) + str(second)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["export PYTHONHOME=/nowhere"], "PYTHONHOME"),
        (["export PYTHONIOENCODING=nonsense"], "PYTHONIOENCODING"),
    ],
)
def test_python_settings(
    lines: list[str], says: str, target: Path, at_shell: Callable[..., PersonAtShell], tmp_path: Path
) -> None:
    person = at_shell(really(target, tmp_path / "home"))
    person.writes(*lines)
    assert says not in person.is_cured("python-settings", says)


def test_pythonpath_that_leads_to_other_packages(
    target: Path, at_shell: Callable[..., PersonAtShell], tmp_path: Path
) -> None:
    other = tmp_path / "home" / "other"
    person = at_shell(really(target, tmp_path / "home"))
    installed(other, "huggingface_hub", "0.1.0", {})
    person.writes(f"export PYTHONPATH={other}/")
    assert "PYTHONPATH" not in person.is_cured("python-settings", "PYTHONPATH")
    person.writes(f"export PYTHONPATH={other}:{person.home}/mine")
    wrong, snapshot = person.findings("python-settings", person.terminal())
    assert not any(choice.automatic for choice in person.choices(wrong[0], snapshot, {}))


def test_a_start_up_file_that_stops_python_goes_into_quarantine(
    tmp_path: Path, at_shell: Callable[..., PersonAtShell]
) -> None:
    python = environment(tmp_path / "home" / "venv", "2.4.0", HUB)
    site = next((tmp_path / "home" / "venv").glob("lib/python*/site-packages"))
    (site / "sitecustomize.py").write_text("raise SystemExit(3)\n")
    person = at_shell(really(python, tmp_path / "home"))
    _moved_away_and_back(person, "python-settings", site / "sitecustomize.py")


def test_a_file_in_the_place_of_the_cache_goes_into_quarantine(
    target: Path, at_shell: Callable[..., PersonAtShell], tmp_path: Path
) -> None:
    person = at_shell(really(target, tmp_path / "home"))
    file = person.home / ".cache" / "huggingface"
    file.parent.mkdir()
    file.write_text("not a folder")
    _moved_away_and_back(person, "hub-settings", file)


def _moved_away_and_back(person: PersonAtShell, condition: str, file: Path) -> None:
    before, environ = tree(person.home), person.terminal()
    wrong, snapshot = person.findings(condition, environ)
    taken = next(choice for choice in person.choices(wrong[0], snapshot, environ) if choice.actions)
    journal = Journal(person.state)
    with journal.locked():
        run = begin(journal, condition, taken.text, taken.actions, token=taken.token)
        ended = carry_out(journal, run)
        assert ended.done, ended.reason
        assert not os.path.lexists(file)
        assert person.findings(condition, environ)[0] == []
        take_back(journal, run)
    assert {name: held for name, held in tree(person.home).items() if "__pycache__" not in name} == before


def test_a_socks_proxy_gets_its_package_past_pip() -> None:
    """Nothing is installed here: pip could not, without the package; uv has its own way."""
    from hfdoctor.conditions.changes import PackageChange
    from hfdoctor.conditions.engine import diagnose

    snapshot = recorded.load("network-unreachable-socks")
    snapshot.settings.variables = variables({"ALL_PROXY": "socks5://proxy:1080"})
    report = diagnose(snapshot)
    remedy = next(one.remedy for one in report.failed() if one.condition == "network-unreachable")
    assert remedy is not None
    assert [step.argv for step in remedy.steps] == [[], []]
    change = remedy.steps[1].change
    assert isinstance(change, PackageChange)
    assert "socksio" in change.install


@pytest.mark.parametrize(
    ("line", "condition", "says", "name", "value"),
    [
        (
            "export HTTPS_PROXY=\"'http://proxy:3128'\"",
            "network-unreachable",
            "HTTPS_PROXY",
            "HTTPS_PROXY",
            "http://proxy:3128",
        ),
        (
            "export https_proxy=' http://proxy:3128'",
            "network-unreachable",
            "https_proxy",
            "https_proxy",
            "http://proxy:3128",
        ),
        ("export SSL_CERT_FILE=/nowhere/ca.pem", "ssl-certificate", "SSL_CERT_FILE", "SSL_CERT_FILE", None),
    ],
)
def test_the_way_to_the_hub(
    line: str,
    condition: str,
    says: str,
    name: str,
    value: str | None,
    target: Path,
    at_shell: Callable[..., PersonAtShell],
    tmp_path: Path,
) -> None:
    person = at_shell(really(target, tmp_path / "home"))
    person.writes(line)
    assert person.is_cured(condition, says, way=1 if value else 2).get(name) == value


def test_offline_mode_with_nothing_cached(target: Path, at_shell: Callable[..., PersonAtShell], tmp_path: Path) -> None:
    person = at_shell(really(target, tmp_path / "home"))
    (person.home / ".cache" / "huggingface" / "hub").mkdir(parents=True)
    person.writes("export HF_HUB_OFFLINE=1")
    assert "HF_HUB_OFFLINE" not in person.is_cured("hub-unreachable", "nothing is cached")


@pytest.mark.parametrize(
    ("machine", "condition", "lines", "wanted", "way"),
    [
        ("hub-offline-ready-cabin", "hub-offline-ready", [], {"HF_HUB_OFFLINE": "1"}, 1),
        ("gpu-hidden-empty", "gpu-hidden", ["export CUDA_VISIBLE_DEVICES="], {"CUDA_VISIBLE_DEVICES": None}, 1),
        ("gpu-hidden-out-of-range", "gpu-hidden", ["export CUDA_VISIBLE_DEVICES=7"], {"CUDA_VISIBLE_DEVICES": None}, 1),
    ],
)
def test_what_only_some_machines_have(
    machine: str,
    condition: str,
    lines: list[str],
    wanted: dict[str, str | None],
    way: int,
    at_shell: Callable[..., PersonAtShell],
) -> None:
    person = at_shell(as_recorded(machine))
    person.writes(*lines)
    new = person.is_cured(condition, "", way=way)
    assert {name: new.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("machine", "condition", "line", "name", "value"),
    [
        (
            "hf-transfer-missing-set",
            "hf-transfer-missing",
            "export HF_HUB_ENABLE_HF_TRANSFER=1",
            "HF_HUB_ENABLE_HF_TRANSFER",
            None,
        ),
        ("hub-stall-left-unfinished", "hub-stall", "", "HF_HUB_DISABLE_XET", "1"),
    ],
)
def test_the_setting_instead_of_the_package(
    machine: str,
    condition: str,
    line: str,
    name: str,
    value: str | None,
    at_shell: Callable[..., PersonAtShell],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first way installs a package, which needs an index; here nobody has one."""
    from hfdoctor.remedies.action import Refused
    from hfdoctor.remedies.kinds import registered

    def refused(*_: object) -> None:
        raise Refused("there is no index")

    monkeypatch.setattr(registered, "prepare_packages", refused)
    person = at_shell(as_recorded(machine))
    person.writes(line)
    assert person.is_cured(condition, "", way=2).get(name) == value
