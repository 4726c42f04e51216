"""Environment variables in real start-up files, read back by real shells."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.changes import VariableChange
from hfdoctor.remedies import own_file
from hfdoctor.remedies.action import NothingToDo, Refused, quiet
from hfdoctor.remedies.kinds.variable import VariableAction, prepare_variable
from tests.thorough import MOMENTS

from .killed import every_moment
from .made import workplace

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(os.name == "nt", reason="on Windows a variable lives in the registry"),
]

BASHRC = b"# ~/.bashrc\n[ -z \"$PS1\" ] && return\nalias again='exec bash'\nexport HF_HOME='\"/data/hf\"'\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def prepared(home: Path, name: str, value: str | None, program: str = "bash", **environ: str) -> VariableAction:
    place = workplace(home, environ={"SHELL": shell(program), **environ}, token=environ.pop("token", "1a2b3c4d"))
    action = prepare_variable(VariableChange(name, value), place)
    assert isinstance(action, VariableAction)
    return action


def fresh(home: Path, program: str, **environ: str) -> dict[str, str]:
    """The variables that a program started from a new interactive shell has."""
    option = "-lic" if program == "dash" else "-ic"
    ended = subprocess.run(
        [shell(program), option, "env -0"],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PS1": "$ ", "TERM": "dumb", **environ},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    return dict(entry.split("=", 1) for entry in os.fsdecode(ended.stdout).split("\0") if "=" in entry)


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """All that is in a folder: kind and mode, and what it holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        holds = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            holds = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = (info.st_mode, holds)
    return found


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


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"])
def test_these_may_be_taken_away_whole(home: Path, name: str) -> None:
    action = prepared(home, name, None, **{name: "/somewhere"})
    action.apply(quiet)
    assert fresh(home, "bash", **({name: "/somewhere"} if name != "LD_LIBRARY_PATH" else {})).get(name) is None


def test_the_secrets_of_an_old_value_stay_out_of_plan_and_journal(home: Path) -> None:
    action = prepared(home, "HTTPS_PROXY", "http://proxy:3128", HTTPS_PROXY="'http://ana:geheim@proxy:3128'")
    assert b"geheim" not in msgspec.json.encode(action)
    assert "geheim" not in str(action.describe())


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


@pytest.mark.parametrize("program", ["bash", "fish"])
def test_killed_at_any_moment_it_can_be_finished_and_taken_back(home: Path, program: str) -> None:
    if program == "bash":
        (home / ".bashrc").write_bytes(BASHRC)
    before = tree(home)
    action = prepared(home, "HF_HOME", "/data/hf", program)
    told = msgspec.json.encode(action).decode()
    code = (
        "import msgspec; from hfdoctor.remedies.action import quiet; from hfdoctor.remedies.kinds.variable import "
        f"VariableAction as V; a = msgspec.json.decode({told!r}, type=V); arm(); a.DO(quiet)"
    )

    def undone() -> str:
        action.undo(quiet)
        assert tree(home) == before
        return code.replace("DO", "apply")

    moments = 0
    for _ in every_moment(undone, at_most=MOMENTS):
        moments += 1
        assert action.look().state in ("before", "between", "after")
        if moments % 2:
            action.apply(quiet)
            assert action.look().state == "after"
    assert moments >= 3

    def done() -> str:
        action.apply(quiet)
        assert action.look().state == "after"
        return code.replace("DO", "undo")

    for _ in every_moment(done, at_most=MOMENTS):
        assert action.look().state in ("before", "between", "after")
        action.undo(quiet)
        assert tree(home) == before
