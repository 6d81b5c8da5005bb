"""An index as tools that copilots attach by the Model Context Protocol: search, read a passage, list documents."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any, Protocol, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import ToolAnnotations
from pydantic import Field

from beige import __version__
from beige.errors import BeigeError, InputError
from beige.search import AnyIndex, Request
from beige.search.wire import as_answer

MOST_HITS = 50
MOST_CHARACTERS = 20_000
MOST_DOCUMENTS = 200

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_T = TypeVar("_T")

_Filter = Annotated[
    str | None,
    Field(
        description="Where to look: 'path:docs/** type:pdf,md modified>=2026-01-01 -tag:old'; nothing for everywhere."
    ),
]


class Asks(Protocol):
    """How an index is read without holding up the event loop."""

    async def __call__(self, read: Callable[[AnyIndex], _T]) -> _T:
        """What `read` gives of the index, on a thread.

        Raises:
            BeigeError: what `read` raises, or that there is no index now.
        """


def of(index: AnyIndex) -> Asks:
    """How an index that is open is read."""

    async def ask(read: Callable[[AnyIndex], _T]) -> _T:
        return await asyncio.to_thread(read, index)

    return ask


def build(ask: Asks) -> MCPServer[Any]:
    """The tools over an index.

    Args:
        ask: how it is read.
    """

    async def told(read: Callable[[AnyIndex], _T]) -> _T:
        """What is read; what is wrong becomes a sentence for the model that asked."""
        try:
            return await ask(read)
        except BeigeError as error:
            raise ToolError(str(error)) from error

    server: MCPServer[Any] = MCPServer(
        "beige",
        version=__version__,
        instructions="Search the user's own documents. Search first; read more around a passage by its source and "
        "locator; name the source of what you use.",
        log_level="WARNING",
    )

    async def search(
        query: Annotated[str, Field(description="A question, or some words.")],
        limit: Annotated[int, Field(ge=1, le=MOST_HITS, description="The most passages.")] = 10,
        filter: _Filter = None,
    ) -> dict[str, Any]:
        """Passages of the user's documents that answer a query, by meaning and by words together, best first."""

        def find(index: AnyIndex) -> dict[str, Any]:
            request = Request(query, limit, filter=filter)
            return as_answer(index.run(request), request)

        return await told(find)

    async def read_passage(
        source: Annotated[str, Field(description="The document, as search and list_documents name it.")],
        start: Annotated[int, Field(ge=0, description="Character to begin at, such as a hit's locator.start.")] = 0,
        length: Annotated[int, Field(ge=1, le=MOST_CHARACTERS, description="About how many characters.")] = 4000,
    ) -> dict[str, Any]:
        """The passages of a document from a character on, in reading order; `next` says where to go on."""
        return await told(lambda index: _passages(index, source, start, length))

    async def list_documents(
        prefix: Annotated[str, Field(description="The beginning of their names, such as a folder.")] = "",
        filter: _Filter = None,
        after: Annotated[str, Field(description="`next` of the list before.")] = "",
        limit: Annotated[int, Field(ge=1, le=MOST_DOCUMENTS)] = 50,
    ) -> dict[str, Any]:
        """The names of the user's documents; `next` where there are more."""

        def listed(index: AnyIndex) -> dict[str, Any]:
            names = [one.source for one in islice(index.documents(prefix, filter, after), limit + 1)]
            return {"documents": names[:limit], "next": names[limit - 1] if len(names) > limit else None}

        return await told(listed)

    for tool in (search, read_passage, list_documents):
        server.add_tool(tool, annotations=_READS)
    return server


def over_http(server: MCPServer[Any]) -> StreamableHTTPSessionManager:
    """What answers `POST /mcp` within another application, which has checked names, keys and sizes.

    Each request is answered by itself, and no session is kept: a copilot need not know that the process is another one.
    """
    unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    server.streamable_http_app(json_response=True, stateless_http=True, transport_security=unchecked)
    return server.session_manager


def _passages(index: AnyIndex, source: str, start: int, length: int) -> dict[str, Any]:
    document = index.document(source)
    if document is None:
        raise InputError(f"there is no document {source[:200]!r}: list_documents names those that are")
    following = [chunk for chunk in document.chunks if chunk.locator.end > start]
    shown = [chunk for place, chunk in enumerate(following) if not place or chunk.locator.start < start + length]
    rest = following[len(shown) :]
    return {
        "source": source,
        "passages": [{"text": chunk.text, "locator": asdict(chunk.locator)} for chunk in shown],
        "next": rest[0].locator.start if rest else None,
    }
