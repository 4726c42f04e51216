"""What a person set up for pip applies to uv as well."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.set_up.settings import for_pip, for_uv, pip_configuration
from tests.setup.checkout import PERSON, Checkout, base_python

pytestmark = pytest.mark.allow_subprocess


def said_to_uv(environment: dict[str, str], pip: dict[str, str]) -> dict[str, str]:
    """What uv is told beside what every set-up tells it."""
    told = for_uv(environment, pip)
    assert told.pop("UV_COMPILE_BYTECODE") == "1"
    return told


def test_uv_compiles_as_pip_does_unless_the_person_said_otherwise() -> None:
    assert for_uv({"UV_COMPILE_BYTECODE": "0"}, {}) == {"UV_COMPILE_BYTECODE": "0"}


def test_a_mirror_becomes_uv_s_default_index() -> None:
    assert said_to_uv({}, {"index-url": "https://mirror/simple"}) == {"UV_DEFAULT_INDEX": "https://mirror/simple"}


@pytest.mark.parametrize("own", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_uv_s_own_settings_win(own: str) -> None:
    assert said_to_uv({own: "https://mine"}, {"index-url": "https://mirror"}) == {own: "https://mine"}


def test_further_indexes_count_as_much_as_the_first_as_they_do_for_pip() -> None:
    assert said_to_uv({}, {"extra-index-url": "https://a/simple\nhttps://b/simple"}) == {
        "UV_INDEX": "https://a/simple https://b/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_local_places_that_do_not_exist_are_left_out(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    configured = {
        "find-links": f"{wheels} {tmp_path}/gone https://host/links {wheels.as_uri()}",
        "extra-index-url": f"{(tmp_path / 'nowhere').as_uri()}",
    }
    assert said_to_uv({}, configured) == {"UV_FIND_LINKS": f"{wheels},https://host/links,{wheels.as_uri()}"}


def test_the_other_settings() -> None:
    configured = {
        "no-index": "true",
        "cert": "/ca.pem",
        "trusted-host": "a\nb",
        "default-timeout": "180",
        "proxy": "http://proxy:3128",
        "constraint": "c.txt",
    }
    assert said_to_uv({"https_proxy": "http://mine"}, configured) == {
        "UV_NO_INDEX": "1",
        "SSL_CERT_FILE": "/ca.pem",
        "UV_INSECURE_HOST": "a b",
        "UV_HTTP_TIMEOUT": "180",
        "HTTP_PROXY": "http://proxy:3128",
        "https_proxy": "http://mine",
        "UV_CONSTRAINT": "c.txt",
    }


def test_what_would_lead_an_installer_elsewhere_is_dropped() -> None:
    misleading = {
        "PIP_TARGET": "/x",
        "PIP_USER": "1",
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/x",
        "UV_SYSTEM_PYTHON": "1",
        "UV_VENV_CLEAR": "1",
    }
    assert said_to_uv({"A": "1", **misleading, "PIP_USER": ""}, {}) == {"A": "1", "PIP_USER": ""}
    assert {name: for_pip(misleading).get(name) for name in misleading} == dict.fromkeys(misleading) | {"PIP_USER": "0"}


def test_pip_is_asked_what_its_files_say(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://file/simple\ntimeout = 7\n"
        "[install]\ntimeout = 8\nfind-links =\n    /one\n    /two\n"
    )
    environ = {"PATH": PERSON.get("PATH", ""), "HOME": str(tmp_path), "PIP_CONFIG_FILE": str(file)}
    # the environment that runs the tests may have been made without pip
    if subprocess.run([base_python(), "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("the installation behind the running Python has no pip")
    found = pip_configuration(base_python(), environ | {"PIP_INDEX_URL": "https://variable/simple"})
    assert found["index-url"] == "https://variable/simple", "a variable is stronger than a file"
    assert (found["timeout"], found["find-links"].split()) == ("8", ["/one", "/two"])


def test_without_pip_the_variables_still_count(tmp_path: Path) -> None:
    assert pip_configuration(tmp_path / "no-python", {"PIP_FIND_LINKS": "/wheels", "PIP_CERT": ""}) == {
        "find-links": "/wheels"
    }


@pytest.fixture
def index() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A package index on loopback that has nothing, and what it was asked: path and client."""
    asked: list[tuple[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("User-Agent", "").split("/")[0]))
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/simple", asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("where", ["variable", "file"])
def test_both_installers_ask_the_mirror(
    light_checkout: Callable[..., Checkout],
    uv_environ: dict[str, str],
    index: tuple[str, list[tuple[str, str]]],
    tmp_path: Path,
    where: str,
) -> None:
    address, asked = index
    file = tmp_path / "pip.conf"
    file.write_text(f"[global]\nindex-url = {address}\n" if where == "file" else "")
    checkout = light_checkout(
        **uv_environ,
        PIP_CONFIG_FILE=str(file),
        PIP_INDEX_URL=address if where == "variable" else "",
        PIP_FIND_LINKS="",
    )
    # a mirror set in the person's own configuration must not come before the one of this test
    home = tmp_path / "home"
    home.mkdir()
    cold = str(tmp_path / "cold")
    result = checkout.run(
        "--version", python=base_python(), HOME=str(home), PIP_CACHE_DIR=cold, UV_CACHE_DIR=cold, NO_PROXY="127.0.0.1"
    )
    assert result.returncode == 3
    assert "the package index lacks what is needed" in result.stderr
    assert {("/simple/hatchling/", "uv"), ("/simple/hatchling/", "pip")} <= set(asked)
