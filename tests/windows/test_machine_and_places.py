"""The machine, the settings and the places, as a Windows Python sees them."""

from __future__ import annotations

from typing import Any

import pytest

from .machine import WindowsMachine, hfdoctor

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]

VERSION = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"


@pytest.fixture(scope="module")
def snapshot(machine: WindowsMachine) -> dict[str, Any]:
    values = [[VERSION, "EditionID", "REG_SZ", "Professional"], [VERSION, "DisplayVersion", "REG_SZ", "24H2"]]
    environ = {
        "HF_TOKEN": "hf_swordfishswordfish",
        "HTTPS_PROXY": '"http://ana:pw@proxy.example:8080"',
        "SSL_CERT_FILE": '"C:\\corp.pem"',
        "HF_HOME": '"D:\\hf"',
        "HF_XET_CACHE": "C:\\xet",
    }
    set_values = [*values, [VERSION, "UBR", "REG_DWORD", 7171]]
    return machine.run(hfdoctor("snapshot", set=set_values, environ=environ))[0].report


def test_machine(snapshot: dict[str, Any]) -> None:
    facts = snapshot["machine"]
    for name, fact in facts.items():
        assert fact["status"] in ("known", "absent"), (name, fact)
    system = facts["os"]["value"]
    assert (system["system"], system["edition"], system["release"], system["update"]) == (
        "windows",
        "Professional",
        "24H2",
        7171,
    )
    assert system["version"].startswith("10.0.") and system["version"].endswith(system["build"])
    memory = facts["memory"]["value"]
    assert memory["commit_limit"] >= memory["commit_available"] > 0
    assert memory["ram_total"] > memory["ram_available"]
    assert facts["architecture"]["value"] == "x86_64"
    assert facts["elevated"]["value"] is True  # Wine has no other users
    assert facts["open_files"]["status"] == "absent"


def test_settings(snapshot: dict[str, Any]) -> None:
    found = {entry["name"]: entry for entry in snapshot["settings"]["variables"]["value"]}
    assert found["HF_TOKEN"] == {"name": "HF_TOKEN", "secret": True, "length": 21}
    assert found["HTTPS_PROXY"]["value"] == '"http://***@proxy.example:8080"'
    bundles = {entry["name"]: entry["state"] for entry in snapshot["settings"]["certificates"]["value"]}
    assert bundles["SSL_CERT_FILE"] == "missing"  # a name with quotation marks can be no file


def test_places(snapshot: dict[str, Any]) -> None:
    found = {entry["role"]: entry for entry in snapshot["storage"]["places"]["value"]}
    temp = found["temp"]
    assert temp["writable"]["value"] == {"ok": True, "proof": "created"}
    assert temp["filesystem"]["value"]["mount"] == "C:\\"
    assert temp["space"]["value"]["total"] > temp["space"]["value"]["free"] > 0
    assert "inodes_total" not in temp["space"]["value"]
    # a quoted path is a relative one: it lies below the folder in which hfdoctor was started
    assert found["hf-home"]["exists"] is False
    assert found["hf-home"]["writable"]["reason"] == "no folder can have this name"
    assert found["hf-home"]["space"]["status"] == "known"
    assert found["xet-cache"]["path"] == "C:\\xet"
    assert found["pip-cache"]["path"].endswith("\\pip\\cache")
    assert found["uv-cache"]["path"].endswith("\\uv\\cache")
    # not there yet, but below the person's own folder a trial is harmless
    assert found["pip-cache"]["writable"]["value"] == {"ok": True, "proof": "created"}
