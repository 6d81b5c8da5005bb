"""A server that answers as a test tells it."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

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
