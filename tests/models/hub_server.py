"""A local stand-in of the Hub's HTTP API: model information, file trees, and files with ETag and Range."""

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".bin", ".pt", ".onnx")


@dataclass
class Hub:
    """What the stand-in serves and what it saw.

    Attributes:
        url: for `HF_ENDPOINT`.
        repositories: files by repository and path.
        gated: repositories that ask for a licence.
        breaks: by file name, how often its transfer still breaks off, each time half-way through what was asked.
        forged: names of files that arrive with other bytes of the same length.
        requests: method and path of every request.
        ranges: the Range headers that were sent for a file, by its name.
    """

    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    breaks: Counter[str] = field(default_factory=Counter)
    forged: set[str] = field(default_factory=set)
    requests: list[tuple[str, str]] = field(default_factory=list)
    ranges: list[tuple[str, str]] = field(default_factory=list)

    def publish(self, repository: str, folder: Path) -> None:
        """Serve every file of a folder."""
        self.repositories[repository] = {
            file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
        }

    def downloads(self) -> list[str]:
        """Paths of the files that were sent, in order."""
        return [
            path.partition("/resolve/")[2].partition("/")[2]
            for how, path in self.requests
            if how == "GET" and "/resolve/" in path
        ]


@contextmanager
def serve() -> Iterator[Hub]:
    """Run the stand-in on a free local port."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _git(content)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path):
            repository, what = found[1], found[2]
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            repository, what = found[1], "file"
        else:
            return self._fail(404, "EntryNotFound")
        if repository in self.hub.gated:
            return self._fail(403, "GatedRepo")
        files = self.hub.repositories.get(repository)
        if files is None:
            return self._fail(401, "RepoNotFound")
        if what == "file":
            return self._file(found[2], files)
        if what == "tree":
            return self._json([_entry(name, content) for name, content in files.items()])
        siblings = [{"rfilename": name} for name in files]
        return self._json({"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings})

    def _fail(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, name: str, files: dict[str, bytes]) -> None:
        if name not in files:
            return self._fail(404, "EntryNotFound")
        content = files[name]
        entry = _entry(name, content)
        start = 0
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if self.command == "GET":
                self.hub.ranges.append((name, asked))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{entry["oid"]}"')
        if "lfs" in entry:
            self.send_header("X-Linked-Etag", f'"{entry["lfs"]["oid"]}"')
            self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "HEAD":
            return None
        body = content[start:]
        if name in self.hub.forged:
            body = bytes(byte ^ 1 for byte in body[:16]) + body[16:]
        if self.hub.breaks[name] > 0:
            self.hub.breaks[name] -= 1
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            return None
        self.wfile.write(body)
        return None
