"""The network probe against real servers on loopback, each wrong in its own way."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hfdoctor.facts.fact import known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import network
from hfdoctor.facts.probes.contact import Trust, proxy_for, trust_for, try_address
from hfdoctor.facts.sections.settings import ConfigValue, Variable
from hfdoctor.facts.snapshot import Snapshot

Handler = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(handle: Handler) -> Iterator[int]:
    """A server on loopback that calls ``handle`` for each connection; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    stop = threading.Event()

    def accept() -> None:
        while not stop.is_set():
            try:
                link, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            link.settimeout(5)
            threading.Thread(target=run, args=(link,), daemon=True).start()

    def run(link: socket.socket) -> None:
        with contextlib.suppress(OSError), link:
            handle(link)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        listener.close()
        thread.join(1)


def head_of(link: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = link.recv(4096)
        if not chunk:
            break
        data += chunk
    return data


def answering(status: int, seen: list[bytes] | None = None) -> Handler:
    def handle(link: socket.socket) -> None:
        head = head_of(link)
        if seen is not None:
            seen.append(head)
        link.sendall(f"HTTP/1.1 {status} Some Words\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    return handle


def tunnelling(seen: list[bytes], status: int = 200) -> Handler:
    """A proxy that knows CONNECT."""

    def handle(link: socket.socket) -> None:
        head = head_of(link)
        seen.append(head)
        if status != 200:
            link.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
            return
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        with socket.create_connection((host, int(port)), 5) as onward:
            link.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

            def back() -> None:
                with contextlib.suppress(OSError):
                    while data := onward.recv(65536):
                        link.sendall(data)
                    link.shutdown(socket.SHUT_WR)

            threading.Thread(target=back, daemon=True).start()
            while data := link.recv(65536):
                onward.sendall(data)

    return handle


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority of one's own (ca.pem) and a server's certificate (server.pem, .key)."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("needs the openssl program to make certificates")
    folder = tmp_path_factory.mktemp("authority")

    def call(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    subject = "/CN=Example Inspection CA/O=Example Corp"
    make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-subj", subject]
    call(*make, "-out", "ca.pem", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    more = "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    (folder / "names").write_text(f"subjectAltName=DNS:localhost\n{more}")
    (folder / "names-only").write_text("subjectAltName=DNS:localhost\nauthorityKeyIdentifier=none\n")
    call("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "request", "-subj", "/CN=localhost")
    sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-in", "request"]
    call("x509", "-req", *sign, "-out", "server.pem", "-days", "2")
    call("x509", "-req", *sign, "-out", "old.pem", "-days", "-1")
    sloppy = [word.replace("names", "names-only") for word in sign]
    call("x509", "-req", *sloppy, "-out", "sloppy.pem", "-days", "2")
    return folder


def secured(folder: Path, handle: Handler, certificate: str = "server.pem") -> Handler:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / certificate, folder / "server.key")

    def wrapped(link: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(link, server_side=True) as inside:
            handle(inside)

    return wrapped


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("status", "ok"),
    [(200, True), (302, True), (401, True), (404, True), (403, False), (429, False), (500, False), (503, False)],
)
def test_status(status: int, ok: bool) -> None:
    with serving(answering(status)) as port:
        contact = try_address(f"http://127.0.0.1:{port}/simple/", "", Trust(), 5)
    assert (contact.ok, contact.status, contact.stage) == (ok, status, "done" if ok else "http")
    assert contact.why == ("" if ok else "status")


def test_refused() -> None:
    contact = try_address(f"http://127.0.0.1:{closed_port()}/", "", Trust(), 5)
    assert (contact.ok, contact.stage, contact.why) == (False, "connect", "refused")


def test_no_such_name() -> None:
    contact = try_address("http://no-such-host.invalid/", "", Trust(), 5)
    assert (contact.stage, contact.why) == ("dns", "no-name")


def test_a_server_that_accepts_and_says_nothing() -> None:
    def silent(link: socket.socket) -> None:
        head_of(link)
        time.sleep(3)

    with serving(silent) as port:
        began = time.monotonic()
        contact = try_address(f"http://127.0.0.1:{port}/", "", Trust(), 1.0)
    assert (contact.stage, contact.why) == ("http", "timeout")
    assert time.monotonic() - began < 2.5


def test_a_server_that_hangs_in_the_handshake() -> None:
    with serving(lambda link: time.sleep(3)) as port:
        contact = try_address(f"https://127.0.0.1:{port}/", "", Trust(), 1.0)
    assert (contact.stage, contact.why) == ("tls", "timeout")


def test_a_connection_that_is_cut() -> None:
    def cut(link: socket.socket) -> None:
        head_of(link)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with RST

    with serving(cut) as port:
        contact = try_address(f"http://127.0.0.1:{port}/", "", Trust(), 5)
    assert (contact.stage, contact.why) == ("http", "reset")


def test_a_handshake_that_is_cut() -> None:
    def cut(link: socket.socket) -> None:
        link.recv(4096)
        link.sendall(b"\x16\x03\x03\x00\x40")  # the head of a record, and nothing after it

    with serving(cut) as port:
        contact = try_address(f"https://127.0.0.1:{port}/", "", Trust(), 5)
    assert (contact.stage, contact.why) == ("tls", "reset")


def test_a_server_that_speaks_no_tls() -> None:
    def plain(link: socket.socket) -> None:
        link.recv(4096)
        link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(plain) as port:
        contact = try_address(f"https://127.0.0.1:{port}/", "", Trust(), 5)
    assert (contact.stage, contact.why) == ("tls", "tls")


def test_something_that_is_no_web_server() -> None:
    with serving(lambda link: link.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")) as port:
        contact = try_address(f"http://127.0.0.1:{port}/", "", Trust(), 5)
    assert (contact.stage, contact.why) == ("http", "not-http")
    assert "SSH-2.0" in contact.error


@pytest.mark.allow_subprocess
def test_trusted_certificate(authority: Path) -> None:
    trust = trust_for({"SSL_CERT_FILE": str(authority / "ca.pem")}, "hub")
    with serving(secured(authority, answering(200))) as port:
        contact = try_address(f"https://localhost:{port}/", "", trust, 5)
    assert contact.ok, contact
    assert contact.trust == "SSL_CERT_FILE"


@pytest.mark.allow_subprocess
def test_a_certificate_of_somebody_unknown_names_him(authority: Path) -> None:
    with serving(secured(authority, answering(200))) as port:
        contact = try_address(f"https://localhost:{port}/", "", Trust(), 5)
    assert (contact.stage, contact.why) == ("tls", "certificate")
    assert contact.issuer == "Example Inspection CA, Example Corp"


@pytest.mark.allow_subprocess
def test_an_inspecting_proxy_is_named_through_the_tunnel(authority: Path) -> None:
    seen: list[bytes] = []
    with serving(secured(authority, answering(200))) as port, serving(tunnelling(seen)) as proxy:
        contact = try_address(f"https://localhost:{port}/", f"http://127.0.0.1:{proxy}", Trust(), 5)
    assert (contact.stage, contact.why, contact.issuer) == ("tls", "certificate", "Example Inspection CA, Example Corp")
    assert contact.proxy == f"127.0.0.1:{proxy}"


@pytest.mark.allow_subprocess
def test_wrong_name_and_old_certificate(authority: Path) -> None:
    trust = Trust("SSL_CERT_FILE", file=str(authority / "ca.pem"))
    with serving(secured(authority, answering(200))) as port:
        named = try_address(f"https://127.0.0.1:{port}/", "", trust, 5)
    assert named.why == "certificate-name"
    with serving(secured(authority, answering(200), "old.pem")) as port:
        old = try_address(f"https://localhost:{port}/", "", trust, 5)
    assert old.why == "certificate-date"


@pytest.mark.allow_subprocess
def test_a_sloppy_certificate_is_refused_by_python_3_13_alone(authority: Path) -> None:
    """A company's proxy may leave out the authority's key identifier: what the target's Python does counts."""
    trust = Trust("SSL_CERT_FILE", file=str(authority / "ca.pem"))
    with serving(secured(authority, answering(200), "sloppy.pem")) as port:
        loose = try_address(f"https://localhost:{port}/", "", trust._replace(strict=False), 5)
        strict = try_address(f"https://localhost:{port}/", "", trust._replace(strict=True), 5)
    assert loose.ok, loose
    assert (strict.ok, strict.why) == (False, "certificate")
    assert "Authority Key Identifier" in strict.error


@pytest.mark.allow_subprocess
@pytest.mark.parametrize("content", [None, b"", b"no certificate\n"])
def test_a_bundle_that_cannot_be_used(authority: Path, tmp_path: Path, content: bytes | None) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    with serving(secured(authority, answering(200))) as port:
        contact = try_address(f"https://localhost:{port}/", "", Trust("SSL_CERT_FILE", file=str(bundle)), 5)
    assert (contact.stage, contact.why) == ("tls", "bundle")


def test_proxy_that_wants_a_login() -> None:
    seen: list[bytes] = []
    with serving(tunnelling(seen, 407)) as proxy:
        contact = try_address("https://example.invalid/", f"http://127.0.0.1:{proxy}", Trust(), 5)
    assert (contact.stage, contact.why) == ("proxy", "proxy-login")
    assert seen[0].startswith(b"CONNECT example.invalid:443 HTTP/1.1")


def test_proxy_that_refuses() -> None:
    with serving(tunnelling([], 403)) as proxy:
        contact = try_address("https://example.invalid/", f"127.0.0.1:{proxy}", Trust(), 5)
    assert (contact.stage, contact.why) == ("proxy", "proxy-refused")


def test_proxy_login_is_sent_to_the_proxy_and_not_kept() -> None:
    seen: list[bytes] = []
    with serving(answering(200, seen)) as proxy:
        contact = try_address("http://example.invalid/x", f"http://ana:s3cr%25et@127.0.0.1:{proxy}", Trust(), 5)
    assert contact.ok
    assert seen[0].startswith(b"GET http://example.invalid/x HTTP/1.1")
    assert b"Proxy-Authorization: Basic YW5hOnMzY3IlZXQ=" in seen[0]
    assert "s3cr" not in repr(contact)
    assert contact.proxy == f"127.0.0.1:{proxy}"


def test_closed_proxy() -> None:
    contact = try_address("https://example.invalid/", f"http://127.0.0.1:{closed_port()}", Trust(), 5)
    assert (contact.stage, contact.why) == ("proxy", "refused")


@pytest.mark.parametrize("proxy", ["http://", "http:/127.0.0.1:1", "http://127.0.0.1:abc", "htp://x:1", '"http://x:1"'])
def test_proxy_setting_that_is_no_address(proxy: str) -> None:
    contact = try_address("https://example.invalid/", proxy, Trust(), 5)
    assert (contact.ok, contact.stage) == (False, "proxy")
    assert contact.why in ("proxy-setting", "no-name")


def test_which_proxy_applies() -> None:
    url = "https://huggingface.co/"
    assert proxy_for(url, {}) == ""
    assert proxy_for(url, {"HTTPS_PROXY": "http://up:1", "https_proxy": "http://low:1"}) == "http://low:1"
    assert proxy_for(url, {"HTTPS_PROXY": "http://up:1", "https_proxy": ""}) == ""
    assert proxy_for(url, {"ALL_PROXY": "http://all:1"}) == "http://all:1"
    assert proxy_for(url, {"HTTP_PROXY": "http://plain:1"}) == ""
    assert proxy_for(url, {"HTTPS_PROXY": "http://up:1", "NO_PROXY": "localhost, huggingface.co"}) == ""
    assert proxy_for(url, {"HTTPS_PROXY": "http://up:1", "no_proxy": "*"}) == ""


def context(tmp_path: Path, environ: dict[str, str], online: bool = True) -> Context:
    snapshot = Snapshot()
    snapshot.settings.variables = known([Variable(name, value) for name, value in environ.items()])
    snapshot.settings.pip_config = known([])
    request = Request(online=online, cwd=tmp_path, environ=environ)
    return Context(request, snapshot, time.monotonic() + 20)


def test_nothing_is_contacted_unless_asked(tmp_path: Path) -> None:
    seen: list[bytes] = []
    with serving(answering(200, seen)) as port:
        ctx = context(tmp_path, {"HF_ENDPOINT": f"http://127.0.0.1:{port}"}, online=False)
        network.probe(ctx)
        time.sleep(0.1)
    assert seen == []
    assert ctx.snapshot.network.hub.status == "not-run"
    assert ctx.snapshot.network.hub.reason == "needs --online"


def test_probe_contacts_both_and_sends_no_login(tmp_path: Path) -> None:
    seen: list[bytes] = []
    with serving(answering(200, seen)) as hub, serving(answering(401, seen)) as index:
        ctx = context(tmp_path, {"HF_ENDPOINT": f"http://127.0.0.1:{hub}/mirror"})
        ctx.snapshot.settings.pip_config = known(
            [ConfigValue("global.index-url", f"http://***@127.0.0.1:{index}/simple", "pip.conf")]
        )
        network.probe(ctx)
    found = ctx.snapshot.network
    assert found.hub.need().ok and found.hub.need().url == f"http://127.0.0.1:{hub}/mirror/"
    assert found.index.need().ok and found.index.need().status == 401
    assert all(b"Authorization" not in head for head in seen)
    assert sorted(head.split(b" ")[1] for head in seen) == [b"/mirror/", b"/simple"]


def test_a_folder_as_index_is_not_contacted(tmp_path: Path) -> None:
    with serving(answering(200)) as hub:
        ctx = context(tmp_path, {"HF_ENDPOINT": f"http://127.0.0.1:{hub}", "PIP_INDEX_URL": "file:///srv/simple"})
        network.probe(ctx)
    assert ctx.snapshot.network.index.absent


def test_a_socks_proxy_is_not_spoken_to(tmp_path: Path) -> None:
    ctx = context(tmp_path, {"HF_ENDPOINT": "http://example.invalid", "ALL_PROXY": "socks5://ana:pw@127.0.0.1:9"})
    network.probe(ctx)
    fact = ctx.snapshot.network.hub
    assert fact.status == "not-run"
    assert "socks5://***@127.0.0.1:9" in fact.reason
