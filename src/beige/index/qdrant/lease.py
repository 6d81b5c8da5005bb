"""One writer at a time: a lease in the collection, which a writer that dies leaves to run out.

A server has no transactions, so two writers that ask within the same moment are told apart by reading back what was
written; whoever's name stands there has it. Documents are keyed by their source and replaced whole, so that what a
lease is for is the order of two versions of one document, not the soundness of the collection.
"""

import os
import secrets
import socket
import time
from typing import TYPE_CHECKING

from beige.errors import LockedError
from beige.index.qdrant.address import Address
from beige.index.qdrant.connection import calling
from beige.index.qdrant.points import LEASE, LEASE_ID

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

SECONDS = 120.0
"""How long a lease lasts unless it is renewed: longer than clocks differ and than one request may take in all."""

SETTLING = 0.05
"""Seconds after which it is read back who has the lease."""


class Lease:
    """The right to write, held from construction to `release`.

    Raises:
        LockedError: another writer has it.
    """

    def __init__(self, client: "QdrantClient", address: Address) -> None:
        self._client = client
        self._address = address
        self._holder = f"{socket.gethostname()}, process {os.getpid()}, {secrets.token_hex(4)}"
        self._until = 0.0
        self._refuse_others()
        self._write()
        time.sleep(SETTLING)
        self._refuse_others()

    def renew(self) -> None:
        """Make the lease last, where half of it is over.

        Raises:
            LockedError: it ran out, and another writer has it now.
        """
        if time.time() > self._until - SECONDS / 2:
            self._refuse_others()
            self._write()

    def release(self) -> None:
        """Give the right back."""
        self._set(0.0)

    def _refuse_others(self) -> None:
        found = calling(self._address, self._client.retrieve, self._address.collection, [LEASE_ID])
        said = (found[0].payload or {}) if found else {}
        if said.get("holder") not in (None, self._holder) and said["until"] > time.time():
            raise LockedError(
                f"another process writes to {self._address} ({said['holder']}): wait for it to end, or, where it "
                f"was killed, {said['until'] - time.time():.0f} seconds"
            )

    def _write(self) -> None:
        self._set(time.time() + SECONDS)

    def _set(self, until: float) -> None:
        from qdrant_client import models

        payload = {"kind": LEASE, "holder": self._holder, "until": until}
        calling(
            self._address,
            self._client.upsert,
            self._address.collection,
            [models.PointStruct(id=LEASE_ID, vector={}, payload=payload)],
            wait=True,
            ordering=models.WriteOrdering.STRONG,
        )
        self._until = until
