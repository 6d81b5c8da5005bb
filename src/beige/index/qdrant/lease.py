"""One writer at a time: a lease in the collection, which a writer that dies leaves to run out.

A server has no transactions, so two writers that ask within the same moment are told apart by reading back what was
written; whoever's name stands there has it. Documents are keyed by their source and replaced whole, so that what a
lease is for is the order of two versions of one document, not the soundness of the collection.
"""

import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from beige.errors import GoneError, LockedError, StoreError
from beige.index.qdrant.address import Address
from beige.index.qdrant.alias import resolved
from beige.index.qdrant.collection import SETTLING, manifest_of
from beige.index.qdrant.connection import calling
from beige.index.qdrant.points import LEASE, LEASE_ID

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

SECONDS = 120.0
"""How long a lease lasts unless it is renewed: longer than clocks differ and than one request may take in all."""


class Lease:
    """The right to write, held from construction to `release`, however long nothing is written.

    Raises:
        LockedError: another writer has it.
    """

    def __init__(self, client: "QdrantClient", address: Address) -> None:
        self._client = client
        self._address = address
        self._holder = f"{socket.gethostname()}, process {os.getpid()}, {secrets.token_hex(4)}"
        self._until = 0.0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._refuse_others()
        self._set(time.time() + SECONDS)
        time.sleep(SETTLING)
        self._refuse_others()
        threading.Thread(target=self._keep, name="beige-lease", daemon=True).start()

    def renew(self) -> None:
        """Make the lease last, where half of it is over.

        Raises:
            LockedError: it ran out, and another writer has had it since.
        """
        with self._lock:
            if self._ended.is_set() or time.time() <= self._until - SECONDS / 2:
                return
            if self._said().get("holder") != self._holder:
                raise LockedError(
                    f"this process was held up for so long that another one has written to {self._address} "
                    "meanwhile: run it again"
                )
            self._set(time.time() + SECONDS)

    def release(self) -> None:
        """Give the right back."""
        with self._lock:
            if not self._ended.is_set():
                self._ended.set()
                with suppress(GoneError):  # the collection was removed, and the lease with it
                    self._set(0.0)

    def _keep(self) -> None:
        while not self._ended.wait(SECONDS / 4):
            with suppress(StoreError):  # whoever writes next finds out himself
                self.renew()

    def _refuse_others(self) -> None:
        said = self._said()
        if said.get("holder") not in (None, self._holder) and said["until"] > time.time():
            raise LockedError(
                f"another process writes to {self._address} ({said['holder']}): wait for it to end, or, where it "
                f"was killed, {said['until'] - time.time():.0f} seconds"
            )

    def _said(self) -> dict[str, Any]:
        found = calling(self._address, self._client.retrieve, self._address.target, [LEASE_ID])
        return (found[0].payload or {}) if found else {}

    def _set(self, until: float) -> None:
        from qdrant_client import models

        payload = {"kind": LEASE, "holder": self._holder, "until": until}
        calling(
            self._address,
            self._client.upsert,
            self._address.target,
            [models.PointStruct(id=LEASE_ID, vector={}, payload=payload)],
            wait=True,
            ordering=models.WriteOrdering.STRONG,
        )
        self._until = until


def leased(client: "QdrantClient", address: Address) -> tuple[Address, Lease]:
    """The collection that serves, and the right to write to it: none has taken its place in between.

    Raises:
        LockedError: another writer has it.
        StoreError: there is no index.
    """
    while True:
        at = resolved(client, address)
        try:
            manifest_of(client, at)  # nothing is written into what is none of Beige's
            lease = Lease(client, at)
        except StoreError:
            if resolved(client, address) == at:
                raise
            continue
        if resolved(client, address) == at:
            return at, lease
        lease.release()
