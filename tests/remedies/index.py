"""A package index on loopback that serves the wheels of a folder, with a password if it is told to."""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import threading
from pathlib import Path


class Index:
    """``url`` is what an installer asks. Use it with ``with``."""

    def __init__(self, folder: Path, user: str = "", password: str = "") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.secret = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self.login = f"{user}:{password}@" if user else ""
        #: paths that were asked for
        self.asked: list[str] = []
        #: ends of paths that are answered with an error
        self.broken: list[str] = []
        #: wheels are sent while it is set
        self.open = threading.Event()
        self.open.set()
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                index.answer(self, True)

            def do_HEAD(self) -> None:
                index.answer(self, False)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://{self.login}127.0.0.1:{self.server.server_port}/simple"

    def __enter__(self) -> Index:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: http.server.BaseHTTPRequestHandler, whole: bool) -> None:
        self.asked.append(request.path)
        status, kind, body = self._page(request)
        request.send_response(status)
        if status == 401:
            request.send_header("WWW-Authenticate", 'Basic realm="index"')
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if whole:
            request.wfile.write(body)

    def _page(self, request: http.server.BaseHTTPRequestHandler) -> tuple[int, str, bytes]:
        if self.secret and request.headers.get("Authorization") != f"Basic {self.secret}":
            return 401, "text/plain", b"who are you?"
        if any(request.path.endswith(end) for end in self.broken):
            return 500, "text/plain", b"no"
        parts = request.path.strip("/").split("/")
        if parts[0] == "simple" and len(parts) == 2:
            wanted = parts[1]
            links = []
            for file in sorted(self.folder.iterdir()):
                if re.sub(r"[-_.]+", "-", file.name.split("-")[0]).lower() == wanted:
                    digest = hashlib.sha256(file.read_bytes()).hexdigest()
                    links.append(f'<a href="/files/{file.name}#sha256={digest}">{file.name}</a>')
            page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
            return (200, "text/html", page.encode()) if links else (404, "text/plain", b"not here")
        if parts[0] == "files":
            self.open.wait(60)
        if parts[0] == "files" and (self.folder / parts[-1]).is_file():
            return 200, "application/octet-stream", (self.folder / parts[-1]).read_bytes()
        return 404, "text/plain", b"not here"
