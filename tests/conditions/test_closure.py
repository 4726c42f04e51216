"""What the installed distributions ask of each other, held against packaging and against pip."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from hfdoctor.conditions.closure import closure_of
from hfdoctor.conditions.install_steps import can_all_hold, joined
from hfdoctor.conditions.requirement_lines import applies, fits, marker_environment, normalised, parse
from hfdoctor.facts.fact import failed, known
from hfdoctor.facts.sections.packages import Distribution, Orphan
from hfdoctor.facts.sections.target import Interpreter
from tests import recorded
from tests.conditions.installed import dist, only

OWN = dict(default_environment())


def described() -> Interpreter:
    """The interpreter that runs the tests, as the target probe describes one."""
    return Interpreter(
        version=sys.version.split()[0],
        version_info=list(sys.version_info[:3]),
        release_level=sys.version_info.releaselevel,
        implementation=sys.implementation.name,
        bits=64,
        executable=sys.executable,
        prefix=sys.prefix,
        base_prefix=sys.base_prefix,
        platform={"linux": "linux-", "darwin": "macosx-14.0-", "win32": "win-"}[sys.platform]
        + OWN["platform_machine"].lower(),
        machine=OWN["platform_machine"],
    )


def roots(snapshot: object, *names: str) -> dict[str, set[str]]:
    closure = closure_of(snapshot, names)  # type: ignore[arg-type]
    return {f"{ask.by}: {ask.text}": {ask.installed or "not installed"} for ask in closure.broken}


# -- lines ------------------------------------------------------------------------------------------------------------

LINES = [
    "filelock",
    "huggingface-hub<2.0,>=1.3.0",
    "huggingface_hub >= 0.20 , < 1",
    'torch>=2.6; extra == "torch"',
    "torch (==2.7.1)",
    "gdown (>=4.7.3) ; extra == 'gdown'",
    'safetensors[torch]; extra == "torch"',
    "mistral-common[opencv,image]>=1.6",
    "PyYAML>=5.1",
    "zope.interface>=4",
    "nvidia-cublas-cu12==12.6.4.1; platform_system == 'Linux' and platform_machine == 'x86_64'",
    'importlib_metadata; python_version < "3.8"',
    'typing-extensions>=4.5.0; python_version < "3.13"',
    'duckdb; python_version < "3.15" and extra == "testing"',
    "backports-zstd; (python_version < '3.14') and extra == 'test-full'",
    "pkg @ https://example.org/pkg-1.0.tar.gz",
    "pkg @ git+https://example.org/pkg@v1 ; python_version >= '3.8'",
    "six~=1.15",
    "numpy!=1.24.0,>=1.17",
    "keras<2.16",
    "torch==2.9.0.dev20250801",
]


@pytest.mark.parametrize("text", LINES)
def test_lines_are_read_as_packaging_reads_them(text: str) -> None:
    line = parse(text)
    assert line is not None
    reference = Requirement(text)
    assert line.name == canonicalize_name(reference.name)
    assert set(line.extras) == {canonicalize_name(extra) for extra in reference.extras}
    for version in ("0.19", "1.0", "1.5.0", "2.6.0a0+79aa.nv25", "2.7.1+cpu", "12.6.4.1", "2.9.0.dev20250801+cu128"):
        assert fits(version, line.specifier) == reference.specifier.contains(version, prereleases=True)
    for extra in ("", "torch", "gdown", "testing", "test-full", "other"):
        holds = reference.marker is None or reference.marker.evaluate({**OWN, "extra": extra})
        assert (applies(line, tuple(sorted(OWN.items())), (extra,) if extra else ()) is not None) == holds, extra


@pytest.mark.parametrize("text", ["", ";", "-r requirements.txt", "name name", ">=1.0", "[extra]", "a b>=1"])
def test_what_is_no_requirement_is_left_out(text: str) -> None:
    assert parse(text) is None
    with pytest.raises(InvalidRequirement):
        Requirement(text)


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_reading_never_raises(text: str) -> None:
    line = parse(text)
    if line:
        fits("1.0", line.specifier)
        fits(text, line.specifier)
        applies(line, tuple(sorted(OWN.items())), ("x",))


def test_unreadable_versions_and_specifiers_are_not_judged() -> None:
    assert fits("not-a-version", ">=1.0") is None
    assert fits("1.0", ">=1.0.*") is None
    assert fits("not-a-version", "") is True


def test_environment_is_packagings_own() -> None:
    made = dict(marker_environment(described(), OWN["platform_release"]))
    assert set(made) == set(OWN)
    for name in set(OWN) - {"platform_version"}:
        assert made[name] == OWN[name], name


def test_environment_of_another_machine() -> None:
    windows = recorded.build("windows").target.interpreter.need()
    made = dict(marker_environment(windows))
    assert (made["sys_platform"], made["os_name"], made["platform_system"]) == ("win32", "nt", "Windows")
    assert made["platform_machine"] == "AMD64"
    linux = dict(marker_environment(recorded.build("linux").target.interpreter.need()))
    assert (linux["sys_platform"], linux["platform_machine"], linux["python_version"]) == ("linux", "x86_64", "3.12")


# -- closures ---------------------------------------------------------------------------------------------------------


def test_healthy_machines_have_nothing_broken() -> None:
    for base in ("linux", "windows"):
        closure = closure_of(recorded.build(base), ("transformers", "torch"))
        assert closure.broken == ()
        assert len(closure.members) > 25
        assert len(closure.asks) > 40


def test_missing_and_wrong() -> None:
    s = only(
        dist("transformers", "4.57.6", "tokenizers<=0.23.0,>=0.22.0", "regex!=2019.12.17", "filelock"),
        dist("tokenizers", "0.15.0"),
        dist("filelock", "3.20"),
    )
    assert roots(s, "transformers", "torch") == {
        "transformers: tokenizers<=0.23.0,>=0.22.0": {"0.15.0"},
        "transformers: regex!=2019.12.17": {"not installed"},
    }


def test_markers_follow_the_target_and_not_this_machine() -> None:
    lines = ("colorama; sys_platform == 'win32'", "uvloop; sys_platform != 'win32'", "tomli; python_version < '3.11'")
    s = only(dist("torch", "2.15.0", *lines))
    assert set(roots(s, "torch")) == {"torch: uvloop"}
    s = only(dist("torch", "2.15.0", *lines), base="windows")
    assert set(roots(s, "torch")) == {"torch: colorama"}
    assert s.target.interpreter.value
    s.target.interpreter.value.version_info = [3, 9, 1]
    s.target.interpreter.value.version = "3.9.1"
    assert set(roots(s, "torch")) == {"torch: colorama", "torch: tomli"}


def test_only_extras_that_are_asked_for() -> None:
    s = only(
        dist("transformers", "5.0.0", "hub[fast]>=1", 'accelerate>=1; extra == "torch"'),
        dist("hub", "1.0", 'speedups; extra == "fast"', 'cli-tools; extra == "cli"', "hub[all]; extra == 'everything'"),
    )
    assert set(roots(s, "transformers")) == {"hub: speedups"}


def test_extras_of_extras_and_circles() -> None:
    s = only(
        dist("torch", "2.15.0", "a[x]"),
        dist("a", "1", "b[y]; extra == 'x'", "torch"),
        dist("b", "1", "a", "missing-one; extra == 'y'", "missing-two; extra == 'z'"),
    )
    assert set(roots(s, "torch")) == {"b: missing-one"}


def test_an_extra_asked_for_later_is_followed_too() -> None:
    s = only(
        dist("torch", "2.15.0", "a", "b"),
        dist("a", "1", "gone; extra == 'late'"),
        dist("b", "1", "a[late]"),
    )
    assert set(roots(s, "torch")) == {"a: gone"}


@pytest.mark.parametrize(
    "version",
    ["2.4.0", "2.7.0a0+79aa17489c.nv25.4", "2.9.0.dev20250801+cu128", "2.5.1+cpu", "2.6.0+rocm6.2.4", "3.0.0rc1"],
)
def test_builds_of_torch_count_as_what_they_are(version: str) -> None:
    s = only(dist("torch", version), dist("accelerate", "1.11", "torch>=2.0.0"), dist("peft", "0.18", "torch>=1.13.0"))
    assert not roots(s, "torch")


def test_what_others_ask_of_the_roots_matters_and_nothing_else_of_theirs() -> None:
    s = only(
        dist("torch", "2.15.0"),
        dist("vllm", "0.9.0", "torch==2.7.0", "fastapi>=0.100", "numpy<2"),
        dist("numpy", "2.4"),
        dist("notebook", "7.0", "jupyterlab<5"),
    )
    assert set(roots(s, "transformers", "torch")) == {"vllm: torch==2.7.0"}


def test_two_versions_at_once_are_not_called_a_conflict() -> None:
    s = only(
        dist("torch", "2.15.0", "sympy>=1.13.3"),
        dist("sympy", "1.12"),
        Distribution("sympy", "1.14.0", "/elsewhere/sympy-1.14.0.dist-info"),
    )
    assert not roots(s, "torch")


def test_what_is_damaged_is_not_called_missing() -> None:
    torch = dist("torch", "2.15.0", "sympy>=1.13.3", "jinja2")
    s = only(torch, dist("sympy", "", problem="no-metadata"))
    assert set(roots(s, "torch")) == {"torch: jinja2"}
    s = only(torch)
    s.packages.orphans = known([Orphan("sympy", "/x/sympy", importable=True)], "x")
    assert set(roots(s, "torch")) == {"torch: jinja2"}
    assert closure_of(s, ("torch",)).certain
    s.packages.orphans = failed("not readable")
    assert not closure_of(s, ("torch",)).certain


# -- against pip ------------------------------------------------------------------------------------------------------

_MISSING = re.compile(r"^(\S+) \S+ requires (\S+), which is not installed\.$")
_WRONG = re.compile(r"^(\S+) \S+ has requirement (.+), but you have (\S+) (\S+)\.$")


def what_pip_says(python: str) -> set[tuple[str, str]]:
    """(asking, asked) of every complaint of ``pip check``."""
    done = subprocess.run(
        [python, "-m", "pip", "check", "--disable-pip-version-check"], capture_output=True, text=True, timeout=120
    )
    said = set()
    for line in done.stdout.splitlines():
        match = _MISSING.match(line) or _WRONG.match(line)
        if match:
            said.add((normalised(match[1]), normalised(re.split(r"[\[<>=!~( ;]", match[2])[0])))
    assert said or done.returncode == 0, (done.stdout, done.stderr)
    return said


def pythons() -> list[str]:
    found = [sys.executable]
    found += [str(p / "bin" / "python") for p in sorted((Path.home() / ".pyenv" / "versions").glob("3.*"))]
    return [python for python in found if Path(python).exists()]


@pytest.mark.allow_subprocess
@pytest.mark.parametrize("python", pythons())
def test_whole_environments_against_pip_check(python: str) -> None:
    from hfdoctor.facts.collect import collect

    s = collect(python, timeout_s=60)
    if s.packages.distributions.known and "pip" in s.packages.installed() and s.target.interpreter.known:
        names = sorted(s.packages.installed())
        ours = {(ask.by, ask.name) for ask in closure_of(s, names).broken if not ask.extra}
        assert ours == what_pip_says(python)
    else:
        pytest.skip("this interpreter is too old to be inspected, or has no pip")


# -- joining specifiers -----------------------------------------------------------------------------------------------

SPECIFIERS = st.lists(
    st.builds(
        lambda op, a, b: f"{op}{a}.{b}",
        st.sampled_from([">=", "<", "==", "!=", "<=", ">"]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=4,
)
VERSIONS = [f"{a}.{b}" for a in range(5) for b in range(5)] + ["0.0.1", "1.1.1", "2.9.9"]


@given(SPECIFIERS)
@settings(max_examples=300, deadline=None)
def test_joining_keeps_the_meaning(specifiers: list[str]) -> None:
    one = joined(specifiers)
    for version in VERSIONS:
        assert fits(version, one) == all(fits(version, specifier) for specifier in specifiers), (one, version)


@given(SPECIFIERS)
@settings(max_examples=300, deadline=None)
def test_never_impossible_while_some_version_fits(specifiers: list[str]) -> None:
    if any(all(fits(version, specifier) for specifier in specifiers) for version in VERSIONS):
        assert can_all_hold(specifiers)


def test_impossible_together() -> None:
    assert not can_all_hold([">=0.34.0,<1.0", ">=1.0"])
    assert not can_all_hold(["==2.7.1", "==2.7.0"])
    assert can_all_hold([])
    assert joined([">=0.34.0,<1.0", ">=0.16.4, <1.0"]) == ">=0.34.0,<1.0"
