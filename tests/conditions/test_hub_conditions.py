"""The hub's conditions on what real probes see: settings that are wrong, and many that are right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hfdoctor.conditions.engine import examine
from hfdoctor.conditions.hub import HUB_AUTH, HUB_UNREACHABLE
from hfdoctor.conditions.hub_settings import HUB_SETTINGS
from hfdoctor.conditions.model import Finding, Goal
from hfdoctor.facts.fact import known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import hub, settings
from hfdoctor.facts.sections.machine import OsInfo
from hfdoctor.facts.snapshot import Snapshot

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths of Linux")


def look(home: Path, **environ: str) -> Snapshot:
    """What the probes see with the huggingface_hub that is installed beside the tests."""
    pytest.importorskip("huggingface_hub")
    snapshot = Snapshot()
    snapshot.machine.os = known(OsInfo("linux"))
    snapshot.target.sys_path = known([folder for folder in sys.path if folder])
    context = Context(Request(cwd=home, environ={"HOME": str(home), **environ}), snapshot, float("inf"))
    settings.probe(context)
    hub.probe(context)
    return snapshot


def found(snapshot: Snapshot) -> list[Finding]:
    return examine(HUB_SETTINGS, snapshot, Goal())


@pytest.mark.parametrize(
    ("environ", "severity", "words"),
    [
        ({"HF_HOME": '"/data/hf"'}, "warning", "has quotes around the path"),
        ({"HF_HOME": "'/data/hf"}, "warning", "has quotes around the path"),
        ({"HF_HUB_CACHE": "/data/hf "}, "warning", "begins or ends with a blank"),
        ({"HF_HOME": ""}, "warning", "is set to nothing"),
        ({"HF_HOME": "models"}, "warning", "is not an absolute path"),
        ({"HF_XET_CACHE": "xet"}, "warning", "is not an absolute path"),
        ({"HF_HUB_CACHE": "$SCRATCH_THAT_IS_NOT_SET/hf"}, "warning", "contains $SCRATCH_THAT_IS_NOT_SET"),
        ({"HF_HOME": "%USERPROFILE%/hf"}, "warning", "contains %USERPROFILE%"),
        ({"HF_HOME": "D:\\models"}, "warning", "is a Windows path"),
        ({"HF_HUB_DOWNLOAD_TIMEOUT": "30s"}, "error", "is not a whole number"),
        ({"HF_HUB_ETAG_TIMEOUT": ""}, "error", "is not a whole number"),
        ({"HF_HUB_OFFLINE": "y"}, "warning", "does not mean on"),
        ({"HF_HUB_OFFLINE": "1 "}, "warning", "does not mean on"),
        ({"HF_HUB_DISABLE_XET": "'1'"}, "note", "does not mean on"),
        ({"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, "note", "contradict each other"),
        ({"HF_HUB_CACHE": "/a", "HUGGINGFACE_HUB_CACHE": "/b"}, "note", "name different folders"),
        ({"HF_ENDPOINT": "hf-mirror.example"}, "warning", "is no web address"),
        ({"HF_ENDPOINT": '"https://hf-mirror.example"'}, "warning", "is no web address"),
        ({"HF_ENDPOINT": ""}, "warning", "is set to nothing"),
        ({"HF_ENDPOINT": "https://huggingface.co/models"}, "warning", "must be the address alone"),
    ],
)
def test_wrong_settings(tmp_path: Path, environ: dict[str, str], severity: str, words: str) -> None:
    (finding,) = found(look(tmp_path, **environ))
    assert (finding.outcome, finding.severity) == ("fail", severity), finding.summary
    assert words in finding.summary
    assert finding.remedy
    assert all(evidence.text for evidence in finding.evidence)


@pytest.mark.parametrize(
    "environ",
    [
        {"HF_HOME": "/data/hf"},
        {"HF_HOME": "~/hf"},
        {"HF_HOME": "$HOME/hf"},
        {"HF_HOME": "/data/hf/"},
        {"HF_HOME": "/data/dollar$"},
        {"HF_HOME": "/data/50% off/hf"},
        {"HF_HUB_CACHE": "/a", "HUGGINGFACE_HUB_CACHE": "/a/"},
        {"HF_HUB_OFFLINE": "0"},
        {"HF_HUB_OFFLINE": "False"},
        {"HF_HUB_OFFLINE": ""},
        {"HF_HUB_OFFLINE": "TRUE", "TRANSFORMERS_OFFLINE": "1"},
        {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "0"},
        {"HF_HUB_DOWNLOAD_TIMEOUT": " 30 "},
        {"HF_ENDPOINT": "https://hf-mirror.com"},
        {"HF_ENDPOINT": "https://huggingface.co/"},
        {"HF_ENDPOINT": "http://127.0.0.1:8000/artifactory/api/huggingfaceml/hf"},
        {"TRANSFORMERS_CACHE": "/models", "HF_HOME": "/data/hf"},
        {"TRANSFORMERS_VERBOSITY": "error", "HF_XET_HIGH_PERFORMANCE": "y"},
    ],
)
def test_right_settings(tmp_path: Path, environ: dict[str, str]) -> None:
    (finding,) = found(look(tmp_path, **environ))
    assert finding.outcome == "pass", finding.summary


def test_none_set(tmp_path: Path) -> None:
    (finding,) = found(look(tmp_path))
    assert finding.outcome == "skip"


def test_several_at_once(tmp_path: Path) -> None:
    findings = found(look(tmp_path, HF_HOME='"/x"', HF_HUB_DOWNLOAD_TIMEOUT="1s", HF_ENDPOINT="x"))
    assert [finding.severity for finding in findings] == ["warning", "error", "warning"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "hf").write_text("")
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        (finding,) = found(look(tmp_path, **{name: str(tmp_path / "hf")}))
        assert (finding.severity, finding.basis) == ("error", "observed")


def test_offline_with_nothing_cached_because_of_the_quotes_is_one_finding(tmp_path: Path) -> None:
    wrong_place = look(tmp_path, HF_HUB_OFFLINE="1", HF_HOME='"/data/hf"')
    (finding,) = examine(HUB_UNREACHABLE, wrong_place, Goal())
    assert finding.outcome == "skip"
    (finding,) = examine(HUB_UNREACHABLE, look(tmp_path, HF_HUB_OFFLINE="1"), Goal())
    assert (finding.outcome, finding.severity) == ("fail", "warning")


def test_the_token_is_in_no_finding(tmp_path: Path) -> None:
    secret = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567"
    snapshot = look(tmp_path, HF_TOKEN=f"Bearer {secret}")
    (finding,) = examine(HUB_AUTH, snapshot, Goal())
    assert finding.outcome == "fail"
    assert secret[4:20] not in repr(finding)
    assert secret[4:20] not in repr(snapshot)
