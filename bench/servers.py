"""Servers that are measured: each runs while a block does, and is told of by what its clients need."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.clients import request
from bench.environments import PeerError, python_of

BEIGE, INFINITY = "Beige", "Infinity"
_PORTS = {BEIGE: 18_471, INFINITY: 18_472}


@dataclass(frozen=True)
class Server:
    """One that runs.

    Attributes:
        base: its address.
        route: OpenAI's for embeddings.
        model: as it calls it.
        pid: its process.
    """

    base: str
    route: str
    model: str
    pid: int

    def asked(self, texts: str | Sequence[str], role: str = "") -> bytes:
        """The request for the embeddings of texts."""
        body = {"input": texts, "model": self.model + role, "encoding_format": "base64"}
        return request(self.base + self.route, json.dumps(body).encode())


@contextmanager
def beige(model: Path) -> Iterator[Server]:
    """Beige, with an index that is filled from nothing."""
    base = f"http://127.0.0.1:{_PORTS[BEIGE]}"
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(_PORTS[BEIGE]), "--model", str(model), "--index", f"{folder}/index"]
        command = [str(Path(sys.executable).with_name("beige")), "serve", "--log-level", "warning", *options]
        with started(command, f"{base}/health/ready") as process:
            yield Server(base, "/v1/embeddings", model.name, process.pid)


@contextmanager
def infinity(model: Path) -> Iterator[Server]:
    """Infinity as its users start it.

    Raises:
        PeerError: it cannot be installed or started here.
    """
    base = f"http://127.0.0.1:{_PORTS[INFINITY]}"
    options = ["--model-id", str(model), "--port", str(_PORTS[INFINITY]), "--device", "cpu"]
    python = python_of("infinity")  # named, since a script's first line names where its environment was made
    command = [str(python), str(python.with_name("infinity_emb")), "v2", *options]
    with started(command, f"{base}/health") as process:
        listed = json.loads(get(f"{base}/models"))
        yield Server(base, "/embeddings", listed["data"][0]["id"], process.pid)


@contextmanager
def started(
    command: Sequence[str], ready: str, patience: float = 180, log: int | None = None
) -> "Iterator[subprocess.Popen[bytes]]":
    """A server that answers at `ready`; it ends with the block.

    Args:
        command: its program and arguments.
        ready: a URL.
        patience: seconds that it may take to answer, and a sixth of them to end.
        log: a file's descriptor for what it says; by default only an error tells of it.

    Raises:
        PeerError: it ended, or did not answer in time.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    with tempfile.TemporaryFile("w+") as said:
        heard = said.fileno() if log is None else log
        with subprocess.Popen(command, stdout=heard, stderr=heard, env=environment) as process:
            try:
                until = time.monotonic() + patience
                while not _answers(ready):
                    if process.poll() is not None or time.monotonic() > until:
                        said.seek(0)
                        raise PeerError(f"{Path(command[0]).name} did not serve: {said.read()[-500:]}")
                    time.sleep(0.2)
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(patience / 6)
                except subprocess.TimeoutExpired:
                    process.kill()


def _answers(url: str) -> bool:
    try:
        return bool(get(url))
    except OSError:
        return False


def get(url: str) -> str:
    """What is answered at an address."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())
