"""What is answered without packaging is what packaging answers."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName, default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from hfdoctor.knowledge import versions
from hfdoctor.knowledge.versions import admits, base_release, is_older, marker_holds, order, reaches
from tests import recorded

NUMBERS = st.lists(st.sampled_from(["0", "1", "2", "3", "10", "00", "09", "2026"]), min_size=1, max_size=4)
RELEASES = NUMBERS.map(".".join)
ENDINGS = st.sampled_from(
    ["", "", "", "", "+cpu", "+cu130", "+1", "a0", "rc1", ".dev3", ".post1", "-1", "+CPU", ".*", " ", "x"]
)
VERSIONS = st.builds("{}{}{}".format, st.sampled_from(["", "", "", "", "v", "1!", " "]), RELEASES, ENDINGS)
OPERATORS = st.sampled_from(["==", "!=", ">=", "<=", ">", "<", "~=", "===", "=", ""])
CLAUSES = st.builds("{}{}{}{}".format, st.sampled_from(["", " "]), OPERATORS, st.sampled_from(["", " "]), VERSIONS)
SPECIFIERS = st.lists(CLAUSES, max_size=3).map(",".join)
NAMES = st.sampled_from(
    [
        "python_version",
        "python_full_version",
        "sys_platform",
        "platform_machine",
        "extra",
        "os_name",
        "nothing",
        "os.name",
    ]
)
WORDS = st.sampled_from(
    [
        "linux",
        "win32",
        "x86_64",
        "3.11",
        "3.9",
        "3.*",
        "3",
        "v1",
        "1",
        "",
        "test",
        "a_b",
        "Test",
        "a b",
        "3.11.7",
        "4.dev0",
    ]
)
QUOTES = st.sampled_from(['"', "'"])
ATOMS = st.builds(
    lambda name, operator, quote, word, turned: (
        f"{quote}{word}{quote} {operator} {name}" if turned else f"{name} {operator} {quote}{word}{quote}"
    ),
    NAMES,
    st.sampled_from(["==", "!=", ">=", "<", ">", "~=", "in", "not in"]),
    QUOTES,
    WORDS,
    st.sampled_from([False, False, False, True]),
)
MARKERS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        inner.map("({})".format),
        st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or", "and(", ")or", ""]), inner),
    ),
    max_leaves=6,
)
ENVIRONMENT = tuple(
    sorted(
        {
            **{name: str(value) for name, value in default_environment().items()},
            "python_version": "3.11",
            "python_full_version": "3.11.7",
            "sys_platform": "linux",
            "platform_machine": "x86_64",
        }.items()
    )
)


def packagings_answer(specifier: str, version: str) -> bool | None:
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return None


def packagings_word(marker: str, extra: str) -> bool:
    try:
        return Marker(marker).evaluate({**dict(ENVIRONMENT), "extra": extra})
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, ValueError):
        return False


@settings(max_examples=300, deadline=None)
@given(VERSIONS, VERSIONS)
@example("1.0", "1")
@example("2.13.0+cpu", "2.13.0")
@example("2.13.0+cpu", "2.13.0+cu130")
@example("2.6.0a0", "2.6.0")
@example("nonsense", "1.0")
def test_versions_are_ordered_as_packaging_orders_them(left: str, right: str) -> None:
    try:
        one, other = Version(left), Version(right)
    except InvalidVersion:
        assert order(left, right) is None and not is_older(left, right) and not reaches(left, right)
        return
    assert order(left, right) == (one > other) - (one < other)
    assert is_older(left, right) == (one < other)
    assert reaches(left, right) == (one >= other)
    assert Version(base_release(left)) == Version(one.base_version)


@settings(max_examples=600, deadline=None)
@given(SPECIFIERS, VERSIONS)
@example("==2.0.*", "2")
@example("==2.13.0", "2.13.0+cpu")
@example(">2.13.0", "2.13.0+cpu")
@example(">2.13.0a1", "2.13.0+cpu")
@example("<=2.13.0", "2.13.0+cpu")
@example("<5.0.dev0", "4.99")
@example("<5.0.dev0", "5.0")
@example("~=2.2", "2.13")
@example("~=2", "2.13")
@example(">=2,,<3,", "2.5")
@example("", "2.5")
def test_a_specifier_admits_what_packaging_admits(specifier: str, version: str) -> None:
    assert admits(specifier, version) == packagings_answer(specifier, version)


@settings(max_examples=800, deadline=None)
@given(MARKERS, st.sampled_from(["", "test", "a-b"]))
@example('(sys_platform == "linux") and extra == "test"', "test")
@example('(sys_platform == "linux"', "")
@example('sys_platform == "linux") and (os_name == "posix"', "")
@example('sys_platform == "linux" or os_name == "nt" and extra == "test"', "")
@example('(sys_platform == "linux" or os_name == "nt") and extra == "test"', "")
@example('((sys_platform == "linux" and (os_name == "nt" or extra == "test")))', "test")
def test_a_marker_holds_where_packaging_says_so(marker: str, extra: str) -> None:
    assert marker_holds(marker, ENVIRONMENT, extra) == packagings_word(marker, extra)


def test_the_metadata_of_every_distribution_at_hand_is_read_as_packaging_reads_it() -> None:
    held = 0
    for dist in importlib.metadata.distributions():
        for line in dist.requires or ():
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                continue
            specifier = str(requirement.specifier)
            for version in ("0.1", "2", "4.66.0", "2.13.0+cpu", "5.0.dev0", "2026.1"):
                assert admits(specifier, version) == packagings_answer(specifier, version), (specifier, version)
            if requirement.marker:
                marker = line.partition(";")[2].strip()
                for extra in ("", "test"):
                    assert marker_holds(marker, ENVIRONMENT, extra) == packagings_word(marker, extra), marker
            held += 1
    assert held > 100


@pytest.mark.parametrize(
    ("specifier", "version", "answer"),
    [
        (">=1.26,<3", "2.4.6", True),
        ("<1.4,>=1.1.0", "1.4", False),
        ("==2.13.*", "2.13.0+cpu", True),
        ("!=2.0", "2", False),
    ],
)
def test_what_is_plain_is_answered_plainly(specifier: str, version: str, answer: bool) -> None:
    assert versions._plainly_admits(specifier, version) is answer


def test_a_number_that_python_refuses_to_read_is_no_version() -> None:
    long = "1." + "9" * 5000
    assert order(long, "1.0") is None and not is_older(long, "1.0") and not base_release(long)
    assert admits(">=1.0", long) is None and admits(f">={long}", "1.0") is None
    assert not marker_holds(f"python_version >= '{long}'", ENVIRONMENT)
    huge = "9" * 30  # which it does read
    assert order(huge, "1.0") == 1 and admits(f"<{huge}", "1.0") is True


@pytest.mark.allow_subprocess
def test_what_is_plain_never_loads_packaging() -> None:
    code = (
        "import sys\n"
        "from hfdoctor.knowledge.versions import admits, marker_holds, order\n"
        "assert admits('>=1.26,<3', '2.4.6') and order('2.13.0+cpu', '2.6') == 1\n"
        "environment = (('python_version', '3.11'), ('sys_platform', 'linux'), ('platform_machine', 'x86_64'))\n"
        "assert marker_holds(\"python_version < '3.12' and (sys_platform == 'linux')\", environment)\n"
        "assert not any(name.startswith('packaging') for name in sys.modules)\n"
        "assert admits('>=1.0rc1', '1.0rc2') and 'packaging.specifiers' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.allow_subprocess
def test_a_healthy_environment_is_judged_without_packaging(tmp_path: Path) -> None:
    """58 distributions with 789 requirements: a condition that compares versions by itself would show here."""
    (tmp_path / "facts.json").write_bytes(msgspec.json.encode(recorded.load("healthy-smoke-on-cuda")))
    argv = [sys.executable, "-X", "importtime", "-m", "hfdoctor", "check", "--snapshot", str(tmp_path / "facts.json")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "No findings." in done.stdout and "hfdoctor.knowledge.versions" in done.stderr
    assert not [line for line in done.stderr.splitlines() if line.rpartition("|")[2].strip().startswith("packaging")]
