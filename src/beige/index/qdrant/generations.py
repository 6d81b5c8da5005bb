"""The generations of an index on a server: each is a collection, and which one serves is a matter of aliases.

`notes` stands for the one that serves, `notes.next` and `notes.previous` for those beside it. Whoever fills or drops
one holds its lease, so that no two do.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from beige.errors import LockedError, StoreError
from beige.index.generations import NEXT, PATIENCE, PREVIOUS, REBUILD, Swap
from beige.index.qdrant.address import Address
from beige.index.qdrant.alias import aliases, delete, point, refuse_plain, resolved, sweep
from beige.index.qdrant.collection import is_there
from beige.index.qdrant.connection import connected
from beige.index.qdrant.lease import Lease, leased
from beige.index.qdrant.store import QdrantStore
from beige.index.store import Store

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


class CollectionGenerations:
    """See `Generations`.

    Args:
        address: of the index.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Remove what a kill has left; what keeps others out is the lease of the generation that is filled."""
        with connected(self._address) as client:
            refuse_plain(client, self._address)
            sweep(client, self._address)
        yield

    @contextmanager
    def locked_out(self) -> Iterator[Swap]:
        """Hold the lease of the one that serves."""
        with connected(self._address) as client:
            while True:
                try:
                    at, lease = leased(client, self._address)
                    break
                except LockedError:
                    time.sleep(PATIENCE)

            def swap(name: str, store: Store) -> None:
                assert isinstance(store, QdrantStore)
                lease.renew()
                serving, next_one, previous = (
                    one.collection for one in (at, *map(self._address.beside, (NEXT, PREVIOUS)))
                )
                names = {previous: at.target, serving: store.address.target, next_one: None}
                if name == PREVIOUS:
                    names = {serving: store.address.target, previous: at.target}
                point(client, self._address, names)

            try:
                yield swap
            finally:
                lease.release()

    def drop(self, name: str) -> None:
        """Remove a generation that nobody fills."""
        with connected(self._address) as client:
            _drop(client, self._address, name)


@contextmanager
def replacement(address: Address) -> Iterator[Address]:
    """An address for a new index, which takes the place of the one here when the block ends without an error.

    Processes that search the old index go on with the new one; no moment has half of each. What a migration of the old
    one has left goes with it.

    Raises:
        LockedError: another process writes to the old index.
        UsageError: the collection bears its name itself.
    """
    beside = address.beside(REBUILD)
    with connected(address) as client:
        refuse_plain(client, address)
        sweep(client, address)
        lease = leased(client, address)[1] if is_there(client, address) else None
        try:
            _drop(client, address, REBUILD)  # of one that was killed
            yield beside
            if lease is not None:
                lease.renew()
            there = aliases(client, address)
            left = [beside.collection, *(address.beside(name).collection for name in (NEXT, PREVIOUS))]
            point(client, address, {address.collection: there[beside.collection], **dict.fromkeys(left)})
            if lease is not None:
                lease.release()
            for name in (address.collection, *left[1:]):
                if name in there:
                    delete(client, address, there[name])
        finally:
            with suppress(StoreError):  # a lease runs out, and the next one sweeps
                if lease is not None:
                    lease.release()
                _drop(client, address, REBUILD)


def _drop(client: "QdrantClient", address: Address, name: str) -> None:
    beside = resolved(client, address.beside(name))
    if beside.generation is None:
        return
    Lease(client, beside).release()
    if beside.generation == resolved(client, address).generation:
        point(client, address, {beside.collection: None})
    else:
        delete(client, address, beside.generation)
