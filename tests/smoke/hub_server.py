"""A small server on loopback that speaks the hub's protocol, with faults to order, and a proxy to put in between.

What it answers is what huggingface_hub's own documentation and its requests show: ``resolve`` with X-Repo-Commit and
ETag; large files as a redirect to another origin with X-Linked-Etag and X-Linked-Size; lists of a repository's files;
errors with X-Error-Code. The endpoint is ``localhost``, the place of the large files ``127.0.0.1``: two origins.
"""

from __future__ import annotations

import hashlib
import json
import re
import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
#: bytes from which on a file is kept outside git
LARGE = 4096
RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+))?(/.*)?")


@dataclass
class Fault:
    """What happens to requests whose method and path match; ``times`` of them, -1 for all.

    One of: ``status`` (with ``headers`` and ``body``), ``cut`` (the connection closes after so many bytes of the body),
    ``flip`` (the byte at this place is another), ``stall`` (nothing more comes after so many bytes).
    """

    path: str
    method: str = "GET|HEAD"
    times: int = -1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    flip: int | None = None
    stall: int | None = None

    def takes(self, method: str, path: str) -> bool:
        """Whether this request is hit; counts it."""
        if not self.times or not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        self.times -= 1
        return True


def git_hash(content: bytes) -> str:
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def etag(content: bytes) -> str:
    """What the hub announces for a file of this content."""
    return hashlib.sha256(content).hexdigest() if len(content) >= LARGE else git_hash(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Whoever goes away in the middle, or does not accept the certificate, is what is tested."""


class Hub:
    """``with Hub({"models": {"a/b": {"config.json": b"{}"}}}) as hub``: ``hub.url`` is the endpoint.

    ``log`` holds ``METHOD path status`` of every request, ``authorised`` the Authorization header of each.
    """

    def __init__(self, repositories: dict[str, dict[str, dict[str, bytes]]], *faults: Fault) -> None:
        self.repositories = repositories
        self.faults = list(faults)
        self.log: list[str] = []
        self.authorised: list[str] = []
        self.lists = True
        self.scheme = "http"
        self.closing = threading.Event()
        self.blobs = {
            hashlib.sha256(content).hexdigest(): content
            for kind in repositories.values()
            for files in kind.values()
            for content in files.values()
        }
        self.server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))

    def secured_by(self, context: ssl.SSLContext) -> Hub:
        """Speak TLS with this context's certificate."""
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.scheme = "https"
        return self

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    @property
    def elsewhere(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        hub = self.hub
        hub.authorised.append(self.headers.get("Authorization", ""))
        fault = next((fault for fault in hub.faults if fault.takes(self.command, path)), None)
        if fault and fault.status:
            self.send(fault.status, fault.body, {"Content-Type": "text/plain", **fault.headers})
        elif fault and fault.stall == 0:
            self.hang()
        elif found := RESOLVE.fullmatch(path):
            self.resolve("datasets" if found[1] else "models", found[2], found[4], fault)
        elif found := API.fullmatch(path):
            self.api(found, body)
        elif path.startswith("/lfs/") and path[5:] in hub.blobs:
            content = hub.blobs[path[5:]]
            self.content(content, {"ETag": f'"{path[5:]}"'}, fault)
        else:
            self.send(404, b"Not Found", {})

    def files(self, kind: str, name: str) -> dict[str, bytes] | None:
        """The files of a repository; where there is none, the hub's own answer is sent: 401 to strangers."""
        files = self.hub.repositories.get(kind, {}).get(name)
        if files is None:
            known = bool(self.headers.get("Authorization"))
            head = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            self.send(404 if known else 401, b"", head)
        return files

    def resolve(self, kind: str, name: str, file: str, fault: Fault | None) -> None:
        files = self.files(kind, name)
        if files is None:
            return
        head = {"X-Repo-Commit": COMMIT}
        if file not in files:
            self.send(404, b"", {**head, "X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
            return
        content = files[file]
        head["ETag"] = f'"{etag(content)}"'
        if len(content) < LARGE:
            self.content(content, head, fault)
            return
        head |= {"X-Linked-Etag": head["ETag"], "X-Linked-Size": str(len(content))}
        signed = f"{self.hub.elsewhere}/lfs/{etag(content)}?X-Amz-Signature=of-{'a' * 32}"
        self.send(302, b"", {**head, "Location": signed})

    def api(self, found: re.Match[str], body: bytes) -> None:
        kind, name, what = found[1], found[2], found[3]
        files = self.files(kind, name)
        if files is None:
            return
        if not self.hub.lists:
            self.send(404, b"no such thing here", {"Content-Type": "text/plain"})
            return
        entries = [self.entry(path, content) for path, content in sorted(files.items())]
        if what == "tree":
            self.json(entries)
        elif what == "paths-info":
            asked = json.loads(body)["paths"] if body[:1] == b"{" else []
            self.json([entry for entry in entries if entry["path"] in asked])
        else:
            siblings = [
                {"rfilename": entry["path"], "blobId": entry["oid"], "size": entry["size"]}
                | ({"lfs": {"sha256": entry["lfs"]["oid"], **entry["lfs"]}} if "lfs" in entry else {})
                for entry in entries
            ]
            about = {"id": name, "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0}
            self.json({**about, "gated": False, "disabled": False, "siblings": siblings})

    @staticmethod
    def entry(path: str, content: bytes) -> dict[str, Any]:
        """A file as the hub lists it."""
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
        if len(content) >= LARGE:
            entry["lfs"] = {"oid": etag(content), "size": len(content), "pointerSize": 130}
        return entry

    def json(self, value: Any) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json", "X-Repo-Commit": COMMIT})

    def content(self, content: bytes, head: dict[str, str], fault: Fault | None) -> None:
        """A file, or the range of it that is asked for, with what the fault does to it."""
        if fault and fault.flip is not None:
            content = content[: fault.flip] + bytes([content[fault.flip] ^ 1]) + content[fault.flip + 1 :]
        status, whole = 200, len(content)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), int(asked[2] or whole - 1)
            status, content = 206, content[first : last + 1]
            head = {**head, "Content-Range": f"bytes {first}-{last}/{whole}"}
        head = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **head}
        stop = next((place for place in (fault.cut, fault.stall) if place is not None), None) if fault else None
        self.send(status, content, head, stop)
        if fault and self.command == "GET" and fault.stall is not None:
            self.hang()

    def send(self, status: int, body: bytes, head: dict[str, str], stop: int | None = None) -> None:
        self.hub.log.append(f"{self.command} {urlsplit(self.path).path} {status}")
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:  # as the proxy asks for; whoever keeps its connections must know
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if stop is None else body[:stop])
            self.wfile.flush()
            if stop is not None:
                self.close_connection = True

    def hang(self) -> None:
        """Keep the connection open and say nothing, until the server ends or the other side goes."""
        self.close_connection = True
        while not self.hub.closing.wait(0.1):
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                return


class Proxy:
    """A forward proxy on loopback that notes what it carries: ``carried`` holds ``METHOD host:port``.

    ``login`` is the Proxy-Authorization header that it wants; without it the answer is 407. ``refuses`` answers 403.
    """

    def __init__(self, login: str = "", refuses: bool = False) -> None:
        self.login = login
        self.refuses = refuses
        self.carried: list[str] = []
        self.bytes = 0
        self.server = _Server(("127.0.0.1", 0), type("Handler", (_ProxyHandler,), {"proxy": self}))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class _ProxyHandler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def admitted(self) -> bool:
        """Whether the request may pass; the answer is sent where it may not."""
        status = 0
        if self.proxy.login and self.headers.get("Proxy-Authorization") != self.proxy.login:
            status = 407
        elif self.proxy.refuses:
            status = 403
        if status:
            self.send_response(status)
            if status == 407:
                self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
        return not status

    def do_CONNECT(self) -> None:
        if not self.admitted():
            return
        host, _, port = self.path.rpartition(":")
        self.proxy.carried.append(f"CONNECT {self.path}")
        with socket.create_connection((host, int(port)), 10) as other:
            self.send_response(200, "Connection established")
            self.end_headers()
            self.wfile.flush()
            self.relay(self.connection, other)
        self.close_connection = True

    def do_GET(self) -> None:
        if not self.admitted():
            return
        parts = urlsplit(self.path)
        self.proxy.carried.append(f"{self.command} {parts.netloc}")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        head = [f"{self.command} {path} HTTP/1.1", "Connection: close"]
        skipped = ("proxy-", "connection")
        head += [f"{name}: {value}" for name, value in self.headers.items() if not name.lower().startswith(skipped)]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with socket.create_connection((parts.hostname or "", parts.port or 80), 10) as other:
            other.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + body)
            while data := other.recv(65536):
                self.proxy.bytes += len(data)
                self.connection.sendall(data)
        self.close_connection = True

    do_HEAD = do_POST = do_GET

    def relay(self, one: socket.socket, other: socket.socket) -> None:
        """Carry bytes both ways until a side ends."""
        last = time.monotonic()
        while time.monotonic() - last < 30:
            ready = select.select([one, other], [], [], 0.5)[0]
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                last = time.monotonic()
                self.proxy.bytes += len(data)
                (other if source is one else one).sendall(data)


def folder_files(folder: Path) -> dict[str, bytes]:
    """The files of a folder, as a repository holds them."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
