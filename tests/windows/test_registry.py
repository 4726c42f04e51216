"""hfdoctor on a Windows Python, with real registry values changed underneath it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .machine import Step, WindowsMachine, hfdoctor, windows_path

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]

LOOK_AGAIN = windows_path(Path(__file__).with_name("look_again.py"))
FILE_SYSTEM = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
MEMORY = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management"
DEVELOPER = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\AppModelUnlock"
RUNTIMES = r"HKLM\SOFTWARE\Microsoft\VisualStudio\14.0\VC\Runtimes"
RUNTIMES_32 = r"HKLM\SOFTWARE\Wow6432Node\Microsoft\VisualStudio\14.0\VC\Runtimes"
ONEDRIVE = r"HKCU\Software\Microsoft\OneDrive\Accounts"
GUARD = r"Windows Defender\Windows Defender Exploit Guard\Controlled Folder Access"
DEFENDER = rf"HKLM\SOFTWARE\Microsoft\{GUARD}"
DEFENDER_POLICY = rf"HKLM\SOFTWARE\Policies\Microsoft\{GUARD}"
SHELL = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Explorer\User Shell Folders"


def snapshots(machine: WindowsMachine, *steps: Step) -> list[dict[str, Any]]:
    """The section ``windows`` as it is observed after each step."""
    (result,) = machine.run({"argv": [LOOK_AGAIN, json.dumps(steps)]})
    assert result.code == 0, result.stderr.decode("utf-8", "replace")
    return list(json.loads(result.stdout))


def test_the_long_path_setting_in_every_shape(machine: WindowsMachine) -> None:
    shapes: list[tuple[str, Any, Any]] = [
        ("REG_DWORD", 0, 0),
        ("REG_DWORD", 1, 1),
        ("REG_SZ", "1", "1"),
        ("REG_MULTI_SZ", ["1", "긴 경로"], ["1", "긴 경로"]),
        ("REG_BINARY", "01000000", "01000000"),
    ]
    steps: list[Step] = [{"delete": [[FILE_SYSTEM, "LongPathsEnabled"]]}]
    steps += [{"set": [[FILE_SYSTEM, "LongPathsEnabled", kind, value]]} for kind, value, _ in shapes]
    absent, *found = snapshots(machine, *steps)
    assert absent["long_paths_registry"]["status"] == "absent"
    for windows, (kind, _, value) in zip(found, shapes, strict=True):
        fact = windows["long_paths_registry"]
        assert fact["status"] == "known"
        assert (fact["value"]["type"], fact["value"]["value"]) == (kind, value)
        assert fact["source"] == rf"{FILE_SYSTEM}, LongPathsEnabled"
    # Wine enforces no limit: the proof says so whatever the registry holds, and Wine 8 lacks the function
    for windows in (absent, *found):
        assert windows["long_paths_proof"]["value"] == {"ok": True, "length": 270}
        process = windows["long_paths_process"]
        assert process["status"] in ("known", "failed")
        assert process["status"] == "known" or "RtlAreLongPathsEnabled" in process["reason"]


def test_switches_and_their_wrong_types(machine: WindowsMachine) -> None:
    right, wrong, gone = snapshots(
        machine,
        {
            "set": [
                [DEVELOPER, "AllowDevelopmentWithoutDevLicense", "REG_DWORD", 1],
                [MEMORY, "PagingFiles", "REG_MULTI_SZ", ["?:\\pagefile.sys"]],
                [DEFENDER, "EnableControlledFolderAccess", "REG_DWORD", 1],
                [rf"{DEFENDER}\ProtectedFolders", r"D:\작업", "REG_DWORD", 0],
                [rf"{DEFENDER}\AllowedApplications", r"C:\tool\python.exe", "REG_DWORD", 0],
                [SHELL, "Personal", "REG_EXPAND_SZ", r"%USERPROFILE%\OneDrive\문서"],
            ]
        },
        {
            "set": [
                [DEVELOPER, "AllowDevelopmentWithoutDevLicense", "REG_SZ", "1"],
                [MEMORY, "PagingFiles", "REG_SZ", "?:\\pagefile.sys"],
                [DEFENDER, "EnableControlledFolderAccess", "REG_SZ", "yes"],
            ]
        },
        {
            "delete": [
                [DEVELOPER, "AllowDevelopmentWithoutDevLicense"],
                [MEMORY, "PagingFiles"],
            ],
            "drop": [DEFENDER],
        },
    )
    assert right["developer_mode"]["value"] is True
    assert right["page_file"]["value"] == {"automatic": True, "entries": ["?:\\pagefile.sys"]}
    guarded = right["controlled_folders"]["value"]
    assert guarded["mode"] == "block"
    assert r"D:\작업" in guarded["folders"]
    assert any(folder.endswith(r"\OneDrive\문서") for folder in guarded["folders"])
    assert not any("%" in folder for folder in guarded["folders"])
    assert right["controlled_allowed"]["value"] == [r"C:\tool\python.exe"]
    for name in ("developer_mode", "page_file", "controlled_folders"):
        assert wrong[name]["status"] == "failed", name
        assert "REG_SZ" in wrong[name]["reason"]
        assert gone[name]["status"] == "absent", name


def test_page_files_runtimes_and_accounts(machine: WindowsMachine) -> None:
    none, fixed = snapshots(
        machine,
        {"set": [[MEMORY, "PagingFiles", "REG_MULTI_SZ", []]], "drop": [RUNTIMES, RUNTIMES_32, ONEDRIVE]},
        {
            "set": [
                [MEMORY, "PagingFiles", "REG_MULTI_SZ", ["C:\\pagefile.sys 800 800", ""]],
                [rf"{RUNTIMES}\x64", "Version", "REG_SZ", "v14.38.33135.00"],
                [rf"{RUNTIMES}\x64", "Installed", "REG_DWORD", 1],
                # the other view names a newer one: the highest counts
                [rf"{RUNTIMES_32}\x64", "Version", "REG_SZ", "v14.44.35211.00"],
                [rf"{RUNTIMES_32}\x86", "Major", "REG_DWORD", 14],
                [rf"{RUNTIMES_32}\x86", "Minor", "REG_DWORD", 40],
                [rf"{RUNTIMES_32}\x86", "Bld", "REG_DWORD", 33810],
                [rf"{RUNTIMES}\arm64", "Version", "REG_SZ", "v14.44.35211.00"],
                [rf"{RUNTIMES}\arm64", "Installed", "REG_DWORD", 0],
                [rf"{ONEDRIVE}\Personal", "UserFolder", "REG_SZ", r"C:\users\ana\OneDrive"],
                [rf"{ONEDRIVE}\Business1", "UserFolder", "REG_SZ", r"C:\users\ana\OneDrive - 한국상사"],
                [rf"{ONEDRIVE}\Business2", "DisplayName", "REG_SZ", "never linked"],
            ]
        },
    )
    assert none["page_file"]["value"] == {"automatic": False}
    assert none["vc_runtimes"]["value"] == []
    assert none["sync_folders"]["status"] == "absent"
    assert fixed["page_file"]["value"] == {"automatic": False, "entries": ["C:\\pagefile.sys 800 800"]}
    assert fixed["vc_runtimes"]["value"] == [
        {"arch": "x64", "version": "14.44.35211.00"},
        {"arch": "x86", "version": "14.40.33810"},
    ]
    assert fixed["sync_folders"]["value"] == [
        {"path": r"C:\users\ana\OneDrive", "account": "Personal"},
        {"path": r"C:\users\ana\OneDrive - 한국상사", "account": "Business1"},
    ]


def test_who_sets_the_long_path_setting(machine: WindowsMachine) -> None:
    """The archive of applied policies, a damaged one, device management, nobody."""
    from tests.facts.test_windows_policy_file import KEY, entry, policy

    data = machine.scratch / "ProgramData"
    damaged = machine.scratch / "damaged"
    for folder in (data, damaged):
        folder.mkdir()
    (data / "ntuser.pol").write_bytes(policy(entry(KEY, "LongPathsEnabled", 4, b"\0\0\0\0")))
    (damaged / "ntuser.pol").write_bytes(policy(b"\x5b\0rubbish"))
    mdm = r"HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\ADMX_FileSys"
    by_policy, unreadable, managed, nobody = snapshots(
        machine,
        {"environ": {"PROGRAMDATA": windows_path(data)}},
        {"environ": {"PROGRAMDATA": windows_path(damaged)}},
        {"set": [[mdm, "LongPathsEnabled", "REG_SZ", "<enabled/>"]]},
        {"drop": [mdm]},
    )
    assert by_policy["long_paths_policy"]["value"]["value"] == 0
    assert by_policy["long_paths_policy"]["source"].endswith("ntuser.pol")
    assert unreadable["long_paths_policy"]["status"] == "failed"
    assert managed["long_paths_policy"]["value"]["value"] == "<enabled/>"
    assert nobody["long_paths_policy"]["status"] == "absent"


def test_which_library_the_loader_meets(machine: WindowsMachine) -> None:
    system = machine.drive_c / "windows" / "system32" / "msvcp140.dll"
    tool = machine.scratch / "도구"
    tool.mkdir()
    (tool / "msvcp140.dll").write_bytes(b"")
    check = ("check", "--format", "json", "--with-facts", "--select", "vc-redist-missing")
    (whole,) = machine.run(hfdoctor(*check))
    system.rename(system.with_name("put away"))
    gone, on_path = machine.run(hfdoctor(*check), hfdoctor(*check, environ={"PATH": f"C:\\gone;{windows_path(tool)}"}))
    system.with_name("put away").rename(system)
    assert whole.code == 0
    found = whole.report["snapshot"]["windows"]["vc_libraries"]["value"]
    assert found[0]["via"] == "python"  # vcruntime140.dll lies beside python.exe and comes before System32
    assert {"msvcp140.dll", "vcruntime140.dll", "vcruntime140_1.dll"} == {copy["name"] for copy in found}
    assert gone.code == 1
    (finding,) = gone.report["findings"]
    assert (finding["outcome"], finding["severity"]) == ("fail", "error")
    assert finding["summary"].endswith("msvcp140.dll")
    assert on_path.code == 0
    assert on_path.report["findings"][0]["outcome"] == "pass"


def test_a_file_has_its_version(machine: WindowsMachine) -> None:
    (result,) = machine.run(
        {
            "argv": [
                "-c",
                "from hfdoctor.facts.probes.windows_vc import file_version as v; "
                "print(v('C:\\\\windows\\\\system32\\\\kernel32.dll'), repr(v('C:\\\\gone.dll')))",
            ]
        }
    )
    version, nothing = result.stdout.decode().split()
    assert len([int(part) for part in version.split(".")]) == 4
    assert nothing == "''"


def test_findings_follow_the_registry(machine: WindowsMachine) -> None:
    """The same machine, judged before and after its settings change."""
    home = machine.scratch / "OneDrive - 한국상사"
    home.mkdir()
    environ = {"HF_HOME": windows_path(home / "models")}
    before, after = machine.run(
        hfdoctor("check", "--format", "json", environ=environ, drop=[ONEDRIVE, DEFENDER]),
        hfdoctor(
            "check",
            "--format",
            "json",
            environ=environ,
            set=[[rf"{ONEDRIVE}\Business1", "UserFolder", "REG_SZ", windows_path(home)]],
        ),
    )
    outcome = [
        {finding["condition"]: finding["outcome"] for finding in result.report["findings"]}
        for result in (before, after)
    ]
    assert outcome[0]["onedrive-folder"] == "skip"
    assert outcome[1]["onedrive-folder"] == "fail"
    assert "crash" not in outcome[0].values()
    assert outcome[0]["windows-long-path"] == outcome[1]["windows-long-path"] == "pass"


def test_the_advised_command_does_what_it_says(machine: WindowsMachine) -> None:
    """The first step of the remedy, run word for word, leaves the value that the doctor calls on."""
    from hfdoctor.conditions.engine import diagnose
    from tests import recorded

    finding = next(
        f for f in diagnose(recorded.load("windows-store-python-korean")).failed() if f.condition == "windows-long-path"
    )
    assert finding.remedy is not None
    argv = finding.remedy.steps[0].argv
    changed, snapshot = machine.run(
        {
            "delete": [[FILE_SYSTEM, "LongPathsEnabled"]],
            "argv": ["-c", f"import subprocess, sys; sys.exit(subprocess.call({argv!r}))"],
        },
        hfdoctor("snapshot"),
    )
    assert changed.code == 0, changed.stderr
    value = snapshot.report["windows"]["long_paths_registry"]["value"]
    assert (value["type"], value["value"]) == ("REG_DWORD", 1)
