"""The token's shape: every oddity is told, a real one has none, and the token itself is never kept."""

from __future__ import annotations

import random
import string
from pathlib import Path

import msgspec
import pytest

from hfdoctor.facts.probes.hub_token import read_token, shape_of

REAL = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz01234567"


def test_a_real_token_is_not_odd() -> None:
    assert shape_of(REAL, "HF_TOKEN").oddities == []
    assert shape_of("hf_oauth_" + "eyJhbGciOi" * 9, "HF_TOKEN").oddities == []


def test_tokens_drawn_at_random_are_never_taken_for_placeholders() -> None:
    draw = random.Random(2)
    letters = string.ascii_letters + string.digits
    for start in ("my", "Your", "add", "PUT", "test", "token", "abc", "", "123"):
        for _ in range(50):
            token = "hf_" + (start + "".join(draw.choices(letters, k=34)))[:34]
            assert shape_of(token, "HF_TOKEN").oddities == []


@pytest.mark.parametrize(
    ("token", "oddities"),
    [
        (f'"{REAL}"', ["quoted"]),
        (f"\u201c{REAL}\u201d", ["quoted", "non-ascii"]),
        (f"{REAL}\n", ["newline"]),
        (f"{REAL}\r\n", ["newline"]),
        (f" {REAL}", ["whitespace"]),
        (f"Bearer {REAL}", ["bearer-prefix"]),
        ("hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", ["placeholder"]),
        ("hf_...", ["placeholder"]),
        ("<your token>", ["inner-whitespace", "placeholder"]),
        ("your_token_here", ["placeholder"]),
        ("hf_YOUR_TOKEN_HERE", ["placeholder"]),
        ("YOUR_HF_TOKEN", ["placeholder"]),
        ("${HF_TOKEN}", ["placeholder"]),
        ("%HF_TOKEN%", ["placeholder"]),
        ("None", ["placeholder"]),
        ("HF_TOKEN", ["placeholder"]),
        ("hf_abc123", ["placeholder"]),
        ("sk-proj-" + "a1" * 20, ["other-service"]),
        ("ghp_" + "a1" * 18, ["other-service"]),
        ("hf_Q7e4", ["too-short"]),
        (REAL[:20] + " " + REAL[20:], ["inner-whitespace"]),
        (REAL[3:], ["wrong-prefix"]),
        ("", ["empty"]),
        ("  \n", ["newline", "whitespace", "empty"]),
    ],
)
def test_oddities(token: str, oddities: list[str]) -> None:
    assert shape_of(token, "HF_TOKEN").oddities == oddities


def test_the_token_is_not_in_the_fact(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f'"{REAL}"\n')
    for environ in ({"HF_TOKEN": REAL}, {}):
        fact = read_token(environ, str(tmp_path / "token"))
        assert fact.known
        assert REAL[5:20].encode() not in msgspec.json.encode(fact)


def test_which_token_counts(tmp_path: Path) -> None:
    file = tmp_path / "token"
    assert read_token({}, str(file)).absent
    assert read_token({"HF_TOKEN": ""}, str(file)).absent
    file.write_text("hf_short")
    assert read_token({"HF_TOKEN": "   "}, str(file)).need().oddities == ["too-short"]
    assert read_token({"HUGGING_FACE_HUB_TOKEN": REAL}, str(file)).need().source == "HUGGING_FACE_HUB_TOKEN"
    both = {"HUGGING_FACE_HUB_TOKEN": "x", "HF_TOKEN": REAL}
    assert read_token(both, str(file)).need().source == "HF_TOKEN"
    assert read_token({"hf_token": REAL}, str(file), fold_case=True).need().source == "HF_TOKEN"


def test_files_that_are_no_token_file(tmp_path: Path) -> None:
    assert read_token({}, str(tmp_path)).need().oddities == ["not-a-file"]
    (tmp_path / "token").write_bytes(b"\xff\xfeh\0f\0_\0")
    assert read_token({}, str(tmp_path / "token")).need().oddities == ["not-text"]
    assert read_token({}, str(tmp_path / "token" / "below")).absent
