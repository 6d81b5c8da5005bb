"""What a name stands for: an index's name is an alias of the collection that serves.

A server changes several aliases in one request, at once for whoever asks it. So another collection takes the place of
the one that serves without a moment that has neither.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from beige.errors import UsageError
from beige.index.qdrant.address import Address
from beige.index.qdrant.connection import calling

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

STALE = timedelta(hours=1)
"""How old a collection without an alias must be to count as left behind: a younger one may be just being made."""

_TIME = "%Y%m%d%H%M%S"


def aliases(client: "QdrantClient", address: Address) -> dict[str, str]:
    """The collections that names on the server stand for."""
    return {one.alias_name: one.collection_name for one in calling(address, client.get_aliases).aliases}


def resolved(client: "QdrantClient", address: Address) -> Address:
    """The address with what its name stands for now."""
    return replace(address, generation=aliases(client, address).get(address.collection))


def point(client: "QdrantClient", address: Address, names: Mapping[str, str | None]) -> None:
    """Have names stand for collections, in one request; None forgets a name."""
    from qdrant_client import models

    calling(
        address,
        client.update_collection_aliases,
        [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
            if collection is None
            else models.CreateAliasOperation(
                create_alias=models.CreateAlias(alias_name=name, collection_name=collection)
            )
            for name, collection in names.items()
        ],
    )


def refuse_plain(client: "QdrantClient", address: Address) -> None:
    """See that another collection can take the place of the one of this name.

    Raises:
        UsageError: the name is the collection's own, as an earlier Beige made it, and cannot be an alias too.
    """
    if address.collection not in aliases(client, address) and calling(
        address, client.collection_exists, address.collection
    ):
        raise UsageError(
            f"the collection {address} bears its name itself, as an earlier Beige made it, so that no other can take "
            f"its place: copy it with beige move qdrant+{address.url}/NAME --index {address}, which embeds nothing, "
            "and go on with the copy"
        )


def new_generation(name: str) -> str:
    """A name for a collection of this index, which says when it was made."""
    return f"{name}.{datetime.now(UTC).strftime(_TIME)}{secrets.token_hex(3)}"


def sweep(client: "QdrantClient", address: Address) -> None:
    """Remove collections of this index that no name stands for: whoever made, or dropped, them was killed."""
    made = re.compile(re.escape(address.collection) + r"\.(\d{14})[0-9a-f]{6}")
    before = (datetime.now(UTC) - STALE).strftime(_TIME)
    there = [one.name for one in calling(address, client.get_collections).collections]
    named = set(aliases(client, address).values())  # asked later, so that none made meanwhile is missed
    for name in there:
        if (match := made.fullmatch(name)) and name not in named and match[1] <= before:
            delete(client, address, name)


def delete(client: "QdrantClient", address: Address, collection: str) -> None:
    """Remove a collection, and all that stands for it."""
    calling(address, client.delete_collection, collection)
