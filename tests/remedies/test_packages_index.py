"""Where packages come from: the settings of pip and uv, their passwords included, which stay where they are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

from hfdoctor.remedies.action import Difference, Refused, quiet
from hfdoctor.remedies.packages.index import pip_settings, source
from hfdoctor.remedies.packages.uv import reason_in

from .index import Index
from .package_room import Room, room

__all__ = ["room"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="tests/windows has its own"),
]


def with_pip(room: Room, conf: str) -> None:
    """A target whose packages pip manages, set up by ``conf``; uv is set up to ask nobody."""
    room.wheel("pip", "99")
    room.create("pip")
    info = next(room.library.glob("pip-*.dist-info"))
    (info / "INSTALLER").unlink()
    (info / "INSTALLER").write_text("pip\n")
    (room.folder / "pip.conf").write_text(conf)
    room.environ["PIP_CONFIG_FILE"] = str(room.folder / "pip.conf")
    room.environ["UV_DEFAULT_INDEX"] = "http://127.0.0.1:9/uv-must-not-be-asked"


def test_pips_index_is_asked_with_its_password_which_is_told_nobody(room: Room, tmp_path: Path) -> None:
    with Index(tmp_path / "private", "ana", "hunter2") as private:
        with_pip(room, f"[global]\nindex-url = {private.url}\n")
        room.index.folder.joinpath("pip-99-py3-none-any.whl").rename(private.folder / "pip-99-py3-none-any.whl")
        from .wheels import make_wheel

        make_wheel(private.folder, "hub", "1.0")
        action = room.prepare("hub")
        told = msgspec.json.encode(action) + repr(action.describe()).encode()
        assert b"hunter2" not in told
        action.apply(quiet)
        assert action.look().state == "after"
        kept = [path for path in (room.folder / "work").rglob("*") if path.is_file()]
        kept += [path for path in room.env.rglob("*") if path.is_file()]
        assert not [path for path in kept if b"hunter2" in path.read_bytes()]
        private.secret = "other"
        (private.folder / "hub-2.0-py3-none-any.whl").write_bytes(b"")
        with pytest.raises(Refused) as refused:
            room.prepare("hub>=2")
        assert "hunter2" not in str(refused.value)


def test_pip_takes_the_best_version_of_any_index(room: Room, tmp_path: Path) -> None:
    with Index(tmp_path / "extra") as extra:
        with_pip(room, f"[global]\nindex-url = {room.index.url}\nextra-index-url =\n    {extra.url}\n")
        from .wheels import make_wheel

        room.wheel("hub", "2.0")
        make_wheel(extra.folder, "hub", "1.0")
        make_wheel(extra.folder, "only-here", "1.0")
        assert room.prepare("hub", "only-here").describe() == [
            Difference("hub", "not installed", "2.0"),
            Difference("only-here", "not installed", "1.0"),
        ]


def test_pip_without_an_index_takes_wheels_from_folders(room: Room, tmp_path: Path) -> None:
    from .wheels import make_wheel

    make_wheel(tmp_path / "house", "hub", "1.0")
    with_pip(room, f"[install]\nno-index = true\nfind-links = {tmp_path}/missing {tmp_path}/house\n")
    action = room.prepare("hub")  # PyPI has one of this name, too
    assert action.describe() == [Difference("hub", "not installed", "1.0")]
    action.apply(quiet)
    assert action.look().state == "after"
    with pytest.raises(Refused, match="requests was not found in the provided package locations"):
        room.prepare("requests")


def test_the_index_of_a_change_is_asked_alone(room: Room, tmp_path: Path) -> None:
    with Index(tmp_path / "pytorch") as pytorch:
        from .wheels import make_wheel

        room.wheel("torchy", "3.0")
        make_wheel(pytorch.folder, "torchy", "2.0+cu126")
        room.create()
        assert room.prepare("torchy", index=pytorch.url).describe() == [
            Difference("torchy", "not installed", "2.0+cu126")
        ]
        assert room.prepare("torchy", extra_index=pytorch.url).describe() == [
            Difference("torchy", "not installed", "3.0")
        ]


def test_uvs_settings_hold_for_what_uv_installed(room: Room) -> None:
    room.wheel("hub", "1.0")
    room.wheel("hub", "2.0")
    room.create("hub==1.0")
    room.environ["PIP_INDEX_URL"] = "http://127.0.0.1:9/pip-must-not-be-asked"
    assert room.prepare("hub>=2").describe() == [Difference("hub", "1.0", "2.0")]
    del room.environ["UV_DEFAULT_INDEX"]
    room.environ["PIP_INDEX_URL"] = room.index.url  # the mirror that this machine can reach is pip's alone
    assert room.prepare("hub>=2").describe() == [Difference("hub", "1.0", "2.0")]


def test_a_setting_that_sends_packages_elsewhere_is_refused(room: Room) -> None:
    room.wheel("hub", "1.0")
    room.create()
    room.environ["PIP_TARGET"] = "/somewhere"
    with pytest.raises(Refused, match="its setting target"):
        room.prepare("hub")


def test_pips_files_and_variables_are_read_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex_url = https://a/\ncert = /c\n[install]\nindex-url = https://b/\n"
    )
    environ = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    assert pip_settings(environ, str(tmp_path), "", str(tmp_path))["index-url"] == "https://b/"
    environ["PIP_INDEX_URL"] = "https://c/"
    assert pip_settings(environ, str(tmp_path), "", str(tmp_path))["index-url"] == "https://c/"
    (tmp_path / "pip.conf").write_text("index-url\n")
    with pytest.raises(Refused, match=r"pip\.conf cannot be understood"):
        pip_settings(environ, str(tmp_path), "", str(tmp_path))


def test_certificates_and_proxies_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    environ = {"PIP_CONFIG_FILE": os.devnull, "PIP_CERT": str(tmp_path / "ca.pem"), "PIP_PROXY": "http://p:1"}
    found = source(environ, str(tmp_path), str(tmp_path), "", tool="pip").over(environ)
    assert found["SSL_CERT_FILE"] == str(tmp_path / "ca.pem")
    assert found["HTTPS_PROXY"] == "http://p:1"
    environ = {"PIP_CONFIG_FILE": os.devnull}
    found = source(environ, str(tmp_path), str(tmp_path), "", tool="pip").over(environ)
    assert found["UV_SYSTEM_CERTS"] == "1"


def test_uvs_reason_is_one_line_with_what_failed_and_why() -> None:
    said = "Using Python 3.11 environment at: x\nerror: Failed to install: a\n  cause: Failed to copy " + "/long" * 200
    said += "\n  cause: No space left on device (os error 28)\n\nhint: ask https://ana:hunter2@host/x\n"
    reason = reason_in(said)
    assert reason.startswith("Failed to install: a: Failed to copy /long")
    assert reason.endswith(": No space left on device (os error 28)")
    assert len(reason) < 450
    older = "  x No solution found when resolving dependencies:\n"
    older += "  `-> Because a was not found and\n      you require a, it fails.\n"
    assert reason_in(older) == "Because a was not found and you require a, it fails."
    assert "hunter2" not in reason_in("error: Failed to fetch: `https://ana:hunter2@host/simple`")
