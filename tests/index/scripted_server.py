"""A server that answers as a test tells it."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from beige.index.report import KINDS, Change
from beige.index.server.address import parse
from beige.index.server.connection import Connection
from tests.http_server import Handler, serving

Answer = tuple[int, object, dict[str, str]]
Seen = list[tuple[str, str, str | None]]

OK: Answer = (200, {"fine": 1}, {})


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    """What Beige says when it refuses."""
    said = {"error": {"message": message, "type": "x", "param": None, "code": code}}
    return status, said, {name.replace("_", "-"): value for name, value in headers.items()}


def state(status: str, changes: list[Change], failures: tuple[tuple[str, str], ...] = (), **counts: int) -> Answer:
    """What Beige says of a job."""
    said: dict[str, Any] = {
        "id": "j",
        "status": status,
        "documents": dict.fromkeys(KINDS, 0) | counts,
        "chunks": 5,
        "tokens": 50,
        "cut": 1,
        "failures": [{"source": source, "reason": reason} for source, reason in failures],
        "finished": "2026-01-01" if status in ("done", "failed") else None,
        "changes": [
            {"kind": one.kind, "source": one.source, "chunks": one.chunks, "tokens": 0, "cut": 0, "reason": one.reason}
            for one in changes
        ],
    }
    return 200, said, {}


class Scripted(Handler):
    """Answers as the script says, its last line for ever; None breaks the connection off."""

    script: list[Answer | None]
    seen: Seen

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, self.headers.get("Authorization")))
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if step is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        status, said, headers = step
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send(status, content, headers)

    do_GET = do_POST = do_DELETE = answer


@contextmanager
def scripted(*script: Answer | None) -> Iterator[tuple[Connection, Seen, list[float]]]:
    """A connection to a server that answers so; what it saw, and the pauses that were made."""
    seen: Seen = []
    pauses: list[float] = []
    with serving(Scripted, script=list(script), seen=seen) as url:
        made = Connection(parse(url), sleep=pauses.append)
        try:
            yield made, seen, pauses
        finally:
            made.close()
