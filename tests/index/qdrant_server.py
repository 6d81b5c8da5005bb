"""A server that speaks Qdrant's HTTP over qdrant-client's in-process collections, and fails as it is told to.

What it answers is the client library's own; what is tested over it is everything that in-process calls leave out:
addresses, keys, JSON, timeouts, retries, versions.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models

Answer = tuple[int, Any]


@dataclass
class State:
    """What the server is told, and what it was asked.

    Attributes:
        key: that requests must carry; None for any.
        version: that it says it is of.
        failures: statuses and texts with which the next requests to paths that end so are refused.
        late: statuses with which the next requests to paths that end so are answered after they were carried out.
        keep: how many of the changes of the next request of several are made before the node is lost; None for all.
        delay: seconds before each answer.
        paths: of all requests so far.
    """

    client: QdrantClient = field(default_factory=lambda: QdrantClient(":memory:"))
    key: str | None = None
    version: str = "1.15.3"
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    late: list[tuple[str, int]] = field(default_factory=list)
    keep: int | None = None
    delay: float = 0.0
    paths: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""


def _made(kind: Any, body: Any) -> Any:
    return TypeAdapter(kind).validate_python(body)


def _create(client: QdrantClient, name: str, body: Any) -> Any:
    request = _made(models.CreateCollection, body)
    done = client.create_collection(
        name, vectors_config=request.vectors or {}, sparse_vectors_config=request.sparse_vectors
    )
    made = client._client.collections[name].config  # in-process collections are not spread, and remember nothing of it
    made.shard_number, made.replication_factor = request.shard_number, request.replication_factor
    return done


def _change(client: QdrantClient, name: str, body: Any) -> Any:
    request = _made(models.UpdateCollection, body)
    return client.update_collection(name, vectors_config=request.vectors)


def _upsert(client: QdrantClient, name: str, body: Any) -> Any:
    return client.upsert(name, _made(models.PointsList, body).points)


def _retrieve(client: QdrantClient, name: str, body: Any) -> Any:
    request = _made(models.PointRequest, body)
    return client.retrieve(
        name, request.ids, with_payload=request.with_payload or False, with_vectors=request.with_vector or False
    )


def _scroll(client: QdrantClient, name: str, body: Any) -> Any:
    request = _made(models.ScrollRequest, body)
    found, offset = client.scroll(
        name,
        request.filter,
        limit=request.limit or 10,
        offset=request.offset,
        order_by=request.order_by,
        with_payload=request.with_payload or False,
        with_vectors=request.with_vector or False,
    )
    return {"points": found, "next_page_offset": offset}


def _query(client: QdrantClient, name: str, body: Any) -> Any:
    return client.query_batch_points(name, [_made(models.QueryRequest, body)])[0]


def _batch(client: QdrantClient, name: str, body: Any) -> Any:
    return client.query_batch_points(name, _made(models.QueryRequestBatch, body).searches)


def _count(client: QdrantClient, name: str, body: Any) -> Any:
    return client.count(name, _made(models.CountRequest, body).filter)


def _facet(client: QdrantClient, name: str, body: Any) -> Any:
    request = _made(models.FacetRequest, body)
    return client.facet(name, request.key, request.filter, limit=request.limit or 10, exact=True)


def _update(client: QdrantClient, name: str, body: Any) -> Any:
    return client.batch_update_points(name, _made(models.UpdateOperations, body).operations)


def _rename(client: QdrantClient, body: Any) -> Any:
    return client.update_collection_aliases(_made(models.ChangeAliasesOperation, body).actions)


def _update_some(state: "State", name: str, body: Any) -> Any:
    """The first so many changes of a request; then the node is gone."""
    for operation in _made(models.UpdateOperations, body).operations[: state.keep]:
        state.client.batch_update_points(name, [operation])
    state.keep = 0
    return 500, {"status": {"error": "a node is lost"}}


OF_THE_SERVER: dict[tuple[str, str], Callable[[QdrantClient, Any], Any]] = {
    ("GET", "/collections"): lambda client, _: client.get_collections(),
    ("GET", "/aliases"): lambda client, _: client.get_aliases(),
    ("POST", "/collections/aliases"): _rename,
}

ROUTES: dict[tuple[str, str], Callable[[QdrantClient, str, Any], Any]] = {
    ("GET", "exists"): lambda client, name, _: {"exists": client.collection_exists(name)},
    ("GET", ""): lambda client, name, _: client.get_collection(name),
    ("PUT", ""): _create,
    ("PATCH", ""): _change,
    ("DELETE", ""): lambda client, name, _: client.delete_collection(name),
    ("PUT", "index"): lambda *_: {"operation_id": 1, "status": "completed"},
    ("PUT", "points"): _upsert,
    ("POST", "points"): _retrieve,
    ("POST", "points/scroll"): _scroll,
    ("POST", "points/query"): _query,
    ("POST", "points/query/batch"): _batch,
    ("POST", "points/count"): _count,
    ("POST", "facet"): _facet,
    ("POST", "points/batch"): _update,
}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _answer(state: State, method: str, path: str, body: Any, key: str | None) -> Answer:
    if state.key is not None and key != state.key:
        return 401, {"status": {"error": "Invalid API key or JWT"}}
    for number, (ending, status, text) in enumerate(state.failures):
        if path.endswith(ending):
            del state.failures[number]
            return status, {"status": {"error": text}}
    if path.endswith("points/batch") and state.keep:
        return _update_some(state, path.split("/")[2], body)
    if path == "/":
        return 200, {"title": "qdrant - vector search engine", "version": state.version}
    try:
        with state.lock:
            if whole := OF_THE_SERVER.get((method, path)):
                result = whole(state.client, body)
            else:
                _, _, name, *rest = path.split("/")
                result = ROUTES[method, "/".join(rest)](state.client, unquote(name), body)
    except ValueError as error:
        return (404 if "not found" in str(error) else 400), {"status": {"error": str(error)}}
    for number, (ending, status) in enumerate(state.late):
        if path.endswith(ending):
            del state.late[number]
            return status, {"status": {"error": "the connection to a replica was lost"}}
    return 200, {"result": _plain(result), "status": "ok", "time": 0.0}


@contextmanager
def serving(state: State | None = None) -> Iterator[State]:
    """A server on a free port while the block runs."""
    state = state or State()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nothing: tests read the state."""

        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = urlsplit(self.path).path
            state.paths.append(path)
            time.sleep(state.delay)
            status, answer = _answer(state, self.command, path, body, self.headers.get("api-key"))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = _do

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
