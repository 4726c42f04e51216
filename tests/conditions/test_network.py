"""Proxies and certificates: what is said of them, held against what pip and huggingface_hub really do."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.clients import proxies, stops_hub, stops_pip
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding
from hfdoctor.facts.fact import known
from hfdoctor.facts.probes.certificates import certificates
from hfdoctor.facts.probes.settings import variables
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded

#: value -> what stops: with nothing but this in HTTPS_PROXY ({} is a working proxy's host:port)
PROXIES = {
    "http://{}": "",
    "{}": "",
    "HTTP://{}": "",
    "http://{}/": "",
    "http://ana:p@w@{}": "",
    "http://ana:p%w@{}": "",
    "http://ana b:pw@{}": "",
    '"http://{}"': "pip hub",
    "'http://{}'": "pip hub",
    " http://{}": "pip hub",
    "http://{} ": "pip",
    "htp://{}": "pip hub",
    "socks://{}": "pip hub",
    "socks5://{}": "pip hub",
    "socks5h://{}": "pip hub",
    "socks4://{}": "pip hub",
    "http:/{}": "pip hub",
    "http:\\\\{}": "pip hub",
    "http://": "pip hub",
    "http://127.0.0.1:port": "pip hub",
    "http://127.0.0.1:99999": "pip hub",
    "http://ana:p#w@{}": "pip hub",
    "http://ana:p/w@{}": "pip hub",
    "http://ana:p?w@{}": "pip hub",
    "http://ana:p[w@{}": "pip",
    "http://CORP\\ana:pw@{}": "pip",
    "ana:pw@{}": "pip",
}


def with_variables(environ: dict[str, str]) -> Snapshot:
    s = recorded.build("linux")
    s.settings.variables = variables(environ)
    return s


def finding(s: Snapshot, condition: str) -> Finding:
    found = [entry for entry in diagnose(s).findings if entry.condition == condition]
    assert len(found) == 1, [entry.summary for entry in found]
    return found[0]


def judged(environ: dict[str, str]) -> str:
    s = with_variables(environ)
    pip = any(stops_pip(s, proxy) for proxy in proxies(s))
    hub = any(stops_hub(s, proxy) for proxy in proxies(s))
    return " ".join(name for name, stops in (("pip", pip), ("hub", hub)) if stops)


@pytest.mark.parametrize(("value", "stops"), PROXIES.items())
def test_proxy_settings(value: str, stops: str) -> None:
    value = value.replace("{}", "127.0.0.1:3128")
    assert judged({"HTTPS_PROXY": value}) == stops
    found = finding(with_variables({"HTTPS_PROXY": value}), "network-unreachable")
    assert found.severity == ({"": None, "pip": "warning"}.get(stops, "error"))
    assert found.outcome == ("fail" if stops else "pass")


def test_the_hubs_client_takes_up_settings_that_it_does_not_use() -> None:
    assert judged({"HTTPS_PROXY": "http://good:1", "ALL_PROXY": "socks://x:1"}) == "hub"
    assert judged({"HTTP_PROXY": "bad://x"}) == "hub"
    assert judged({"FTP_PROXY": "bad://x"}) == ""
    assert judged({"https_proxy": "", "HTTPS_PROXY": "bad://x"}) == ""  # lower case decides, and says none


def test_socks_with_the_packages_for_it() -> None:
    s = with_variables({"ALL_PROXY": "socks5://127.0.0.1:1080"})
    entries = s.packages.distributions.need()
    for name in ("socksio", "pysocks"):
        extra = type(entries[0])(name=name, version="1.0", path=f"/x/{name}-1.0.dist-info")
        entries.append(extra)
    assert finding(s, "network-unreachable").outcome == "pass"


def test_without_pip_only_the_hub_counts() -> None:
    s = with_variables({"HTTPS_PROXY": "http://proxy:1 "})
    s.target.pip.status, s.target.pip.value = "absent", None
    assert finding(s, "network-unreachable").outcome == "pass"


def test_passwords_stay_out_of_the_report() -> None:
    s = with_variables({"HTTPS_PROXY": "htp://ana:s3cret@proxy:1"})
    assert b"s3cret" not in msgspec.json.encode(diagnose(s))


def test_nothing_set_and_nothing_asked_is_no_pass() -> None:
    for condition in ("network-unreachable", "ssl-certificate"):
        assert finding(recorded.build("linux"), condition).outcome == "skip"


# --- the same, done for real -------------------------------------------------------------------------------------


@contextlib.contextmanager
def proxy_server() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that notes what reaches it and answers 503 to everything."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = listener.accept()
                with link, contextlib.suppress(OSError):
                    link.settimeout(5)
                    seen.append(link.recv(65536))
                    link.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.close()


CLEAN = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_RETRIES": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
}

ASK_HUB = "import sys; from huggingface_hub.utils import get_session; get_session().head(sys.argv[1], timeout=5)"

#: one proxy setting after the other, each in a process of its own that need not load the client again
ASK_OFTEN = """
import os, sys
CLIENT
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.environ["HTTPS_PROXY"] = line[:-1]
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            ask()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    print("done", flush=True)
"""
HUB = """
from huggingface_hub.utils import get_session
ask = lambda: get_session().head("https://localhost:9/x", timeout=5)"""
PIP = """
from pip._internal.cli.main import main
from pip._internal.commands import create_command
create_command("download")
ask = lambda: main(["download", "--no-deps", "--index-url", "https://localhost:9/", "nothing"])"""
OFTEN = {"pip": PIP, "hub": HUB}


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.allow_subprocess
@pytest.mark.skipif(os.name == "nt", reason="the environment is laid out as on POSIX")
def test_the_real_clients_agree_about_proxies(torch_env: Path, tmp_path: Path) -> None:
    """A value stops a client exactly if nothing of the client's ever reaches the proxy."""
    base = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **CLEAN}
    python = str(torch_env / "bin/python")
    wrong = {}
    with contextlib.ExitStack() as stack:
        clients = {name: stack.enter_context(asked_often(python, code, base, tmp_path)) for name, code in OFTEN.items()}
        for pattern, stops in PROXIES.items():
            stopped = []
            for name, client in clients.items():
                with proxy_server() as (address, seen):
                    client.stdin.write(f"{pattern.replace('{}', address)}\n")
                    client.stdin.flush()
                    assert client.stdout.readline() == "done\n"
                    stopped += [] if seen else [name]
            if " ".join(stopped) != stops:
                wrong[pattern] = (stops, stopped)
    assert not wrong


def asked_often(python: str, code: str, environ: dict[str, str], cwd: Path) -> subprocess.Popen[str]:
    """A client that asks once with each value of HTTPS_PROXY that it is told, and says "done" afterwards."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([python, "-c", ASK_OFTEN.replace("CLIENT", code)], env=environ, cwd=cwd, text=True, **pipes)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.allow_subprocess
def test_the_real_clients_agree_about_bundles(torch_env: Path, tmp_path: Path) -> None:
    """With a bundle that the doctor calls useless no client begins an encrypted connection; with others they do."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("needs the openssl program to make a certificate")
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key",
        "-out",
        "good.pem",
        "-subj",
        "/CN=x",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    good = (tmp_path / "good.pem").read_bytes()
    (tmp_path / "cut.pem").write_bytes(good[:500])
    (tmp_path / "text.pem").write_text("no certificate")
    (tmp_path / "folder").mkdir()
    python = str(torch_env / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    for file in ("good.pem", "cut.pem", "text.pem", "missing.pem", "folder", ""):
        value = str(tmp_path / file) if file else ""
        s = recorded.build("linux")
        s.settings.certificates = certificates({"SSL_CERT_FILE": value}, "", str(tmp_path))
        accused = finding(s, "ssl-certificate").outcome == "fail"
        with proxy_server() as (address, seen):
            environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SSL_CERT_FILE": value}
            command = [python, "-c", ASK_HUB, f"https://{address}/x"]
            ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
            assert any(seen) != accused, (file, ended.stderr[-300:])

        s.settings.certificates = certificates({"REQUESTS_CA_BUNDLE": value}, "", str(tmp_path))
        s.packages.distributions = known([])
        accused = finding(s, "ssl-certificate").severity == "error"
        with proxy_server() as (address, seen):
            environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "REQUESTS_CA_BUNDLE": value, **CLEAN}
            command = [python, "-m", "pip", "download", "--no-deps", "--index-url", f"https://{address}/", "nothing"]
            ended = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60)
            if file != "folder":  # an empty folder trusts nobody, which shows only once somebody has answered
                assert any(seen) != accused, (file, ended.stderr[-300:])
