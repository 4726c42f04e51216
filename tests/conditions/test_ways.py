"""The alternatives of a remedy, and over the whole catalogue: what hfdoctor can do by itself is said truthfully."""

from __future__ import annotations

import functools
import re

import msgspec
import pytest

from hfdoctor.conditions.catalogue import CATALOGUE, page
from hfdoctor.conditions.changes import PackageChange, PutAway
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding, Goal, Remedy, RemedyStep
from hfdoctor.conditions.ways import automatic, change_of, fixable, ways
from tests import recorded

PY = "/home/ana/project/.venv/bin/python"


def step(text: str, *argv: str, administrator: bool = False) -> RemedyStep:
    return RemedyStep(text, list(argv), administrator, False)


INSTALL = step("install it", PY, "-m", "pip", "install", "a")


def test_an_alternative_begins_with_or() -> None:
    steps = [step("or begin"), INSTALL, step("open a new terminal"), step("or, if not, this"), step("or that")]
    assert [len(way) for way in ways(steps)] == [3, 1, 1]
    assert ways([]) == [[]]


def test_order_is_no_alternative() -> None:
    assert len(ways([step("ordinary"), step("origin")])) == 1


def test_what_hfdoctor_can_do() -> None:
    assert change_of(INSTALL) == PackageChange(PY, ("a",))
    assert automatic([INSTALL, step("open a new terminal")])
    assert not automatic([step("by hand")])
    assert not automatic([INSTALL, step("", "sudo", "reboot")])  # one command of the person's leaves all to them
    assert not automatic([step("", PY, "-m", "pip", "install", "a", administrator=True)])


def test_a_change_of_its_own_stands_before_the_command() -> None:
    named = msgspec.structs.replace(INSTALL, change=PutAway("/x"), administrator=True)
    assert change_of(named) == PutAway("/x")


def test_print_only_is_not_fixable() -> None:
    assert fixable(Remedy("confirm", [step("by hand"), step("or this"), INSTALL])) is True
    assert not fixable(Remedy("print-only", [INSTALL]))
    assert not fixable(Remedy("confirm", [step("by hand")]))
    assert not fixable(None)


# -- the catalogue ----------------------------------------------------------------------------------------------------


@functools.cache
def found() -> list[tuple[str, Finding]]:
    """Every failed finding of every recorded machine."""
    answers = []
    for name in recorded.names():
        goal = Goal(**recorded.expected(name).get("goal", {}))
        answers += [(name, finding) for finding in diagnose(recorded.load(name), goal).failed()]
    return answers


def test_confirm_means_that_something_is_automatic() -> None:
    wrong = []
    for name, finding in found():
        remedy = finding.remedy
        if remedy is not None and (remedy.fix_class != "print-only") != any(map(automatic, ways(remedy.steps))):
            wrong.append((name, finding.condition))
    # what these would make by a command is no cure of what they found: the person has to go on there
    assert {condition for _, condition in wrong} <= {
        "python-environment-moved",
        "python-does-not-start",
        "python-too-old",
        "openmp-duplicate",
    }


def test_nothing_automatic_stands_in_what_is_only_shown() -> None:
    wrong = [
        (name, finding.condition)
        for name, finding in found()
        if finding.remedy is not None
        and finding.remedy.fix_class == "print-only"
        and any(step.change is not msgspec.UNSET for step in finding.remedy.steps)
    ]
    assert wrong == []


def test_every_command_of_an_automatic_way_is_understood() -> None:
    for name, finding in found():
        remedy = finding.remedy
        for way in ways(remedy.steps) if remedy and remedy.fix_class != "print-only" else []:
            changes = [change_of(step) for step in way if step.argv or step.change is not msgspec.UNSET]
            if any(changes):
                assert automatic(way) == all(changes), (name, finding.condition, [step.argv for step in way])


def test_every_way_says_what_it_is() -> None:
    for name, finding in found():
        for way in ways(finding.remedy.steps) if finding.remedy else []:
            assert way[0].text, (name, finding.condition)


def test_what_only_the_command_by_hand_lacks_is_no_part_of_what_hfdoctor_does() -> None:
    (finding,) = [one for name, one in found() if name == "externally-managed-ubuntu"]
    assert finding.remedy is not None
    *automatic_ones, by_hand = ways(finding.remedy.steps)
    assert all(map(automatic, automatic_ones))
    assert not any("apt" in step.text for way in automatic_ones for step in way)
    assert not automatic(by_hand) and "sudo apt install python3-venv" in by_hand[0].text


#: these have no automatic way on any recorded machine; each of them is here on purpose
GUIDED = {
    # the machine's owner, or NVIDIA, has to act first; the steps say how
    "driver-missing": "a driver comes with the system's own installer and a restart",
    "driver-mismatch": "a restart (or a container made anew) is the whole cure",
    "wsl-gpu": "the driver is that of Windows",
    "glibc-too-old": "a system's C library is not replaced",
    "illegal-instruction": "the processor stays as it is",
    "cuda-unknown-error": "a restart of the driver",
    "out-of-memory": "there is not enough memory",
    "gpu-out-of-memory": "programs of the person's hold the memory",
    "mps-unsupported-op": "the operation is not there",
    "shared-memory": "the container is started anew with more of it",
    "too-many-open-files": "an administrator sets the limit",
    "windows-pagefile": "an administrator's dialog and a restart",
    "vc-redist-missing": "Microsoft's installer, which asks for an administrator",
    # another Python
    "python-32bit": "a 64-bit Python comes from its maker's installer",
    "python-too-old": "another Python: a new environment, in which the person goes on",
    "python-too-new": "another Python",
    "platform-no-wheel": "another system, or a build from source",
    "python-does-not-start": "no environment can be mended from outside whose interpreter does not run",
    "python-environment-moved": "the old one stays until the person has moved what it held",
    # the person's own files
    "openmp-duplicate": "conda's packages are changed with conda",
    "module-shadowed": "a file of the person's own must get another name",
    "cache-permission": "the files are another user's to give back",
    "cache-shared-versions": "which of the two libraries keeps the cache is the person's choice",
    # somebody else's computer
    "hub-repo-not-found": "only the person knows which model was meant",
    "download-corrupt": "something on the way changes what is fetched",
    # nobody knows the cause
    "smoke-failed": "what failed is in no condition",
    "wrong-results": "a library or a device computes wrongly",
}
#: of these ``hfdoctor fix ID`` shows the steps, waits for the person and looks again: their pages say so
LED_THROUGH = {"windows-pagefile", "vc-redist-missing", "openmp-duplicate"}


def test_the_table_of_what_is_only_guided() -> None:
    fixed = {finding.condition for _, finding in found() if fixable(finding.remedy)}
    assert {finding.condition for _, finding in found()} - fixed == set(GUIDED)
    assert {condition.id for condition in CATALOGUE} == fixed | set(GUIDED)


@pytest.mark.parametrize("condition", [condition.id for condition in CATALOGUE])
def test_the_page_tells_what_fix_does_and_how_it_is_undone(condition: str) -> None:
    _, how, safe = re.split(r"^## (?:How to fix it|How safe the fix is)$", page(condition), flags=re.MULTILINE)
    safe = safe.partition("\n## ")[0]
    named = re.search(rf"`hfdoctor fix {condition}[` ]", " ".join(how.split())) is not None
    assert named == (condition not in GUIDED or condition in LED_THROUGH)
    assert ("`hfdoctor undo" in " ".join((how + safe).split())) == (condition not in GUIDED)
