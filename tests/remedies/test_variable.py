"""Environment variables in real start-up files, read back by real shells, and taken out again without a trace."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from hfdoctor.remedies.action import NothingToDo, Refused, quiet

from .persons_shell import BASHRC, fresh, home, prepared, tree

__all__ = ["home"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(os.name == "nt", reason="on Windows a variable lives in the registry"),
]


VALUES = ["/data/hf", "", "a b", "it's", '"quoted"', "$HOME/`id`/$(id)", "back\\slash\\", "!x #y ~z *", "/data/모델"]


@pytest.mark.parametrize("program", ["bash", "zsh", "fish", "dash"])
def test_a_new_shell_has_the_values_and_has_them_no_more_after_the_undo(home: Path, program: str) -> None:
    files = {"bash": ".bashrc", "zsh": ".zshrc", "dash": ".profile"}
    if program in files:
        (home / files[program]).write_bytes(b"export V0=wrong\nexport OTHER=1\n")
    assert fresh(home, program).get("V0") == ("wrong" if program in files else None)
    before = tree(home)  # fish has made its folders now
    actions = [prepared(home, f"V{number}", value, program) for number, value in enumerate(VALUES)]
    for action in actions:
        assert action.look().state == "before"
        action.apply(quiet)
        assert action.look().state == "after"
    after = tree(home)
    found = fresh(home, program)
    assert [found.get(f"V{number}") for number in range(len(VALUES))] == VALUES
    assert tree(home).items() >= after.items()
    for action in actions:
        action.apply(quiet)
        action.undo(quiet)
        assert action.look().state == "before"
        action.undo(quiet)
    assert tree(home) == before


@pytest.mark.parametrize("program", ["bash", "zsh", "fish", "dash"])
def test_a_variable_is_taken_away(home: Path, program: str) -> None:
    if program == "bash":
        (home / ".bashrc").write_bytes(BASHRC)
    action = prepared(home, "HF_HOME", None, program, HF_HOME='"/data/hf"')
    action.apply(quiet)
    assert fresh(home, program, HF_HOME="inherited").get("HF_HOME") is None
    assert action.environ_after({"HF_HOME": "x", "A": "b"}) == {"A": "b"}
    action.undo(quiet)
    assert fresh(home, program, HF_HOME="inherited").get("HF_HOME") is not None


def test_several_variables_share_one_block_and_are_undone_in_any_order(home: Path) -> None:
    rc = home / ".bashrc"
    rc.write_bytes(BASHRC.rstrip(b"\n"))  # no line end at the end of the file
    before = tree(home)
    first = prepared(home, "HF_HOME", "/data/hf")
    first.apply(quiet)
    second = prepared(home, "HF_HUB_OFFLINE", "1")
    second.apply(quiet)
    third = prepared(home, "HF_HOME", "/data/newer", HF_HOME="/data/hf")
    assert rc.read_bytes().count(b"# >>> hfdoctor >>>") == 1
    third.apply(quiet)
    assert fresh(home, "bash").get("HF_HOME") == "/data/newer"
    assert fresh(home, "bash").get("HF_HUB_OFFLINE") == "1"
    seen = first.look()
    assert seen.state == "other"
    assert [(one.old, one.new) for one in seen.shows] == [("export HF_HOME='/data/hf'", "export HF_HOME='/data/newer'")]
    with pytest.raises(Refused, match="/data/newer"):
        first.undo(quiet)
    second.undo(quiet)
    assert fresh(home, "bash").get("HF_HOME") == "/data/newer"
    third.undo(quiet)
    assert fresh(home, "bash").get("HF_HOME") == "/data/hf"
    first.undo(quiet)
    assert tree(home) == before


def test_two_variables_of_one_plan_are_both_written(home: Path) -> None:
    (home / ".bashrc").write_bytes(BASHRC)
    before = tree(home)
    one = prepared(home, "HF_HUB_CACHE", "/data/x", TRANSFORMERS_CACHE="/data/x")
    other = prepared(home, "TRANSFORMERS_CACHE", None, TRANSFORMERS_CACHE="/data/x")
    one.apply(quiet)
    assert other.look().state == "before"
    other.apply(quiet)
    assert one.look().state == other.look().state == "after"
    assert fresh(home, "bash", TRANSFORMERS_CACHE="/data/x").get("TRANSFORMERS_CACHE") is None
    other.undo(quiet)
    one.undo(quiet)
    assert tree(home) == before


def test_other_edits_stay(home: Path) -> None:
    rc = home / ".bashrc"
    rc.write_bytes(BASHRC)
    action = prepared(home, "HF_HOME", "/data/hf")
    action.apply(quiet)
    rc.write_bytes(b"export ABOVE=1\n" + rc.read_bytes() + b"export BELOW=1\n")
    assert action.look().state == "after"
    action.undo(quiet)
    assert rc.read_bytes() == b"export ABOVE=1\n" + BASHRC + b"export BELOW=1\n"


def test_edits_around_the_block_of_a_file_without_a_last_line_end_are_not_joined(home: Path) -> None:
    rc = home / ".bashrc"
    rc.write_bytes(b"export A=1")
    action = prepared(home, "HF_HOME", "/data/hf")
    action.apply(quiet)
    rc.write_bytes(rc.read_bytes() + b"export B=2\n")
    action.undo(quiet)
    assert rc.read_bytes() == b"export A=1\nexport B=2\n"


def test_nothing_is_left_to_do_a_second_time(home: Path) -> None:
    prepared(home, "HF_HOME", "/data/hf").apply(quiet)
    before = tree(home)
    for environ in ({}, {"HF_HOME": "/data/hf"}, {"HF_HOME": "/old"}):
        with pytest.raises(NothingToDo):
            prepared(home, "HF_HOME", "/data/hf", **environ)
    with pytest.raises(NothingToDo):
        prepared(home, "HF_HUB_OFFLINE", None)
    with pytest.raises(NothingToDo):
        prepared(home, "HF_HUB_OFFLINE", "1", HF_HUB_OFFLINE="1")
    assert tree(home) == before


def test_a_file_that_hfdoctor_made_goes_with_the_last_line(home: Path) -> None:
    one, other = prepared(home, "A_B", "1", "fish"), prepared(home, "C_D", "2", "fish")
    assert one.look().state == "before"
    one.apply(quiet)
    other.apply(quiet)
    assert (home / ".config/fish/conf.d/hfdoctor.fish").stat().st_mode & 0o777 == 0o600
    one.undo(quiet)
    assert (home / ".config/fish/conf.d/hfdoctor.fish").exists()
    other.undo(quiet)
    assert tree(home) == {}


def test_a_link_into_a_dotfiles_repository_stays_a_link(home: Path) -> None:
    real = home / "dotfiles" / "bashrc"
    real.parent.mkdir()
    real.write_bytes(BASHRC)
    (home / ".bashrc").symlink_to("dotfiles/bashrc")
    before = tree(home)
    action = prepared(home, "HF_HOME", "/data/hf")
    assert action.file == str(real)
    action.apply(quiet)
    assert (home / ".bashrc").is_symlink()
    assert fresh(home, "bash").get("HF_HOME") == "/data/hf"
    action.undo(quiet)
    assert tree(home) == before


def test_bytes_of_another_encoding_and_carriage_returns_stay(home: Path) -> None:
    rc = home / ".bashrc"
    rc.write_bytes(b"export NAME=Z\xfcrich\r\n# caf\xe9")
    before = tree(home)
    action = prepared(home, "HF_HOME", "/data/hf")
    action.apply(quiet)
    assert fresh(home, "bash").get("HF_HOME") == "/data/hf"
    action.undo(quiet)
    assert tree(home) == before


def test_mode_and_extended_attributes_stay(home: Path) -> None:
    rc = home / ".bashrc"
    rc.write_bytes(BASHRC)
    rc.chmod(0o640)
    attributes = hasattr(os, "setxattr")
    if attributes:
        try:
            os.setxattr(rc, "user.note", b"mine")
        except OSError:
            attributes = False
    action = prepared(home, "HF_HOME", "/data/hf")
    action.apply(quiet)
    assert rc.stat().st_mode & 0o777 == 0o640
    assert not attributes or os.getxattr(rc, "user.note") == b"mine"


def test_a_login_file_that_does_without_bashrc_is_told(home: Path) -> None:
    assert prepared(home, "HF_HOME", "/x").still_to_do()[0] == "open a new terminal, or type: source ~/.bashrc"
    (home / ".profile").write_text("export A=1\n")
    assert "add the line source ~/.bashrc to ~/.profile" in prepared(home, "HF_HOME", "/x").still_to_do()[1]
    (home / ".bash_profile").write_text(". ~/.bashrc\n")
    assert not any("ssh" in words for words in prepared(home, "HF_HOME", "/x").still_to_do())


def test_what_a_plain_shell_reads_at_a_login_takes_a_login(home: Path) -> None:
    action = prepared(home, "HF_HOME", "/x", "dash")
    assert action.still_to_do()[0] == "log out and in again, or type: . ~/.profile"
    action.apply(quiet)
    assert action.still_to_do(undone=True)[0].startswith("log out and in again")
    with pytest.raises(NothingToDo, match="log out and in again"):
        prepared(home, "HF_HOME", "/x", "dash")


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"])
def test_these_may_be_taken_away_whole(home: Path, name: str) -> None:
    action = prepared(home, name, None, **{name: "/somewhere"})
    action.apply(quiet)
    assert fresh(home, "bash", **({name: "/somewhere"} if name != "LD_LIBRARY_PATH" else {})).get(name) is None


def test_the_secrets_of_an_old_value_stay_out_of_plan_and_journal(home: Path) -> None:
    action = prepared(home, "HTTPS_PROXY", "http://proxy:3128", HTTPS_PROXY="'http://ana:geheim@proxy:3128'")
    assert b"geheim" not in msgspec.json.encode(action)
    assert "geheim" not in str(action.describe())
