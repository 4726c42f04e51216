"""Output through a pipe in code page 949, 1252 and others, below a folder with a Korean name: it never raises."""

from __future__ import annotations

import pytest

from tests.recorded import MACHINES

from .machine import WindowsMachine, hfdoctor, windows_path

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]

KOREAN = windows_path(MACHINES / "windows-store-python-korean" / "facts.json")


@pytest.mark.parametrize("encoding", ["cp949", "cp1252", "cp437", "ascii", "utf-8", ""])
def test_the_korean_machine_in_every_code_page(machine: WindowsMachine, encoding: str) -> None:
    """Without a setting, a pipe gets the code page of Windows, which is 1252 here."""
    environ = {"PYTHONIOENCODING": encoding or None}
    (result,) = machine.run(hfdoctor("check", "--snapshot", KOREAN, "-v", environ=environ))
    assert (result.code, result.stderr) == (1, b"")
    shown = result.stdout.decode(encoding or "cp1252")
    assert "pip will fail to install transformers 5.23.0 and torch 2.15.0" in shown
    if encoding in ("cp949", "utf-8"):
        assert "한빛고등학교 인공지능 동아리" in shown


def test_everything_else_in_code_page_1252(machine: WindowsMachine) -> None:
    environ = {"PYTHONIOENCODING": "cp1252"}
    document, page, help_text = machine.run(
        hfdoctor("check", "--snapshot", KOREAN, "--format", "json", environ=environ),
        hfdoctor("conditions", "windows-long-path", environ=environ),
        hfdoctor("check", "--help", environ=environ),
    )
    assert [(r.code, r.stderr) for r in (document, page, help_text)] == [(1, b""), (0, b""), (0, b"")]
    # JSON is for programs: UTF-8 whatever the code page
    assert "한빛고등학교" in str(document.report["target"]["python"])


def test_a_korean_folder_for_everything(machine: WindowsMachine) -> None:
    """Home, temporary folder and current folder below a Korean name; the temporary folder is left empty."""
    home = machine.scratch / "사용자 홍길동"
    temp, project = home / "임시", home / "프로젝트"
    for folder in (temp, project):
        folder.mkdir(parents=True)
    environ = {
        "USERPROFILE": windows_path(home),
        "TEMP": windows_path(temp),
        "TMP": windows_path(temp),
        "PYTHONIOENCODING": "cp949",
    }
    text, snapshot = machine.run(
        hfdoctor("check", "-v", environ=environ, cwd=windows_path(project)),
        hfdoctor("snapshot", environ=environ, cwd=windows_path(project)),
    )
    assert text.code in (0, 1), text.stderr.decode("utf-8", "replace")
    assert b"Traceback" not in text.stderr
    text.stdout.decode("cp949")
    facts = snapshot.report
    assert facts["windows"]["long_paths_proof"]["value"]["ok"] is True
    assert windows_path(temp) in facts["windows"]["long_paths_proof"]["source"]
    assert facts["machine"]["cwd"]["value"] == windows_path(project)
    assert facts["windows"]["code_pages"]["status"] == "known"
    assert not any(run["outcome"] == "crash" for run in facts["probes"].values() if "outcome" in run)
    assert sorted(temp.iterdir()) == []


def test_a_temporary_folder_that_is_gone(machine: WindowsMachine) -> None:
    gone = windows_path(machine.scratch / "gone")
    (result,) = machine.run(hfdoctor("snapshot", environ={"TEMP": gone, "TMP": gone}))
    assert result.code == 0
    assert result.report["windows"]["long_paths_proof"]["status"] == "failed"
    assert result.report["windows"]["long_paths_process"]["status"] == "failed"


def test_a_windows_that_enforces_the_limit(machine: WindowsMachine) -> None:
    """Wine lets every path through; here open() answers as it does on Windows with long paths off."""
    from hfdoctor.facts.child import Ended
    from hfdoctor.facts.probes.windows_long_paths import CHILD, understand

    folder = machine.scratch / "시험"
    folder.mkdir()
    limit = (
        "import builtins, errno, sys\n"
        "real = builtins.open\n"
        "def short(path, *rest, **more):\n"
        "    if len(str(path)) > 259: raise FileNotFoundError(errno.ENOENT, 'No such file or directory', path)\n"
        "    return real(path, *rest, **more)\n"
        "builtins.open = short\n"
    )
    (result,) = machine.run({"argv": ["-I", "-S", "-c", limit + CHILD, windows_path(folder)]})
    process, proof = understand(Ended(result.code, result.stdout, result.stderr), "Z:")
    assert process.status in ("known", "failed")
    assert (proof.need().ok, proof.need().length, proof.need().code) == (False, 270, 2)
    assert not folder.exists()  # nothing is left behind, the folder included
