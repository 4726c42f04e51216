"""version-skew and dependency-conflict: what is said, how gravely, and when nothing is said."""

from __future__ import annotations

import msgspec
import pytest

from hfdoctor.conditions.model import Goal
from hfdoctor.facts.fact import absent, failed, known
from hfdoctor.facts.sections.packages import ImportTrial, Orphan, TransformersNeeds
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded
from tests.conditions.installed import changed, complaints, dist, finding, findings, healthy_with, only, tried

SKEW, CONFLICT = "version-skew", "dependency-conflict"


def needs(s: Snapshot, version: str, table: dict[str, str], *checked: str) -> Snapshot:
    """The snapshot with another transformers' own table."""
    old = s.packages.transformers_needs.need()
    fresh = msgspec.structs.replace(old, version=version, table=table, checked_at_import=list(checked))
    s.packages.transformers_needs = known(fresh, "transformers")
    return s


# -- healthy sets -----------------------------------------------------------------------------------------------------

NGC = "2.7.0a0+79aa17489c.nv25.4"


@pytest.mark.parametrize("base", ["linux", "windows"])
def test_healthy_machines(base: str) -> None:
    assert not complaints(recorded.build(base))


@pytest.mark.parametrize(
    "extra",
    [
        [dist("accelerate", "1.12.0", "huggingface_hub>=0.21.0", "torch>=2.0.0", "numpy<3.0.0,>=1.17", "psutil")],
        [dist("peft", "0.20.1", "transformers", "accelerate>=0.21.0"), dist("accelerate", "1.12.0", "torch>=2.0.0")],
        [dist("datasets", "4.4.1", "huggingface-hub<3.0,>=0.25.0", "fsspec[http]<=2025.10.0,>=2023.1.0", "dill")],
        [dist("torchvision", "0.30.0", "numpy", "torch==2.15.0", "pillow!=8.3.*,>=5.3.0")],
        [dist("torchvision", "0.30.0+cpu", "numpy", "torch (==2.15.0)")],
        [dist("torchaudio", "2.11.0")],
        [dist("notebook", "7", "jupyterlab<5"), dist("scipy", "1.10", "numpy<1.27.0,>=1.19.5")],
        [dist("xformers", "0.0.35", "torch>=2.10", "numpy")],
        [dist("ancient", "1.0", "torch>=1.0.*", "???", "-e .", "transformers (>=4,<99)")],
        [dist("sentence-transformers", "5.2.0", "transformers<6.0.0,>=4.41.0", "torch>=1.11.0")],
    ],
    ids=lambda extra: extra[0].name + extra[0].version,
)
def test_healthy_additions(extra: list) -> None:
    assert not complaints(healthy_with(*extra))


@pytest.mark.parametrize("torch", ["2.9.0.dev20250801+cu128", NGC, "2.15.0+cu130", "2.15.0", "2.15.0a0+gitd0f2af8"])
def test_healthy_builds_of_torch(torch: str) -> None:
    s = changed(recorded.build("linux"), "torch", version=torch)
    extra = dist("accelerate", "1.12.0", "torch>=2.0.0"), dist("torchvision", "0.22.0a0", "torch", "numpy")
    assert not complaints(s)
    s.packages.distributions = known([*s.packages.distributions.need(), *extra], "sys.path")
    assert not complaints(s)


def test_healthy_transformers_from_git() -> None:
    s = changed(recorded.build("linux"), "transformers", version="5.24.0.dev0", editable=True)
    s = needs(s, "5.24.0.dev0", s.packages.transformers_needs.need().table, "tokenizers", "huggingface-hub")
    assert not complaints(s)


def test_hf_xet_may_be_absent() -> None:
    assert not complaints(healthy_with(without=("hf-xet",)))


@pytest.mark.parametrize("rest", [(), ("torch",)])
def test_partly_or_not_installed(rest: tuple[str, ...]) -> None:
    installed = [entry for entry in recorded.build("linux").packages.distributions.need() if entry.name in rest]
    s = only(*(msgspec.structs.replace(entry, requires=[]) for entry in installed))
    assert not complaints(s)


# -- what transformers checks at import -------------------------------------------------------------------------------


def test_hub_that_transformers_refuses() -> None:
    s = changed(recorded.build("linux"), "huggingface-hub", version="3.1.0")
    (found,) = findings(s, SKEW)
    assert (found.outcome, found.severity, found.basis) == ("fail", "error", "derived")
    assert "transformers 5.23.0 asks for huggingface-hub>=1.31.0,<3.0" in found.summary
    assert "3.1.0" in found.summary
    assert found.remedy
    assert found.remedy.steps[0].argv == [
        "/home/ana/project/.venv/bin/python",
        *("-m", "pip", "install", "huggingface-hub>=1.31.0,<3.0"),
    ]
    assert finding(s, CONFLICT).outcome == "pass"


def test_two_at_once_are_cured_together() -> None:
    s = changed(recorded.build("linux"), "huggingface-hub", version="0.30.0")
    s = changed(s, "tokenizers", version="0.25.0")
    first, second = findings(s, SKEW)
    assert first.severity == second.severity == "error"
    assert first.remedy and second.remedy
    assert first.remedy.steps[0].argv == second.remedy.steps[0].argv
    assert {word.partition(">")[0] for word in first.remedy.steps[0].argv[4:]} == {"huggingface-hub", "tokenizers"}


def test_prerelease_that_pip_refuses_and_transformers_takes() -> None:
    s = changed(recorded.build("linux"), "huggingface-hub", version="3.0.0rc1")
    (found,) = findings(s, SKEW)
    assert (found.severity, found.basis) == ("warning", "derived")


def test_prerelease_that_transformers_refuses() -> None:
    s = changed(recorded.build("linux"), "tokenizers", version="0.23.1.dev0")
    assert finding(s, SKEW).severity == "error"


def test_not_of_the_family_but_checked_at_import() -> None:
    s = changed(recorded.build("linux"), "tqdm", version="4.50.0")
    assert finding(s, SKEW).outcome == "pass"
    found = finding(s, CONFLICT)
    assert (found.severity, found.basis) == ("error", "derived")
    assert "tqdm>=4.60" in found.summary


@pytest.mark.parametrize(("name", "version"), [("accelerate", "0.34.2"), ("peft", "0.17.1")])
def test_what_is_only_switched_off_is_a_warning(name: str, version: str) -> None:
    found = finding(healthy_with(dist(name, version, "torch>=1.13.0")), SKEW)
    assert (found.outcome, found.severity, found.basis) == ("fail", "warning", "derived")
    assert found.summary.startswith(f"transformers 5.23.0 does not work with {name} {version}")


def test_table_of_another_version_is_not_used() -> None:
    """The metadata and the files are of two versions: that is broken-install's."""
    s = changed(recorded.build("linux"), "tqdm", version="4.1.0")
    s = changed(s, "transformers", version="5.22.0")
    assert finding(s, CONFLICT).severity == "warning"


def test_without_the_table_the_metadata_warn() -> None:
    s = changed(recorded.build("linux"), "huggingface-hub", version="0.30.0")
    s.packages.transformers_needs = failed("dependency_versions_table.py is missing")
    assert [(f.severity, f.basis) for f in findings(s, SKEW)] == [("warning", "derived")]


# -- the metadata -----------------------------------------------------------------------------------------------------


def test_one_missing_package() -> None:
    s = healthy_with(without=("h11",))
    found = finding(s, CONFLICT)
    assert (found.severity, found.basis) == ("error", "derived")
    assert found.summary == "httpcore2 2.16.2 requires h11, which is not installed"
    assert found.remedy and found.remedy.steps[0].argv[-1] == "h11>=0.16"


def test_many_missing_packages_are_one_finding() -> None:
    s = healthy_with(without=("h11", "sympy", "tqdm", "regex"))
    found = finding(s, CONFLICT)
    assert found.summary.startswith("4 required packages are not installed: regex, tqdm")
    assert found.remedy
    assert found.remedy.steps[0].argv[4:] == ["regex>=2025.10.22", "tqdm>=4.60", "h11>=0.16", "sympy>=1.13.3"]
    assert finding(s, SKEW).outcome == "pass"


def test_missing_partner_is_not_a_skew() -> None:
    s = healthy_with(without=("tokenizers",))
    assert finding(s, SKEW).outcome == "pass"
    assert finding(s, CONFLICT).severity == "error"


def test_missing_in_another_package_managers_environment_is_a_warning() -> None:
    s = healthy_with(without=("sympy",))
    assert finding(s, CONFLICT).severity == "error"
    assert finding(changed(s, "torch", installer="conda"), CONFLICT).severity == "warning"


@pytest.mark.parametrize(
    ("without", "severity"),
    [
        (("jinja2",), "warning"),
        (("networkx",), "warning"),
        (("rich", "typer"), "warning"),
        (("pydantic-core", "pygments", "mdurl"), "warning"),
        (("fsspec",), "warning"),  # torch and huggingface_hub ask for it, and neither imports it
        (("markupsafe",), "error"),  # transformers imports jinja2 wherever it is installed
        (("jinja2", "markupsafe"), "warning"),
        (("jinja2", "h11"), "error"),
        (("filelock",), "error"),  # torch does without it, huggingface_hub does not
    ],
)
def test_what_only_a_part_imports_does_not_stop_the_rest(without: tuple[str, ...], severity: str) -> None:
    found = finding(healthy_with(without=without), CONFLICT)
    assert (found.outcome, found.severity, found.basis) == ("fail", severity, "derived")


def test_the_part_that_needs_it_is_named() -> None:
    found = finding(healthy_with(without=("jinja2",)), CONFLICT)
    assert any("it is imported only for torch.compile" in evidence.text for evidence in found.evidence)
    # nobody tried a torch this old
    old = changed(healthy_with(without=("jinja2",)), "torch", version="1.13.1")
    assert finding(old, CONFLICT).severity == "error"


def test_what_is_passed_over_because_it_was_seen_working_is_told() -> None:
    found = finding(recorded.load("dependency-conflict-seen-working"), CONFLICT)
    assert found.outcome == "pass"
    told = [evidence.text for evidence in found.evidence if "all the same" in evidence.text]
    assert told and told[0].startswith("torch ") and "was seen being imported with" in told[0]


def test_missing_gpu_libraries_may_be_elsewhere() -> None:
    cublas = "nvidia-cublas-cu12==12.6.4.1; platform_system == 'Linux' and platform_machine == 'x86_64'"
    s = changed(recorded.build("linux"), "torch", requires=["filelock", cublas, "triton==3.3.1"])
    # each has a condition of its own, which asks the loader first
    assert finding(s, CONFLICT).outcome == "pass"
    assert finding(s, "cuda-libs-missing").severity == "warning"
    assert finding(s, "triton-missing").severity == "warning"


def test_wrong_version_outside_the_family() -> None:
    s = changed(recorded.build("linux"), "sympy", version="1.12")
    found = finding(s, CONFLICT)
    assert (found.severity, found.basis) == ("warning", "derived")
    assert found.summary == "torch 2.15.0+cpu asks for sympy>=1.13.3, but sympy 1.12 is installed"


def test_package_that_pins_another_torch() -> None:
    s = healthy_with(dist("vllm", "0.9.0", "torch==2.7.0", "transformers>=4.51.1"))
    found = finding(s, CONFLICT)
    assert (found.severity, found.basis) == ("warning", "derived")
    assert found.remedy
    newer, back = (step.argv for step in found.remedy.steps)
    assert newer[4:7] == ["vllm", "torch==2.15.0+cpu", "--upgrade"]  # torch itself is left alone
    assert back[4:] == ["torch==2.7.0", "--index-url", "https://download.pytorch.org/whl/cpu"]


def test_package_that_pins_another_transformers_of_the_family() -> None:
    s = healthy_with(dist("optimum", "1.20.0", "transformers<4.45.0,>=4.29.0"))
    found = finding(s, SKEW)
    assert found.severity == "warning"
    assert finding(s, CONFLICT).outcome == "pass"


def test_one_cause_is_one_finding() -> None:
    """Two of the family refuse one hub: one finding, which names both; what gradio asks of it is not our business."""
    s = healthy_with(
        dist("datasets", "2.14.0", "huggingface-hub<1.0,>=0.14.0"),
        dist("evaluate", "0.4.0", "huggingface-hub<1.0,>=0.7.0"),
        dist("gradio", "4.0", "huggingface-hub<1.0,>=0.19.3"),
    )
    (found,) = findings(s, SKEW)
    text = " ".join(one.text for one in found.evidence)
    assert "datasets 2.14.0" in text and "evaluate 0.4.0" in text and "gradio" not in text
    assert finding(s, CONFLICT).outcome == "pass"
    # no hub satisfies transformers 5 and these: newer ones of them are needed
    assert found.remedy
    assert set(found.remedy.steps[0].argv[4:]) == {"datasets", "evaluate", "huggingface-hub", "--upgrade"}


@pytest.mark.parametrize("torch", ["2.6.0a0+ecf3bae40a.nv25.1", "2.6.0.dev20250101+cu126"])
def test_source_builds_count_as_their_release_for_others(torch: str) -> None:
    s = changed(healthy_with(dist("torch-tensorrt", "2.6.0a0", "torch<2.7.0,>=2.6.0")), "torch", version=torch)
    assert finding(s, CONFLICT).outcome == "pass"


def test_what_a_refused_hub_lacks_is_not_reported_as_well() -> None:
    hub = dist("huggingface-hub", "0.36.2", "requests", "hf-xet<2.0.0,>=1.1.3")
    s = healthy_with(hub)
    assert finding(s, SKEW).severity == "error"
    assert finding(s, CONFLICT).outcome == "pass"


def test_damaged_packages_are_left_to_broken_install() -> None:
    s = healthy_with(without=("regex",))
    s.packages.orphans = known([Orphan("regex", "/x/regex", importable=True)], "x")
    assert finding(s, CONFLICT).outcome == "pass"
    assert finding(s, "broken-install").outcome == "fail"
    s = changed(recorded.build("linux"), "sympy", problem="no-metadata", version="")
    assert finding(s, CONFLICT).outcome == "pass"


def test_unknown_without_packages_or_interpreter() -> None:
    for condition in (SKEW, CONFLICT):
        s = recorded.build("linux")
        s.packages.distributions = failed("permission denied")
        assert finding(s, condition).outcome == "unknown"
        s = recorded.build("linux")
        s.target.interpreter = failed("it does not start")
        assert finding(s, condition).outcome == "unknown"


def test_goal_names_the_roots() -> None:
    s = healthy_with(without=("jinja2",))
    assert finding(s, CONFLICT, Goal(packages=("transformers",))).outcome == "pass"
    assert finding(s, CONFLICT, Goal(packages=("torch",))).outcome == "fail"


def test_uv_and_conda_commands() -> None:
    s = changed(recorded.build("linux"), "tokenizers", version="0.15.0")
    s.target.pip = absent("no pip")
    found = finding(s, SKEW)
    assert found.remedy and found.remedy.steps[0].argv[:5] == [
        *("uv", "pip", "install", "--python", "/home/ana/project/.venv/bin/python")
    ]
    found = finding(changed(s, "tokenizers", installer="conda"), SKEW)
    assert found.remedy
    assert found.remedy.steps[0].argv == [
        *("conda", "install", "--prefix", "/home/ana/project/.venv", "tokenizers>=0.23.1,<0.24.0")
    ]


# -- what was seen ----------------------------------------------------------------------------------------------------

OK = (ImportTrial("torch", ok=True), ImportTrial("transformers", ok=True))


def test_an_import_that_works_silences() -> None:
    for name, version in (("sympy", "1.12"), ("huggingface-hub", "3.1.0"), ("tqdm", "4.0")):
        assert not complaints(tried(changed(recorded.build("linux"), name, version=version), *OK))


def test_what_is_missing_stays_a_warning_after_an_import_that_works() -> None:
    found = finding(tried(healthy_with(without=("jinja2",)), *OK), CONFLICT)
    assert (found.severity, found.basis) == ("warning", "derived")


def test_an_import_that_fails_is_the_evidence() -> None:
    message = (
        "huggingface-hub>=1.31.0,<3.0 is required for a normal functioning of this module, but found "
        "huggingface-hub==3.1.0.\nTry: `pip install transformers -U`"
    )
    s = changed(recorded.build("linux"), "huggingface-hub", version="3.1.0")
    s = tried(s, OK[0], ImportTrial("transformers", ok=False, error="ImportError", message=message))
    found = finding(s, SKEW)
    assert (found.severity, found.basis) == ("error", "observed")
    assert any("normal functioning" in one.text for one in found.evidence)
    assert finding(s, "broken-install").outcome != "fail"


@pytest.mark.parametrize(
    "message",
    [
        "No module named 'h11'",
        "The 'h11>=0.16' distribution was not found and is required by this application.",
    ],
)
def test_a_missing_module_that_was_seen(message: str) -> None:
    s = healthy_with(without=("h11",))
    s = tried(s, OK[0], ImportTrial("transformers", ok=False, error="ModuleNotFoundError", message=message))
    found = finding(s, CONFLICT)
    assert (found.severity, found.basis) == ("error", "observed")
    assert finding(s, "missing-optional-dependency").outcome == "pass"
    assert finding(s, "broken-install").outcome != "fail"


def test_a_name_that_the_partner_does_not_have() -> None:
    message = "cannot import name 'split_torch_state_dict_into_shards' from 'huggingface_hub' (/x/__init__.py)"
    trial = ImportTrial("transformers", ok=False, error="ImportError", message=message)
    found = finding(tried(recorded.build("linux"), OK[0], trial), SKEW)
    assert (found.severity, found.basis) == ("error", "observed")
    assert "split_torch_state_dict_into_shards" in found.summary


def test_a_circular_import_is_no_skew() -> None:
    message = "cannot import name 'AutoModel' from 'transformers' (/x/__init__.py)"
    trial = ImportTrial("transformers", ok=False, error="ImportError", message=message)
    assert finding(tried(recorded.build("linux"), OK[0], trial), SKEW).outcome == "pass"


def test_an_unreadable_trial_makes_no_error() -> None:
    s = changed(recorded.build("linux"), "huggingface-hub", version="3.1.0")
    s.packages.imports = failed("crashed")
    assert finding(s, SKEW).severity == "warning"


def test_needs_struct_is_what_the_probe_writes() -> None:
    assert isinstance(recorded.build("linux").packages.transformers_needs.need(), TransformersNeeds)
