"""A local stand-in of the Hub's HTTP API: model information, file trees, and files with ETag and Range."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.http_server import Handler, serving

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
    with serving(_Handler, hub=hub) as hub.url:
        yield hub


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _git(content)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Handler(Handler):
    hub: Hub

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
        self.send(status, headers={"X-Error-Code": code, "X-Error-Message": code})

    def _json(self, value: Any) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

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
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{entry["oid"]}"', "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if "lfs" in entry:
            headers |= {"X-Linked-Etag": f'"{entry["lfs"]["oid"]}"', "X-Linked-Size": str(len(content))}
        body = content[start:]
        headers["Content-Length"] = str(len(body))
        if self.command == "GET" and name in self.hub.forged:
            body = bytes(byte ^ 1 for byte in body[:16]) + body[16:]
        if self.command == "GET" and self.hub.breaks[name] > 0:
            self.hub.breaks[name] -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        return self.send(206 if start else 200, body, headers)
