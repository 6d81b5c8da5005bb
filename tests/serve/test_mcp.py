"""The tools of `beige mcp`, through the protocol's own client."""

import os
import socket
import subprocess
import sys
import time

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from beige import Index, Text
from beige.embedder import Embedder
from beige.index.place import Folder
from beige.search import Request
from beige.search.wire import as_answer
from beige.serve.keys import create
from beige.serve.mcp import build, of

LONG = "\n\n".join(f"Part {number} is about light and water and stones. " * 12 for number in range(20))


@pytest.fixture(scope="module")
def folder(folders, tmp_path_factory):
    path = tmp_path_factory.mktemp("mcp") / "index"
    with Index.open(path, Embedder(folders["bert"])) as index:
        texts = [Text("notes/light", "The speed of light in water.", fields={"floor": 3}), Text("notes/long", LONG)]
        index.add([*texts, Text("stone", "A stone lies on the road.")])
    return path


async def asked(client: Client) -> None:
    """What every way of speaking must answer."""
    assert [tool.name for tool in (await client.list_tools()).tools] == ["search", "read_passage", "list_documents"]
    found = (await client.call_tool("search", {"query": "speed of light", "limit": 2})).structured_content
    assert found["hits"][0]["source"] == "notes/light"
    listed = (await client.call_tool("list_documents", {"prefix": "notes/"})).structured_content
    assert listed == {"documents": ["notes/light", "notes/long"], "next": None}


def test_over_stdio(folder):
    command = StdioServerParameters(
        command=sys.executable,
        args=["-c", "from beige.cli import main; main()", "mcp", "--index", str(folder)],
        env=dict(os.environ),
    )

    async def ask() -> None:
        async with Client(command) as client:
            await asked(client)

    anyio.run(ask)


def test_in_process_with_every_argument_and_refusals_in_a_sentence(folder):
    async def ask(client: Client, tool: str, **arguments: object):
        return await client.call_tool(tool, arguments)

    async def check() -> None:
        with Index.open(folder) as index:
            async with Client(build(of(index))) as client:
                await asked(client)
                request = Request("water", 3, filter="floor:3")
                found = await ask(client, "search", query="water", limit=3, filter="floor:3")
                expected = as_answer(index.run(request), request)
                assert [hit["source"] for hit in found.structured_content["hits"]] == ["notes/light"]
                assert found.structured_content["hits"][0].keys() == expected["hits"][0].keys()
                texts, start = [], 0
                while start is not None:
                    part = await ask(client, "read_passage", source="notes/long", start=start, length=1000)
                    texts += [passage["text"] for passage in part.structured_content["passages"]]
                    start = part.structured_content["next"]
                assert texts == [chunk.text for chunk in index.store.document("notes/long").chunks]
                page = (await ask(client, "list_documents", limit=2)).structured_content
                assert page["next"] == "notes/long"
                page = (await ask(client, "list_documents", limit=2, after=page["next"])).structured_content
                assert page == {"documents": ["stone"], "next": None}
                for tool, arguments, said in [
                    ("search", {"query": " "}, "the query is empty"),
                    ("search", {"query": "water", "filter": "((("}, "filter"),
                    ("read_passage", {"source": "../../etc/passwd"}, "there is no document"),
                ]:
                    told = await ask(client, tool, **arguments)
                    assert told.is_error
                    assert said in told.content[0].text

    anyio.run(check)


def test_over_http(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    code = "from beige.cli import main; main()"
    server = subprocess.Popen([sys.executable, "-c", code, "mcp", "--index", str(folder), "--http", str(port)])
    try:
        until = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)

        async def ask() -> None:
            async with Client(f"http://127.0.0.1:{port}/mcp") as client:
                await asked(client)

        anyio.run(ask)
    finally:
        server.terminate()
        server.wait()


def test_within_a_server_behind_its_keys(folder, folders, tmp_path, serve):
    keys = tmp_path / "keys.json"
    good = {"Authorization": f"Bearer {create(keys, 'copilot', 'read')}"}

    async def ask(url: str, mode: str) -> None:
        async with (
            httpx2.AsyncClient(headers=good) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
        ):
            await asked(client)
            told = await client.call_tool("search", {"query": " "})
            assert (told.is_error, "the query is empty" in told.content[0].text) == (True, True)

    with serve(models=(str(folders["bert"]),), index=Folder(folder), keys=keys) as server:
        for mode in ("legacy", "auto"):  # by sessions of old, and without
            anyio.run(ask, server.url, mode)
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert httpx2.post(f"{server.url}/mcp", json=call).status_code == 401
        assert httpx2.get(f"{server.url}/mcp", headers=good).status_code == 405  # nothing is ever told unasked
        large = httpx2.post(f"{server.url}/mcp", content=b" " * (9 << 20), headers=good)
        assert large.status_code == 413
        assert (
            'beige_requests_total{route="/mcp",status="200"}' in httpx2.get(f"{server.url}/metrics", headers=good).text
        )


def test_a_server_whose_index_is_not_there_yet_says_so_to_a_copilot(folders, tmp_path, serve):
    async def ask(url: str) -> None:
        async with Client(f"{url}/mcp") as client:
            told = await client.call_tool("list_documents", {})
            assert told.is_error
            assert "there is no index yet" in told.content[0].text

    with serve(models=(str(folders["bert"]),), index=Folder(tmp_path / "none"), keys=tmp_path / "k") as server:
        anyio.run(ask, server.url)
