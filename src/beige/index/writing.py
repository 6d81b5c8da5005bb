"""Changes to the database: documents come and go, sums and the log are kept."""

import json
import math
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from beige.documents.chunk import Document
from beige.index.database import BUCKET, Change, Growth, Reading
from beige.index.facts import facts, titles
from beige.index.manifest import Manifest
from beige.index.schema import add_facts, blob, leg_table

REMEMBERED = 8 * 24 * 3600
"""Seconds for which growth is told."""


_SOME = 1000
"""Vectors that are read at a time."""


class Writing(Reading):
    """Changes to the database, within one transaction.

    Args:
        connection: in a transaction.
        dimensions: of each leg, None for a sparse one.
    """

    def __init__(self, connection: sqlite3.Connection, dimensions: Sequence[int | None] = ()) -> None:
        super().__init__(connection, -math.inf)  # whoever writes sees all that is there
        self._dimensions = dimensions
        self._next = 1 + self._sequence("chunk")
        self._totals: dict[int, tuple[int, NDArray[np.float64]]] = {}  # by leg, once this transaction changes them
        self._grown = Growth()

    def _sequence(self, table: str) -> int:
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return row[0] if row else 0

    def describe(self, manifest: Manifest) -> None:
        """Write the index's own description."""
        self._connection.executemany("INSERT OR REPLACE INTO manifest VALUES (?, ?)", manifest.to_rows().items())

    def delete(self, source: str) -> bool:
        """Forget a document; returns whether there was one."""
        found = self._connection.execute(
            "SELECT id, chunks, size FROM document WHERE source = ?", (blob(source),)
        ).fetchone()
        if found is None:
            return False
        number, chunks, size = found
        self._grow(-1, -chunks, -size)
        self._connection.execute("INSERT INTO removal (chunk) SELECT id FROM chunk WHERE document = ?", (number,))
        for leg, dimension in enumerate(self._dimensions):
            table, mine = leg_table(leg), "WHERE chunk IN (SELECT id FROM chunk WHERE document = ?)"
            if dimension is not None:  # their sum is kept
                going = self._connection.execute(f"SELECT vector FROM {table} {mine}", (number,))
                while some := going.fetchmany(_SOME):
                    self._add_up(leg, [vector for (vector,) in some], -1)
            self._connection.execute(f"DELETE FROM {table} {mine}", (number,))
        self._connection.execute("DELETE FROM chunk WHERE document = ?", (number,))
        self._connection.execute("DELETE FROM fact WHERE document = ?", (number,))
        self._connection.execute("DELETE FROM document WHERE id = ?", (number,))
        return True

    def insert(self, document: Document) -> int:
        """Store a document that is not there, with its chunks, whose vectors are to follow; returns the first one's id.

        The ids of the others follow on it.
        """
        fields = _json(dict(document.fields))
        number = self._connection.execute(
            "INSERT INTO document "
            "(source, digest, size, modified, media, fields, chunks, language, settled, given, expires, origin) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                blob(document.source),
                document.digest,
                document.size,
                document.modified,
                document.media,
                fields,
                len(document.chunks),
                document.language,
                document.settled,
                document.given,
                document.expires,
                document.origin,
            ),
        ).lastrowid
        assert number is not None
        self._grow(1, len(document.chunks), document.size)
        add_facts(
            self._connection,
            number,
            (
                *facts(document.source, document.media, document.language, document.fields),
                *titles(title for chunk in document.chunks for title in chunk.locator.headings),
            ),
        )
        first, self._next = self._next, self._next + len(document.chunks)
        self._connection.executemany(
            "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    first + position,
                    number,
                    position,
                    blob(chunk.text),
                    bytes.fromhex(chunk.key),
                    chunk.locator.start,
                    chunk.locator.end,
                    chunk.locator.line_start,
                    chunk.locator.line_end,
                    chunk.locator.page,
                    _json(chunk.locator.headings),
                )
                for position, chunk in enumerate(document.chunks)
            ),
        )
        return first

    def insert_vectors(self, first: int, vectors: Sequence[Sequence[bytes]]) -> None:
        """Store the vectors of chunks that were inserted.

        Args:
            first: the id of the first of the chunks, on which the others follow.
            vectors: for each leg, one encoded vector a chunk.
        """
        for leg, blobs in enumerate(vectors):
            self._connection.executemany(f"INSERT INTO {leg_table(leg)} VALUES (?, ?)", enumerate(blobs, start=first))
            self._add_up(leg, blobs, 1)

    def expire(self, sources: Sequence[str], when: float | None) -> None:
        """Set from when on these documents are not found any more, in seconds since the epoch; None for never."""
        self._connection.executemany(
            "UPDATE document SET expires = ? WHERE source = ?", ((when, blob(source)) for source in sources)
        )

    def _add_up(self, number: int, blobs: Sequence[bytes], sign: int) -> None:
        """Keep the sum of a dense leg's vectors.

        It is exact, so that it does not depend on the history: float16 values are multiples of 2^-24, of which
        float64 adds up five hundred million without rounding.
        """
        dimension = self._dimensions[number]
        if dimension is None or not blobs:
            return
        chunks, total = self._totals.get(number) or self.total(number) or (0, np.zeros(dimension))
        added = np.frombuffer(b"".join(blobs), "<f2").reshape(-1, dimension).sum(axis=0, dtype="<f8")
        self._totals[number] = chunks + sign * len(blobs), total + sign * added

    def _grow(self, documents: int, chunks: int, size: int) -> None:
        grown = self._grown
        self._grown = Growth(grown.documents + documents, grown.chunks + chunks, grown.bytes + size)

    def note_change(self) -> None:
        """Close the transaction's accounts: the sums of vectors, how much came and went, and the log of changes."""
        now = int(time.time())
        self._connection.execute(
            "INSERT INTO growth VALUES (?, ?, ?, ?) ON CONFLICT (began) DO UPDATE SET "
            "documents = documents + excluded.documents, chunks = chunks + excluded.chunks, "
            "bytes = bytes + excluded.bytes",
            (now - now % BUCKET, *astuple(self._grown)),
        )
        self._connection.execute("DELETE FROM growth WHERE began < ?", (now - REMEMBERED,))
        self._grown = Growth()
        self._connection.executemany(
            "INSERT OR REPLACE INTO total VALUES (?, ?, ?)",
            [(number, chunks, total.astype("<f8").tobytes()) for number, (chunks, total) in self._totals.items()],
        )
        self._totals.clear()
        self._connection.execute(
            "INSERT INTO change (added, removed, stamp) VALUES (?, ?, random())",
            (self._sequence("chunk"), self._sequence("removal")),
        )

    def forget_history(self, before: Change) -> None:
        """Drop what nobody needs who starts from this change or a later one."""
        self._connection.execute("DELETE FROM change WHERE number < ?", (before.number,))
        self._connection.execute("DELETE FROM removal WHERE number <= ?", (before.removed,))


def _json(value: object) -> str:
    # ASCII, so that lone surrogates pass.
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
