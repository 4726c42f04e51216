"""broken-install, numpy-abi and openmp-duplicate on snapshots: severities, silences, words and steps."""

from __future__ import annotations

from typing import Any

import pytest

from hfdoctor.conditions.changes import PackageChange, PutAway
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.installation import CONDITIONS
from hfdoctor.conditions.model import Finding, Goal
from hfdoctor.conditions.ways import change_of, ways
from hfdoctor.facts.fact import absent, failed, known
from hfdoctor.facts.sections.packages import (
    DAMAGE_KINDS,
    METADATA_PROBLEMS,
    RECORD_PROBLEMS,
    Damage,
    Distribution,
    ImportTrial,
    Leftover,
    Orphan,
    PackageFiles,
)
from hfdoctor.facts.sections.settings import ConfigValue, Variable
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded

IDS = [condition.id for condition in CONDITIONS]


def findings(snapshot: Snapshot, condition: str = "broken-install", goal: Goal | None = None) -> list[Finding]:
    found = [f for f in diagnose(snapshot, goal).findings if f.condition == condition]
    assert all(f.outcome != "crash" for f in found), found[0].evidence
    return found


def one(snapshot: Snapshot, condition: str = "broken-install", goal: Goal | None = None) -> Finding:
    [found] = findings(snapshot, condition, goal)
    return found


def entry_of(s: Snapshot, name: str) -> Distribution:
    return s.packages.installed()[name]


def files_of(s: Snapshot, name: str) -> PackageFiles:
    [found] = [files for files in s.packages.files.need() if files.name == name]
    return found


def damage(s: Snapshot, name: str, *damages: Damage) -> PackageFiles:
    files = files_of(s, name)
    files.damages = list(damages)
    files.damaged = sum(one.kind != "altered" for one in damages)
    files.altered = len(damages) - files.damaged
    for entry in damages[: files.damaged]:
        files.damaged_parts[entry.part] = files.damaged_parts.get(entry.part, 0) + 1
    return files


def lost(path: str = "torch/nn/__init__.py", kind: str = "missing", part: str = "code", **sizes: int) -> Damage:
    return Damage(path, kind, sizes.get("expected"), sizes.get("actual"), part)


def seen(s: Snapshot, *good: str, **bad: str) -> None:
    trials = [ImportTrial(name, ok=True) for name in good]
    trials += [ImportTrial(name.replace("__", "."), ok=False, error=error) for name, error in bad.items()]
    s.packages.imports = known(trials)


@pytest.fixture(params=["linux", "windows"])
def machine(request: pytest.FixtureRequest) -> Snapshot:
    return recorded.build(request.param)


# -- broken-install: files --------------------------------------------------------------------------------------------


def test_healthy(machine: Snapshot) -> None:
    for condition in IDS:
        finding = one(machine, condition)
        assert finding.outcome == "pass"
        assert finding.examined


@pytest.mark.parametrize("kind", sorted(set(DAMAGE_KINDS) - {"altered"}))
def test_every_kind_of_damage_has_words(kind: str, machine: Snapshot) -> None:
    damage(machine, "torch", lost(kind=kind, expected=100, actual=50))
    finding = one(machine)
    assert (finding.severity, finding.basis) == ("error", "derived")
    assert "torch/nn/__init__.py" in finding.evidence[0].text
    assert DAMAGE_KINDS[kind] in finding.evidence[0].text


@pytest.mark.parametrize(
    ("part", "severity"), [("code", "error"), ("data", "warning"), ("headers", "note"), ("extra", None)]
)
def test_what_is_lost_decides(part: str, severity: str | None, machine: Snapshot) -> None:
    damage(machine, "torch", lost(part=part))
    assert one(machine).severity == severity


@pytest.mark.parametrize(
    ("altered", "severity"),
    [
        (lost("torch/nn/x.py", "altered", expected=10, actual=12), "note"),
        (lost("torch/lib/libc10.so", "altered", expected=10, actual=10), "warning"),
        (lost("torch/lib/libc10.so", "altered", expected=10, actual=8), None),
        (lost("torch/lib/libc10.dylib", "altered", expected=10, actual=10), None),
        (lost("torch/x.json", "altered", "data", expected=10, actual=8), None),
    ],
)
def test_altered_files(altered: Damage, severity: str | None, machine: Snapshot) -> None:
    damage(machine, "torch", altered)
    assert one(machine).severity == severity


def test_an_optional_companion_is_a_warning(machine: Snapshot) -> None:
    damage(machine, "torch", lost()).required = False
    assert one(machine, goal=Goal(("transformers",))).severity == "warning"
    assert one(machine).severity == "error"


def test_seen_working_is_a_warning(machine: Snapshot) -> None:
    damage(machine, "torch", lost())
    seen(machine, "torch")
    assert one(machine).severity == "warning"
    damage(machine, "torch")
    files_of(machine, "torch").damaged_parts = {}
    damage(machine, "sympy", lost("sympy/core/x.py"))
    assert one(machine).severity == "error"
    seen(machine, "torch", "transformers")
    assert one(machine).severity == "warning"


def test_imports_that_failed_to_be_tried_make_no_error(machine: Snapshot) -> None:
    damage(machine, "torch", lost())
    machine.packages.imports = failed("no room for another process")
    assert one(machine).severity == "warning"


def test_each_damaged_package_has_its_finding(machine: Snapshot) -> None:
    damage(machine, "torch", lost())
    damage(machine, "numpy", lost("numpy/__init__.py"))
    summaries = [finding.summary for finding in findings(machine)]
    assert len(summaries) == 2
    assert "numpy" in summaries[0]
    assert "torch" in summaries[1]


def test_all_files_gone(machine: Snapshot) -> None:
    files = files_of(machine, "tokenizers")
    damage(machine, "tokenizers", *[lost(f"tokenizers/x{index}.py") for index in range(files.checked)])
    assert "its files are gone" in one(machine).summary


# -- broken-install: what cures it ------------------------------------------------------------------------------------


def command(finding: Finding) -> list[str]:
    assert finding.remedy is not None
    return finding.remedy.steps[0].argv


def test_the_same_build_of_torch_comes_from_its_index() -> None:
    linux = recorded.build("linux")
    damage(linux, "torch", lost())
    assert command(one(linux)) == [
        "/home/ana/project/.venv/bin/python",
        *("-m", "pip", "install", "--force-reinstall", "--no-deps", "torch==2.15.0+cpu"),
        *("--index-url", "https://download.pytorch.org/whl/cpu"),
    ]
    windows = recorded.build("windows")
    damage(windows, "torch", lost())
    assert command(one(windows))[-1] == "torch==2.15.0"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"installer": "uv"}, "uv pip install --python"),
        ({"installer": "conda"}, "conda install --prefix /home/ana/project/.venv --force-reinstall pytorch"),
        ({"installer": "debian"}, "package manager"),
        ({"direct_url": "https://github.com/pytorch/pytorch"}, "github.com/pytorch"),
        ({"version": ""}, "--no-deps torch"),
    ],
)
def test_the_installer_that_put_it_there(change: dict[str, str], wanted: str) -> None:
    machine = recorded.build("linux")
    for name, value in change.items():
        setattr(entry_of(machine, "torch"), name, value)
    damage(machine, "torch", lost())
    finding = one(machine)
    assert finding.remedy is not None
    step = finding.remedy.steps[0]
    assert wanted in " ".join([*step.argv, step.text])
    assert step.network


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("variables", Variable("PIP_INDEX_URL", "https://mirror.example/simple")),
        ("variables", Variable("UV_FIND_LINKS", "/srv/wheels")),
        ("pip_config", ConfigValue("global.extra-index-url", "https://mirror.example/simple", "/etc/pip.conf")),
        ("uv_config", ConfigValue("index-url", "https://mirror.example/simple", "/etc/uv/uv.toml")),
        ("uv_config", ConfigValue("index[0].url", "https://mirror.example/simple", "/etc/uv/uv.toml")),
        ("uv_config", ConfigValue("pip.index-url", "https://mirror.example/simple", "/etc/uv/uv.toml")),
    ],
)
def test_a_mirror_of_the_persons_own_is_the_second_way_to_the_same_build(
    setting: str, value: Variable | ConfigValue
) -> None:
    machine = recorded.build("linux")
    damage(machine, "torch", lost())
    machine.settings.uv_config.need().append(ConfigValue("index-strategy", "first-index", "/etc/uv/uv.toml"))
    finding = one(machine)
    assert finding.remedy is not None and len(ways(finding.remedy.steps)) == 1
    getattr(machine.settings, setting).need().append(value)
    finding = one(machine)
    assert finding.remedy is not None
    first, second = (change_of(way[0]) for way in ways(finding.remedy.steps))
    assert isinstance(first, PackageChange) and first.index == "https://download.pytorch.org/whl/cpu"
    assert second == PackageChange(first.python, first.install, reinstall=True, no_deps=True)


def test_without_pip_it_is_uv_s() -> None:
    machine = recorded.build("linux")
    machine.target.pip = absent("no pip")
    damage(machine, "torch", lost())
    assert command(one(machine))[:3] == ["uv", "pip", "install"]


def test_a_target_that_was_not_told_has_a_command_all_the_same() -> None:
    machine = recorded.build("linux")
    machine.target.chosen = failed("?")
    damage(machine, "numpy", lost("numpy/__init__.py"))
    assert command(one(machine))[:3] == ["python", "-m", "pip"]


def test_files_that_may_not_be_read_need_rights_and_no_reinstall(machine: Snapshot) -> None:
    damage(machine, "torch", lost(kind="unreadable"))
    finding = one(machine)
    assert finding.remedy is not None
    assert [step.argv for step in finding.remedy.steps] == [[]]
    assert "site-packages" in finding.remedy.steps[0].text


# -- broken-install: descriptions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", sorted(METADATA_PROBLEMS))
def test_every_problem_of_a_description_has_words(problem: str, machine: Snapshot) -> None:
    entry_of(machine, "tqdm").problem = problem
    finding = one(machine)
    assert METADATA_PROBLEMS[problem] in finding.summary
    assert finding.severity == ("warning" if problem == "oversized" else "error")


def test_transformers_does_without_a_torch_that_has_no_version(machine: Snapshot) -> None:
    entry_of(machine, "torch").problem = "no-metadata"
    seen(machine, "torch", "transformers")  # both imports work: only torch is not used
    finding = one(machine)
    assert finding.severity == "error"
    assert "not installed" in finding.summary


def test_a_description_that_nobody_asks_for(machine: Snapshot) -> None:
    entry_of(machine, "sympy").problem = "empty"
    assert one(machine).severity == "warning"
    entry_of(machine, "sympy").problem = ""
    entry_of(machine, "pip").problem = "empty"
    assert one(machine).severity == "note"


@pytest.mark.parametrize("problem", ["no-record", "unreadable", "garbled"])
def test_a_lost_list_of_files(problem: str, machine: Snapshot) -> None:
    files_of(machine, "torch").problem = problem
    finding = one(machine)
    assert finding.severity == "warning"
    assert RECORD_PROBLEMS[problem] in finding.summary
    assert "--ignore-installed" in command(finding)


def test_distributions_of_operating_systems_have_no_list(machine: Snapshot) -> None:
    files_of(machine, "torch").problem = "no-record"
    entry_of(machine, "torch").installer = ""
    assert one(machine).severity == "warning"  # in a virtual environment nobody but pip and its kind installs
    machine.target.kind = known("conda")
    assert one(machine).outcome == "pass"
    machine.target.kind = known("venv")
    entry_of(machine, "torch").path = "/usr/lib/python3/dist-packages/torch-2.15.0.dist-info"
    assert one(machine).outcome == "pass"


def second(machine: Snapshot, version: str, damaged: int) -> Distribution:
    entry = entry_of(machine, "transformers")
    path = entry.path.replace(entry.version, version)
    other = Distribution("transformers", version, path, installer="pip")
    machine.packages.distributions.need().append(other)
    files = PackageFiles("transformers", version, 3000, 3000, required=True, path=path)
    if damaged:
        files.damaged, files.damaged_parts, files.damages = damaged, {"code": damaged}, [lost()]
    machine.packages.files.need().append(files)
    return other


def test_two_versions_one_of_them_true(machine: Snapshot) -> None:
    other = second(machine, "4.57.6", damaged=400)
    finding = one(machine)
    assert finding.severity == "warning"
    assert finding.remedy is not None
    (step,) = finding.remedy.steps  # the other one is whole: nothing needs to be installed
    assert step.change == PutAway(other.path)
    assert other.path in step.text


def test_two_versions_none_of_them_true(machine: Snapshot) -> None:
    damage(machine, "transformers", lost("transformers/x.py"))
    second(machine, "4.57.6", damaged=400)
    finding = one(machine)
    assert finding.severity == "error"
    assert "4.57.6 and 5.23.0" in finding.summary


def test_one_version_described_twice_is_no_trouble(machine: Snapshot) -> None:
    entry = entry_of(machine, "transformers")
    twin = Distribution("transformers", entry.version, entry.path.replace("transformers-", "Transformers-"))
    machine.packages.distributions.need().append(twin)
    assert one(machine).outcome == "pass"


def test_an_egg_info_beside_a_dist_info_is_debian_s_way(machine: Snapshot) -> None:
    path = entry_of(machine, "numpy").path.replace("dist-info", "egg-info")
    machine.packages.distributions.need().append(Distribution("numpy", "1.0", path))
    assert one(machine).outcome == "pass"


# -- broken-install: remains ------------------------------------------------------------------------------------------


def test_half_removed(machine: Snapshot) -> None:
    listed = machine.packages.distributions.need()
    listed.remove(entry_of(machine, "transformers"))
    machine.packages.files.need().remove(files_of(machine, "transformers"))
    machine.packages.leftovers = known([Leftover("x/~ransformers", "transformers"), Leftover("x/~qdm", "tqdm")])
    half, other = findings(machine)
    assert (half.severity, other.severity) == ("error", "note")
    assert "interrupted" in half.summary


@pytest.mark.parametrize(("package", "severity"), [("torch", "warning"), ("tokenizers", "error")])
def test_a_package_that_pip_does_not_know(package: str, severity: str, machine: Snapshot) -> None:
    machine.packages.orphans = known([Orphan(package, f"x/{package}", importable=True)])
    assert one(machine).severity == severity


def test_a_shell_without_code(machine: Snapshot) -> None:
    machine.packages.orphans = known([Orphan("transformers", "x/transformers", importable=False)])
    finding = one(machine)
    assert finding.severity == "warning"
    assert finding.remedy is not None
    assert "move x/transformers out of the way" in finding.remedy.steps[0].text


@pytest.mark.parametrize("fact", ["distributions", "files", "leftovers", "orphans"])
def test_what_is_not_known_is_no_pass(fact: str, machine: Snapshot) -> None:
    setattr(machine.packages, fact, failed("?"))
    assert one(machine).outcome == "unknown"


def test_what_is_known_to_be_wrong_is_said_all_the_same(machine: Snapshot) -> None:
    machine.packages.files = failed("?")
    machine.packages.leftovers = known([Leftover("x/~orch", "torch")])
    assert one(machine).severity == "note"


# -- broken-install: imports ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "word"), [("signal SIGSEGV", "kills"), ("timeout", "does not end"), ("OSError", "fails: OSError")]
)
def test_an_import_that_fails_for_no_other_reason(error: str, word: str, machine: Snapshot) -> None:
    seen(machine, "numpy", torch=error, transformers="RuntimeError")
    finding = one(machine)
    assert (finding.severity, finding.basis) == ("error", "observed")
    assert word in finding.summary
    assert "torch" in finding.summary


def test_an_import_that_fails_for_a_known_reason(machine: Snapshot) -> None:
    damage(machine, "torch", lost())
    seen(machine, torch="ImportError")
    assert one(machine).basis == "observed"
    assert one(machine).evidence[0].text == "importing torch failed: ImportError"


@pytest.mark.parametrize("error", ["not-tried", "not-started"])
def test_an_import_that_was_not_tried(error: str, machine: Snapshot) -> None:
    seen(machine, torch=error)
    assert one(machine).outcome == "pass"


def test_a_requirement_that_is_not_installed_is_another_condition_s(machine: Snapshot) -> None:
    trial = ImportTrial("transformers", ok=False, error="ModuleNotFoundError", message="No module named 'requests'")
    machine.packages.imports = known([trial])
    assert one(machine).outcome == "pass"
    trial.message = "No module named 'transformers.utils'"
    assert one(machine).outcome == "fail"


# -- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", CONDITIONS, ids=IDS)
def test_every_template_can_be_filled_and_is_plain(condition: Any) -> None:
    for text in condition.words.values():
        assert text.isascii()
        assert not text.endswith(".")
