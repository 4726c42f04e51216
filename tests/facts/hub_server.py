"""A hub on loopback: enough of the protocol for every release of huggingface_hub to download from it.

Files of a repository are given as bytes. What is in ``lfs`` gets a sha256 as its name and is announced like a large
file; the rest is named as git names it.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


def safetensors(tensors: int = 3, values: int = 16) -> bytes:
    """A real file of that format: header and zeros."""
    size = 4 * values
    header = {
        f"layer.{i}.weight": {"dtype": "F32", "shape": [values], "data_offsets": [i * size, (i + 1) * size]}
        for i in range(tensors)
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(range(1, size + 1)) * tensors


def torch_zip() -> bytes:
    """A zip archive with the layout of torch.save."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/data/0", bytes(2000))
    return buffer.getvalue()


class Repo:
    """One repository at one commit."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.commit = hashlib.sha1(repr(sorted(files)).encode()).hexdigest()

    def etag(self, name: str) -> tuple[str, bool]:
        content = self.files[name]
        if name.endswith((".safetensors", ".bin", ".onnx", ".gguf")):
            return hashlib.sha256(content).hexdigest(), True
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(), False

    def tree(self) -> list[dict[str, object]]:
        listing: list[dict[str, object]] = []
        for name, content in sorted(self.files.items()):
            etag, large = self.etag(name)
            entry: dict[str, object] = {"type": "file", "path": name, "size": len(content)}
            if large:
                entry |= {"oid": "0" * 40, "lfs": {"oid": etag, "size": len(content), "pointerSize": 130}}
            else:
                entry["oid"] = etag
            listing.append(entry)
        return listing


MODEL = Repo(
    {
        "config.json": b'{"model_type": "bert"}\n',
        "tokenizer.json": b'{"version": "1.0"}',
        "model.safetensors": safetensors(),
        "pytorch_model.bin": torch_zip(),
        "onnx/model.onnx": b"\x08\x07\x12\x00",
        "README.md": "# \ubaa8\ub378\n".encode(),
        "\uc124\uc815/\uc5b4\ud718.txt": "\uac00\ub098\ub2e4\n".encode(),
        "__init__.py": b"",
        ".gitattributes": b"*.bin filter=lfs\n",
    }
)
SMALL = Repo({"config.json": b'{"a": 1}', "model.safetensors": safetensors(1)})
DATASET = Repo({"data/train.bin": b"", "data/test.bin": bytes(600), "README.md": b"rows"})

REPOS = {"models/ana/tiny": MODEL, "models/gpt0": SMALL, "datasets/ana/rows": DATASET}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/"):
            self._api(path)
            return
        where, _, rest = path.strip("/").partition("/resolve/")
        repo = REPOS.get(where if where.startswith("datasets/") else f"models/{where}")
        name = rest.partition("/")[2]
        if repo is None or name not in repo.files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound" if repo else "RepoNotFound"} | _commit(repo))
            return
        etag, large = repo.etag(name)
        content = repo.files[name]
        headers = _commit(repo) | {"ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        self._send(200, content, headers, body)

    def _api(self, path: str) -> None:
        for name, repo in REPOS.items():
            rest = path.removeprefix(f"/api/{name}")
            if rest == path:
                continue
            if rest.startswith("/tree/"):
                answer: object = repo.tree()
            else:
                short = name.partition("/")[2]
                siblings = [{"rfilename": file} for file in repo.files]
                answer = {"id": short, "modelId": short, "sha": repo.commit, "siblings": siblings}
                answer |= {"private": False, "tags": [], "downloads": 0, "likes": 0}
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})
            return
        self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool = True) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def _commit(repo: Repo | None) -> dict[str, str]:
    return {"X-Repo-Commit": repo.commit} if repo else {}


@contextmanager
def hub() -> Iterator[str]:
    """Serve REPOS; gives the address for HF_ENDPOINT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
