"""``hfdoctor fix`` and ``undo`` with an elevation in between, from the finding to the registry as it was.

Under Wine everybody may write everything: hfdoctor is told that it may not, and its elevated child does it for real.
Standard output goes through two code pages that lack most of the world's letters.
"""

from __future__ import annotations

import pytest

from .exports import differing
from .machine import Step, WindowsMachine

pytestmark = [pytest.mark.wine, pytest.mark.slow, pytest.mark.allow_subprocess]

PERSON = r"HKCU\Environment"
MACHINE = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"

#: hfdoctor as somebody who is no administrator; {answer} is Windows' answer where that is not yes
UNPRIVILEGED = """
import sys
from hfdoctor.remedies import elevation, raw_registry
raw_registry.may_write = lambda key: key.startswith("HKCU")
elevation.may_administer = lambda: False
start = elevation.start_as_administrator
def asked(argv, timeout_s):
    print("Windows asked", file=sys.stderr)
    if {no}:
        raise OSError(22, "no", None, 1223)
    return start(argv, timeout_s)
elevation.start_as_administrator = asked
from hfdoctor.__main__ import main
main()
"""
EXPORT: Step = {"argv": ["-m", "tests.windows.exports"]}
VARIABLES: Step = {"argv": ["-m", "tests.windows.exports", PERSON, MACHINE]}


def doctor(*words: str, no: bool = False, code_page: str = "utf-8", **environ: str | None) -> Step:
    told: dict[str, str | None] = {"PYTHONIOENCODING": code_page, "HF_HOME": r"C:\users\Public\모델 ü", **environ}
    return {"argv": ["-c", UNPRIVILEGED.replace("{no}", str(no)), *words], "environ": told}


def test_from_the_finding_to_the_undo(machine: WindowsMachine) -> None:
    folder = machine.drive_c / "users" / "Public" / "모델 ü" / "hub"
    folder.mkdir(parents=True)
    values = [[PERSON, "HF_HUB_OFFLINE", "REG_EXPAND_SZ", "1"], [MACHINE, "Hf_Hub_Offline", "REG_SZ", "1"]]
    offline = {"HF_HUB_OFFLINE": "1"}
    fix = ("fix", "hub-unreachable")
    (before,) = machine.run({"set": values, **EXPORT})
    planned, without = machine.run(
        doctor(*fix, "--dry-run", code_page="cp1252", **offline),
        doctor(*fix, "--yes", "--no-admin", code_page="cp949", **offline),
    )
    declined, unchanged = machine.run(doctor(*fix, "--yes", no=True, code_page="cp949", **offline), VARIABLES)
    text = " ".join(planned.stdout.decode("cp1252").split())
    assert "environment variable HF_HUB_OFFLINE: 1 -> not set" in text
    assert "environment variable of the computer Hf_Hub_Offline: 1 -> not set" in text
    assert planned.code == 1
    assert b"Windows asked" not in planned.stderr + without.stderr
    assert "--no-admin was given" in " ".join(without.stdout.decode("cp949").split())
    assert without.code == 1
    assert declined.stderr.count(b"Windows asked") == 1
    assert "the answer was no" in " ".join((declined.stdout + declined.stderr).decode("cp949").split())
    assert declined.code == 1
    assert all(before.report[name] == value for name, value in unchanged.report.items())
    assert sum(name.upper().endswith("HF_HUB_OFFLINE") for name in unchanged.report) == 2

    fixed, then = machine.run(doctor(*fix, "--yes", code_page="cp949", **offline), EXPORT)
    machine.new_terminal()
    (again,) = machine.run(doctor(*fix, "--yes", code_page="cp949", HF_HUB_OFFLINE=None))
    assert fixed.code == 0, fixed.stdout.decode("cp949")
    assert fixed.stderr.count(b"Windows asked") == 1
    gone = {f"{PERSON} HF_HUB_OFFLINE": "gone", f"{MACHINE} Hf_Hub_Offline": "gone"}
    assert {name.upper(): value for name, value in differing(before.report, then.report).items()} == {
        name.upper(): value for name, value in gone.items()
    }
    assert again.code == 0
    assert b"Windows asked" not in again.stderr

    refused, still = machine.run(doctor("undo", "--yes", no=True, code_page="cp1252"), VARIABLES)
    undone, after = machine.run(doctor("undo", "--yes", code_page="cp1252"), EXPORT)
    assert refused.code == 3
    assert "the answer was no" in " ".join((refused.stdout + refused.stderr).decode("cp1252").split())
    assert all(then.report[name] == value for name, value in still.report.items())
    assert not any(name.upper().endswith("HF_HUB_OFFLINE") for name in still.report)
    assert undone.code == 0, undone.stderr.decode("cp1252")
    assert undone.stderr.count(b"Windows asked") == 1
    assert differing(before.report, after.report) == {}
