"""Start-up files that hfdoctor does not write in, and variables that it leaves to the person."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hfdoctor.remedies import own_file
from hfdoctor.remedies.action import Refused, quiet

from .persons_shell import BASHRC, fresh, home, prepared, tree

__all__ = ["home"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(os.name == "nt", reason="on Windows a variable lives in the registry"),
]


def test_an_edited_line_is_somebody_elses(home: Path) -> None:
    rc = home / ".bashrc"
    rc.write_bytes(BASHRC)
    action = prepared(home, "HF_HOME", "/data/hf")
    action.apply(quiet)
    rc.write_bytes(rc.read_bytes().replace(b"'/data/hf'", b"/mine"))
    assert action.look().state == "other"
    assert action.look().shows[0].new == "export HF_HOME=/mine"
    with pytest.raises(Refused):
        action.undo(quiet)
    action.undo(quiet, force=True)
    assert rc.read_bytes() == BASHRC


def test_a_damaged_block_is_refused_and_never_guessed_at(home: Path) -> None:
    rc = home / ".bashrc"
    rc.write_bytes(BASHRC)
    action = prepared(home, "HF_HOME", "/data/hf")
    action.apply(quiet)
    damaged = rc.read_bytes().replace(b"# <<< hfdoctor <<<\n", b"")
    rc.write_bytes(damaged)
    assert action.look().state == "other"
    with pytest.raises(Refused, match="damaged"):
        action.undo(quiet, force=True)
    with pytest.raises(Refused, match=r"damaged.*export HF_HUB_OFFLINE='1'"):
        prepared(home, "HF_HUB_OFFLINE", "1")
    assert rc.read_bytes() == damaged


def test_a_link_swapped_in_after_the_plan_is_not_followed(home: Path, tmp_path: Path) -> None:
    (home / ".bashrc").write_bytes(BASHRC)
    other = tmp_path / "other"
    other.write_bytes(b"precious\n")
    action = prepared(home, "HF_HOME", "/data/hf")
    (home / ".bashrc").unlink()
    (home / ".bashrc").symlink_to(other)
    with pytest.raises(Refused, match="link"):
        action.apply(quiet)
    assert other.read_bytes() == b"precious\n"
    (home / ".bashrc").unlink()
    home.rename(tmp_path / "moved")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home.symlink_to(elsewhere)
    with pytest.raises(Refused, match="link"):
        action.apply(quiet)
    assert list(elsewhere.iterdir()) == []


def _outside(home: Path) -> None:
    (home.parent / "outside").write_bytes(b"")
    (home / ".bashrc").symlink_to(home.parent / "outside")


def _dangling(home: Path) -> None:
    (home / ".bashrc").symlink_to("nowhere")


def _of_another(home: Path) -> None:
    (home / ".bashrc").write_bytes(b"")
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(home / ".bashrc", 65534, 65534)


def _home_of_another(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(home, 65534, 65534)


def _protected(home: Path) -> None:
    (home / ".bashrc").write_bytes(b"")
    (home / ".bashrc").chmod(0o444)


TROUBLES: dict[str, Callable[[Path], object]] = {
    "leads outside": _outside,
    "leads nowhere": _dangling,
    "belongs to another user": _of_another,
    "home.*belongs to another user": _home_of_another,
    "not an ordinary file": lambda home: (home / ".bashrc").mkdir(),
    "write-protected": _protected,
    "not a text file": lambda home: (home / ".bashrc").write_bytes(b"\xff\xfeP\0A\0"),
    "larger than 1 MiB": lambda home: (home / ".bashrc").write_bytes(b"# long\n" * 200_000),
    "does not understand .*, line 3": lambda home: (home / ".bashrc").write_bytes(b"A=1\nif true; then\n"),
    "does not understand": lambda home: (home / ".bashrc").write_bytes(b'if true; then\r\nA=1\r\nfi\r\necho "x\r\n'),
    "not finished": lambda home: (home / ".bashrc").write_bytes(b"echo a \\"),
    "hands over": lambda home: (home / ".bashrc").write_bytes(b"[[ $- == *i* ]] && exec fish\n"),
    "does not exist": lambda home: home.rmdir(),
}


@pytest.mark.parametrize("words", TROUBLES)
def test_where_it_cannot_be_written_the_line_to_add_is_told(home: Path, words: str) -> None:
    TROUBLES[words](home)
    before = tree(home.parent)
    with pytest.raises(Refused, match=f"(?s){words}.*add this line to .* yourself: export HF_HOME='/data/hf'$"):
        prepared(home, "HF_HOME", "/data/hf")
    assert tree(home.parent) == before


def test_a_line_below_the_block_would_win(home: Path) -> None:
    rc = home / ".bashrc"
    prepared(home, "HF_HOME", "/data/hf").apply(quiet)
    rc.write_bytes(rc.read_bytes() + b"export HF_HOME=/other\n")
    with pytest.raises(Refused, match="speaks of HF_HOME again"):
        prepared(home, "HF_HOME", "/data/newer")
    with pytest.raises(Refused, match="speaks of HF_HOME again"):
        prepared(home, "HF_HOME", "/data/hf", HF_HOME="/other")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_home_that_may_not_be_written(home: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        theirs = Path(folder)
        theirs.chmod(0o755)
        (theirs / "home").mkdir()
        os.chown(theirs / "home", 65534, 65534)
        (theirs / "home").chmod(0o555)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            said = "nothing was refused"
            try:
                os.setgid(65534)
                os.setuid(65534)
                prepared(theirs / "home", "HF_HOME", "/data/hf")
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"
            os.write(writing, said.encode())
            os._exit(0)
        os.waitpid(child, 0)
        said = os.read(reading, 10_000).decode()
        os.close(reading)
        os.close(writing)
    assert said.startswith(f"Refused: {theirs / 'home'} is write-protected; add this line to"), said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "hf_" + "x" * 34),
        ("HF_TOKEN", None),
        ("HTTPS_PROXY", "http://ana:geheim@proxy:3128"),
        ("HF_ENDPOINT", "https://ana:geheim@hub.example"),
        ("PATH", "/usr/bin"),
        ("PATH", None),
        ("LD_LIBRARY_PATH", "/usr/lib"),
        ("PYTHONPATH", "/x"),
        ("HOME", None),
        ("HF_HOME", "a\nb"),
        ("HF_HOME", "a\x1bb"),
        ("HF_HOME", "a\udcffb"),
        ("HF HOME", "a"),
    ],
)
def test_what_hfdoctor_does_not_write(home: Path, name: str, value: str | None) -> None:
    with pytest.raises(Refused) as refused:
        prepared(home, name, value, **{name: "old"} if " " not in name else {})
    assert "geheim" not in str(refused.value)
    assert "hf_x" not in str(refused.value)
    assert tree(home) == {}


def test_the_choice_of_gpus_is_taken_away_only_where_the_person_set_it(home: Path) -> None:
    with pytest.raises(Refused, match=r"scheduler.*type unset CUDA_VISIBLE_DEVICES there$"):
        prepared(home, "CUDA_VISIBLE_DEVICES", None, CUDA_VISIBLE_DEVICES="-1")
    (home / ".bashrc").write_bytes(b"export CUDA_VISIBLE_DEVICES=-1\n")
    prepared(home, "CUDA_VISIBLE_DEVICES", None, CUDA_VISIBLE_DEVICES="-1").apply(quiet)
    assert fresh(home, "bash").get("CUDA_VISIBLE_DEVICES") is None


def test_somebody_who_writes_at_the_same_moment_is_not_overwritten(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rc = home / ".bashrc"
    rc.write_bytes(BASHRC)
    action = prepared(home, "HF_HOME", "/data/hf")
    real = own_file._unchanged

    def later(*args: object) -> None:
        rc.write_bytes(BASHRC + b"# theirs\n")
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(own_file, "_unchanged", later)
    with pytest.raises(Refused, match="at the same moment"):
        action.apply(quiet)
    assert tree(home).keys() == {".bashrc"}
    assert rc.read_bytes() == BASHRC + b"# theirs\n"
