"""A package index on loopback: wheels made on the spot, served with range requests and the JSON form of the index."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"
if str(SCRIPTS) not in sys.path:
    sys.path.insert(0, str(SCRIPTS))


def make_wheel(folder: Path, filename: str, members: Mapping[str, str], requires: tuple[str, ...] = ()) -> Path:
    """Write an installable wheel. ``filename`` says name, version and tags; ``members`` are its own files."""
    name, version, *tags = filename.removesuffix(".whl").split("-")
    info = f"{name}-{version}.dist-info"
    files = dict(members)
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {line}\n" for line in requires
    )
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {'-'.join(tags)}\n"
    record = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    wheel = folder / filename
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@dataclass
class Published:
    """The served index: its address, and every request that came, as ``path`` or ``path bytes=a-b``."""

    base: str
    folder: Path
    requests: list[str] = field(default_factory=list)
    requires_python: dict[str, str] = field(default_factory=dict)


@contextmanager
def serve(folder: Path) -> Iterator[Published]:
    """Serve every wheel and sdist in ``folder`` until the block ends."""
    published = Published("", folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(False)

        def do_GET(self) -> None:
            self._answer(True)

        def _answer(self, with_body: bool) -> None:
            asked = self.headers.get("Range", "")
            published.requests.append(f"{self.path} {asked}".strip())
            if self.path.startswith("/simple/"):
                body, kind = _project(published, self.path.split("/")[2]), "application/vnd.pypi.simple.v1+json"
            else:
                file = folder / self.path.rpartition("/")[2]
                body, kind = (file.read_bytes() if file.is_file() else None), "application/octet-stream"
            if body is None:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            size, status = len(body), 200
            if match := re.fullmatch(r"bytes=(\d*)-(\d*)", asked):
                first = int(match[1]) if match[1] else max(0, size - int(match[2]))
                last = min(int(match[2]), size - 1) if match[1] and match[2] else size - 1
                body, status = body[first : last + 1], 206
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    published.base = f"http://127.0.0.1:{server.server_port}/simple"
    try:
        yield published
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _project(published: Published, name: str) -> bytes | None:
    files = [
        {
            "filename": file.name,
            "url": f"{published.base.removesuffix('/simple')}/files/{file.name}",
            "hashes": {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
            "size": file.stat().st_size,
            "upload-time": "2026-01-02T03:04:05Z",
            "requires-python": published.requires_python.get(file.name),
            "yanked": False,
        }
        for file in sorted(published.folder.iterdir())
        if file.name.split("-")[0].replace("_", "-").lower() == name
    ]
    if not files:
        return None
    meta = {"api-version": "1.1"}
    return json.dumps({"meta": meta, "name": name, "versions": [], "files": files}).encode()
