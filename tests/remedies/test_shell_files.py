"""Which start-up file it is, how a line is written in it, and that the block leaves no trace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from hfdoctor.remedies import shell_block
from hfdoctor.remedies.action import Refused
from hfdoctor.remedies.shell_files import StartFile, shell_line, start_file

FILES = {
    ("/bin/bash", "linux"): ("bash", ".bashrc"),
    ("/usr/local/bin/bash", "macos"): ("bash", ".bash_profile"),
    ("/bin/zsh", "macos"): ("zsh", ".zshrc"),
    ("-zsh", "linux"): ("zsh", ".zshrc"),
    ("/usr/bin/fish", "linux"): ("fish", ".config/fish/conf.d/hfdoctor.fish"),
    ("/bin/dash", "linux"): ("sh", ".profile"),
    ("/bin/ksh", "linux"): ("sh", ".profile"),
}


@pytest.mark.parametrize(("program", "system"), FILES)
def test_each_shell_has_its_file(program: str, system: str, tmp_path: Path) -> None:
    shell, path = FILES[program, system]
    assert start_file("HF_HOME", {"SHELL": program}, tmp_path, system) == StartFile(shell, program, tmp_path / path)


@pytest.mark.parametrize("there", [".profile", ".bash_login", ".bash_profile"])
def test_on_macos_bash_reads_the_first_that_there_is(there: str, tmp_path: Path) -> None:
    (tmp_path / ".profile").touch()
    (tmp_path / there).touch()
    assert start_file("HF_HOME", {"SHELL": "bash"}, tmp_path, "macos").path.name == there


@pytest.mark.parametrize("program", ["/usr/bin/nu", "/bin/tcsh", "/usr/sbin/nologin", "/usr/bin/pwsh"])
def test_other_shells_are_left_to_the_person(program: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"does not know what {Path(program).name} reads"):
        start_file("HF_HOME", {"SHELL": program}, tmp_path, "linux")


@pytest.mark.skipif(os.name == "nt", reason="there is no list of users")
def test_without_a_word_the_list_of_users_says_which_shell_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd

    class Entry:
        pw_shell = "/bin/zsh"

    monkeypatch.setattr(pwd, "getpwuid", lambda number: Entry)
    assert start_file("HF_HOME", {}, tmp_path, "linux").shell == "zsh"

    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(Refused, match="SHELL is not set"):
        start_file("HF_HOME", {}, tmp_path, "linux")


def test_zsh_can_have_a_folder_of_its_own(tmp_path: Path) -> None:
    environ = {"SHELL": "/bin/zsh", "ZDOTDIR": str(tmp_path / "z")}
    assert start_file("HF_HOME", environ, tmp_path, "linux").path == tmp_path / "z" / ".zshrc"
    environ["USER_ZDOTDIR"] = str(tmp_path / "mine")  # an editor has put its own in the other
    assert start_file("HF_HOME", environ, tmp_path, "linux").path == tmp_path / "mine" / ".zshrc"
    (tmp_path / ".zshenv").write_text("ZDOTDIR=~/.config/zsh\n")
    with pytest.raises(Refused, match="ZDOTDIR"):
        start_file("HF_HOME", {"SHELL": "/bin/zsh"}, tmp_path, "linux")


def test_fish_may_say_something_else_later_or_for_good(tmp_path: Path) -> None:
    environ = {"SHELL": "/usr/bin/fish", "XDG_CONFIG_HOME": str(tmp_path / "c")}
    folder = tmp_path / "c" / "fish"
    assert start_file("HF_HOME", environ, tmp_path, "linux").path == folder / "conf.d" / "hfdoctor.fish"
    folder.mkdir(parents=True)
    (folder / "config.fish").write_text("set -gx HF_HOME_2 /x\nset -gx HF_HOME /x\n")
    assert start_file("HF", environ, tmp_path, "linux").shell == "fish"
    with pytest.raises(Refused, match=r"config.fish itself speaks of HF_HOME"):
        start_file("HF_HOME", environ, tmp_path, "linux")
    (folder / "fish_variables").write_text("SETUVAR --export HF_TIME:3\n")
    with pytest.raises(Refused, match="universal"):
        start_file("HF_TIME", environ, tmp_path, "linux")


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_lines(shell: str) -> None:
    lines = [shell_line(shell, "A_1", "it's \\ $x"), shell_line(shell, "A_1", None)]
    expected = {
        "bash": ["export A_1='it'\\''s \\ $x'", "unset A_1"],
        "fish": ["set -gx A_1 'it\\'s \\\\ $x'", "set -e A_1"],
    }
    assert lines == expected[shell]
    assert {shell_block.name_in(line.encode()) for line in lines} == {"A_1"}


def test_names_in_lines_that_a_person_edited() -> None:
    named = {b"  export  A=1": "A", b"A=1": "A", b"# export A=1": "", b"set -xU A 1": "A", b"echo $A": "echo", b"": ""}
    assert {line: shell_block.name_in(line) for line in named} == named


NAMES = st.sampled_from(["A", "B", "C"])
TEXT = st.lists(st.sampled_from([b"\n", b"x", b"export A=1", b"\r", b"\xff", b" ", b"# c"]), max_size=8).map(b"".join)


@hypothesis.given(
    TEXT | st.none(), st.lists(NAMES, min_size=1, max_size=3, unique=True), st.randoms(use_true_random=False)
)
def test_lines_taken_out_in_any_order_leave_the_file_as_it_was(
    data: bytes | None, names: list[str], random: object
) -> None:
    now = data
    for name in names:
        now = shell_block.with_line(now, name, f"export {name}='1'".encode(), 2).data
        assert now is not None
        assert now.count(shell_block.BEGIN) == 1
        assert shell_block.line_about(now, name) == f"export {name}='1'".encode()
    order = list(names)
    random.shuffle(order)  # type: ignore[attr-defined]
    for name in order:
        edited = shell_block.with_line(now, name, None)
        now = edited.data
    assert now == data
    assert edited.folders == (2 if data is None else 0)


@hypothesis.given(TEXT, TEXT, TEXT)
def test_what_others_write_around_the_block_stays(data: bytes, above: bytes, below: bytes) -> None:
    inside = shell_block.with_line(data, "A", b"export A='1'").data
    assert inside is not None
    head = above + b"\n" if above and not above.endswith(b"\n") else above
    left = shell_block.with_line(head + inside + below, "A", None).data
    assert left is not None
    assert left in (head + data + below, head + data + b"\n" + below)


def test_what_a_person_wrote_inside_the_block_stays_too() -> None:
    data = shell_block.with_line(b"x\n", "A", b"export A='1'").data
    assert data is not None
    edited = data.replace(b"export A='1'\n", b"export A='1'\nalias mine=ls\n")
    left = shell_block.with_line(edited, "A", None).data
    assert left == edited.replace(b"export A='1'\n", b"")


@pytest.mark.parametrize(
    "data",
    [
        shell_block.BEGIN,
        shell_block.END,
        shell_block.END + b"\n" + shell_block.BEGIN,
        b"\n".join([shell_block.BEGIN, shell_block.BEGIN, shell_block.END]),
        b"\n".join([shell_block.BEGIN, shell_block.END, shell_block.BEGIN, shell_block.END]),
    ],
)
def test_marks_that_are_not_one_pair_are_not_guessed_at(data: bytes) -> None:
    for line in (b"export A='1'", None):
        with pytest.raises(shell_block.Damaged):
            shell_block.with_line(data, "A", line)


@pytest.mark.allow_subprocess
@pytest.mark.skipif(os.name == "nt", reason="its shells are others")
def test_a_block_after_every_usual_file_of_a_distribution_is_read(tmp_path: Path) -> None:
    skeleton = Path("/etc/skel/.bashrc")
    if not skeleton.exists():
        pytest.skip("this system has no /etc/skel/.bashrc")
    data = shell_block.with_line(skeleton.read_bytes(), "HF_HOME", shell_line("bash", "HF_HOME", "/x").encode()).data
    assert data is not None
    (tmp_path / ".bashrc").write_bytes(data)
    ended = subprocess.run(
        ["bash", "-ic", "printenv HF_HOME"],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert ended.stdout == b"/x\n"
