"""The documents that a server has."""

from collections.abc import Iterator
from dataclasses import fields

from beige.index.server.connection import Connection
from beige.index.store import Stored

ROUTE = "/v1/documents"

PAGE = 1000
"""Documents that are listed in one request."""


def listed(connection: Connection, prefix: str = "", where: str | None = None, after: str = "") -> Iterator[Stored]:
    """Every document whose name begins with the prefix and stands behind another one, by name; of those that pass.

    Raises:
        MissingError: the server has no index yet.
        BeigeError: it cannot be asked, or refuses.
    """
    last: str | None = after
    while last is not None:
        page = connection.get(ROUTE, prefix=prefix, filter=where, after=last, limit=PAGE)
        with connection.understood():
            found = [Stored(**{one.name: said[one.name] for one in fields(Stored)}) for said in page["documents"]]
            last = page["next"]
        yield from found
