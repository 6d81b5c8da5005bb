"""Servers on ephemeral ports with tiny checkpoints."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from beige.index.place import Folder
from beige.serve.server import Server
from beige.serve.settings import Settings
from tests import checkpoints, xlmr_checkpoints


@contextmanager
def serving(*, ready: bool = True, **settings: Any) -> Iterator[Server]:
    """A server in a thread of this process, with the address in `server.url`."""
    server = Server(Settings(port=0, **settings))
    failed: list[BaseException] = []

    def run() -> None:
        try:
            server.serve_forever()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until = time.monotonic() + 60
        while not failed and (not server.started or (ready and not is_ready(server.url))):
            assert time.monotonic() < until
            time.sleep(0.01)
        if failed:
            raise failed[0]
        yield server
    finally:
        server.should_exit = True
        thread.join()


def is_ready(url: str) -> bool:
    return httpx2.get(f"{url}/health/ready").status_code == 200


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny models: an embedder, one with all outputs, a reranker."""
    folder = tmp_path_factory.mktemp("served")
    return {
        "bert": checkpoints.tiny_bert(folder / "tiny-bert"),
        "m3": xlmr_checkpoints.tiny_m3(folder / "tiny-m3"),
        "reranker": xlmr_checkpoints.tiny_reranker(folder / "tiny-reranker"),
    }


@pytest.fixture(scope="session")
def server(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with all of them, without keys, in fp32."""
    with serving(
        models=(str(folders["bert"]), str(folders["m3"])),
        rerankers=(str(folders["reranker"]),),
        precision="fp32",
        aliases={"text-embedding-3-small": "tiny-bert"},
        keys=tmp_path_factory.mktemp("keys") / "keys.json",
        index=Folder(tmp_path_factory.mktemp("library") / "index"),
    ) as started:
        yield started


@pytest.fixture(scope="session")
def url(server: Server) -> str:
    return server.url


@pytest.fixture
def post(url: str) -> Iterator[Callable[..., httpx2.Response]]:
    """Sends JSON to a path of the server."""
    with httpx2.Client(base_url=url, timeout=30) as client:
        yield lambda path, body, **more: client.post(path, json=body, **more)


@pytest.fixture
def serve() -> Callable[..., AbstractContextManager[Server]]:
    return serving
