"""The truth: documents, chunks and vectors in SQLite, and the log of what changed."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beige.documents.chunk import Chunk, Document, Locator
from beige.index.codec import Blobs
from beige.index.filter import OF_CHUNKS, Filter, key_of, of_chunks
from beige.index.manifest import Manifest
from beige.index.schema import blob, leg_table, text
from beige.index.store import Ids, Passage, Stored
from beige.index.where import Clause, of_chunk, of_document

PAGE_ROWS = 1000

BUCKET = 300
"""Seconds whose growth is added up."""


@dataclass(frozen=True, slots=True)
class Change:
    """A point of the index's history: after the transaction of this number.

    Attributes:
        number: of the transaction; 0 is before the first.
        added: the last chunk id given.
        removed: the last number of the log of removals.
        stamp: random, tells this history from that of another index or of a restored backup.
    """

    number: int = 0
    added: int = 0
    removed: int = 0
    stamp: int = 0


@dataclass(frozen=True, slots=True)
class Growth:
    """How much more an index holds than some time ago; below 0 where it holds less.

    Attributes:
        documents: how many.
        chunks: that they have.
        bytes: of the files and texts.
    """

    documents: int = 0
    chunks: int = 0
    bytes: int = 0


_STORED = "SELECT source, digest, size, modified, chunks, settled, given, expires, origin FROM document"
_ALIVE = "(expires IS NULL OR expires > ?)"


class Reading:
    """Questions to the database; within a transaction their answers agree with each other.

    What has expired is not among passages, documents and their count. It still is among the vectors and the changes,
    which tell how the database differs from a cache.

    Args:
        connection: in a transaction.
        now: seconds since the epoch.
    """

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._connection = connection
        self._now = now

    def restart(self) -> None:
        """Leave the past: what is read from now on sees what has been committed by now."""
        self._connection.execute("ROLLBACK")
        self._connection.execute("BEGIN")

    def manifest(self) -> Manifest:
        """The index's own description."""
        return Manifest.from_rows(dict(self._connection.execute("SELECT name, value FROM manifest")))

    def head(self) -> Change:
        """The last change."""
        row = self._connection.execute(
            "SELECT number, added, removed, stamp FROM change ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return Change(*row)

    def remembers(self, change: Change) -> bool:
        """Whether what came after this change can be told; before the first change, everything can."""
        if change.number == 0:
            return True
        row = self._connection.execute("SELECT stamp FROM change WHERE number = ?", (change.number,)).fetchone()
        return row is not None and row[0] == change.stamp

    def removed(self, after: int) -> list[int]:
        """Chunks removed after this number of the log."""
        return [row[0] for row in self._connection.execute("SELECT chunk FROM removal WHERE number > ?", (after,))]

    def vectors(self, leg: int, after: int = 0, limit: int = -1) -> Blobs:
        """A leg's vectors of the chunks with ids above `after`, ascending, at most `limit` (-1: all)."""
        return self._connection.execute(
            f"SELECT chunk, vector FROM {leg_table(leg)} WHERE chunk > ? ORDER BY chunk LIMIT ?", (after, limit)
        ).fetchall()

    def vectors_of(self, leg: int, ids: Ids) -> Blobs:
        """A leg's vectors of those of these chunks that are stored, ascending."""
        return self._connection.execute(
            f"SELECT chunk, vector FROM {leg_table(leg)} "
            "WHERE chunk IN (SELECT value FROM json_each(?)) ORDER BY chunk",
            (json.dumps(ids.tolist()),),
        ).fetchall()

    def sample(self, leg: int, count: int) -> Blobs:
        """A leg's vectors of the chunks with the least keys."""
        return self._connection.execute(
            f"SELECT chunk.id, vector FROM chunk JOIN {leg_table(leg)} ON chunk = chunk.id ORDER BY key LIMIT ?",
            (count,),
        ).fetchall()

    def expired(self) -> Ids:
        """Chunks of documents that have expired and that no writer has removed yet, ascending."""
        # The documents first, and sorted here: told to sort, SQLite looks through all chunks, at every search.
        found = self._connection.execute(
            "SELECT chunk.id FROM document INDEXED BY document_expires CROSS JOIN chunk ON document = document.id "
            "WHERE expires <= ?",
            (self._now,),
        )
        return np.sort(np.fromiter((row[0] for row in found), np.int64))

    def overdue(self) -> list[str]:
        """Some documents that have expired and that no writer has removed yet; none where there are no more."""
        found = self._connection.execute(
            "SELECT source FROM document WHERE expires <= ? LIMIT ?", (self._now, PAGE_ROWS)
        )
        return [text(row[0]) for row in found]

    def places(self, ids: Ids) -> dict[int, tuple[bytes, int]]:
        """Source and position of each of these chunks: the order in which ties break."""
        return {
            chunk: (source, position)
            for chunk, source, position in self._connection.execute(
                "SELECT chunk.id, source, position FROM chunk JOIN document ON document.id = document "
                "WHERE chunk.id IN (SELECT value FROM json_each(?))",
                (json.dumps(ids.tolist()),),
            )
        }

    def chunks(self, after: int) -> Ids:
        """The next page of chunks with ids above `after`, ascending; empty at the end."""
        found = self._connection.execute(
            "SELECT id FROM chunk WHERE id > ? ORDER BY id LIMIT ?", (after, PAGE_ROWS)
        ).fetchall()
        return np.array([row[0] for row in found], np.int64)

    def passages(self, ids: Ids) -> list[Passage]:
        """These chunks, in the order asked for; one that is gone is left out."""
        found = {
            row[0]: Passage(
                id=row[0],
                source=text(row[1]),
                position=row[2],
                text=text(row[3]),
                locator=Locator(row[4], row[5], row[6], row[7], row[8], tuple(json.loads(row[9]))),
                media=row[10],
                fields=json.loads(row[11]),
                language=row[12],
                given=bool(row[13]),
            )
            for row in self._connection.execute(
                'SELECT chunk.id, source, position, text, start, "end", line_start, line_end, page, headings, media, '
                "fields, language, given FROM chunk JOIN document ON document.id = document "
                f"WHERE chunk.id IN (SELECT value FROM json_each(?)) AND {_ALIVE}",
                (json.dumps(ids.tolist()), self._now),
            )
        }
        return [found[chunk] for chunk in ids.tolist() if chunk in found]

    def vectors_by_key(self, leg: int, keys: Sequence[str]) -> dict[str, bytes]:
        """A leg's vector of some stored chunk of each of these keys, for those that are stored."""
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), PAGE_ROWS):
            page = [bytes.fromhex(key) for key in keys[start : start + PAGE_ROWS]]
            found |= self._connection.execute(
                f"SELECT key, vector FROM chunk JOIN {leg_table(leg)} ON chunk = chunk.id "
                f"WHERE key IN ({','.join('?' * len(page))})",
                page,
            )
        return {key.hex(): blob for key, blob in found.items()}

    def documents(self, after: str | None, prefix: str, where: Filter | None = None) -> list[Stored]:
        """The next page of the documents whose source begins with the prefix, by source; empty at the end."""
        # The least blob above another one is that with a zero byte at its end, and 0xff is in no UTF-8.
        begins = blob(prefix)
        lower = begins if after is None else max(begins, blob(after) + b"\x00")
        passing = of_document(where, lookup=True)
        found = self._connection.execute(
            f"{_STORED} WHERE source >= ? AND source < ? AND {_ALIVE} AND {passing.sql} ORDER BY source LIMIT ?",
            (lower, begins + b"\xff", self._now, *passing.parameters, PAGE_ROWS),
        )
        return [_stored(row) for row in found]

    def stored(self, sources: Sequence[str]) -> list[Stored]:
        """Those of these documents that are stored, in no order."""
        found: list[Stored] = []
        for start in range(0, len(sources), PAGE_ROWS):
            page = [blob(source) for source in sources[start : start + PAGE_ROWS]]
            rows = self._connection.execute(
                f"{_STORED} WHERE source IN ({','.join('?' * len(page))}) AND {_ALIVE}", (*page, self._now)
            )
            found += (_stored(row) for row in rows)
        return found

    def document(self, source: str) -> Document | None:
        """A document with its chunks, as it was stored; None where it is not."""
        row = self._connection.execute(
            "SELECT id, digest, size, modified, media, fields, language, settled, given, expires, origin FROM document "
            f"WHERE source = ? AND {_ALIVE}",
            (blob(source), self._now),
        ).fetchone()
        if row is None:
            return None
        number, digest, size, modified, media, fields, language, settled, given, expires, origin = row
        chunks = self._connection.execute(
            'SELECT text, start, "end", line_start, line_end, page, headings FROM chunk WHERE document = ? '
            "ORDER BY position",
            (number,),
        )
        return Document(
            source=source,
            chunks=tuple(
                Chunk(text(row[0]), Locator(row[1], row[2], row[3], row[4], row[5], tuple(json.loads(row[6]))))
                for row in chunks
            ),
            digest=digest,
            size=size,
            modified=modified,
            media=media,
            fields=json.loads(fields),
            language=language,
            settled=bool(settled),
            given=bool(given),
            expires=expires,
            origin=origin,
        )

    def passing(self, where: Filter, after: int = 0) -> Ids:
        """The chunks with ids above `after` that a filter lets through, ascending."""
        if after:
            new = of_chunk(where, lookup=True)
            rows = "chunk CROSS JOIN document ON document.id = chunk.document WHERE chunk.id > ? AND"
            clause = Clause(f"SELECT chunk.id FROM {rows}", (after,)) + new
        elif of_chunks(where):
            rows = "document JOIN chunk ON chunk.document = document.id WHERE"
            clause = Clause(f"SELECT chunk.id FROM {rows}") + of_chunk(where)
        else:  # each document is looked at once
            clause = Clause("SELECT id FROM chunk WHERE document IN (SELECT id FROM document WHERE")
            clause += of_document(where) + ")"
        found = self._connection.execute(clause.sql, clause.parameters)
        return np.sort(np.fromiter((row[0] for row in found), np.int64))

    def facet(self, field: str, where: Filter | None) -> dict[str, int]:
        """How many of the documents that pass have each value of a field.

        Args:
            field: as in a `Condition`, but neither `path` nor `modified`.
            where: which chunks count, and with them their documents; None for all.
        """
        if field in OF_CHUNKS:
            return self._facet_of_chunks(field, where)
        passing = of_document(where) + Clause(f"AND {_ALIVE}", (self._now,))
        if field == "type":  # the facts also have the endings of files
            clause = Clause("SELECT media, count(*) FROM document WHERE") + passing + "GROUP BY media"
        else:
            clause = (
                Clause("SELECT text, count(*) FROM fact WHERE field = ?", (blob(key_of(field)),))
                + "AND document IN (SELECT id FROM document WHERE"
                + passing
                + ") GROUP BY text"
            )
        found = self._connection.execute(clause.sql, clause.parameters)
        return {value if isinstance(value, str) else text(value): count for value, count in found}

    def _facet_of_chunks(self, field: str, where: Filter | None) -> dict[str, int]:
        passing = (Clause("1") if where is None else of_chunk(where)) + Clause(f"AND {_ALIVE}", (self._now,))
        column, there = {"page": ("page", "page IS NOT NULL"), "heading": ("headings", "1")}[field]
        found = self._connection.execute(
            f"SELECT DISTINCT document, {column} FROM document JOIN chunk ON chunk.document = document.id "
            f"WHERE {there} AND {passing.sql}",
            passing.parameters,
        )
        pairs = {
            (document, value)
            for document, held in found
            for value in (json.loads(held) if field == "heading" else (str(held),))
        }
        return Counter(value for _, value in pairs)

    def fields(self) -> list[str]:
        """The names of the fields that records have, sorted."""
        return [text(name)[1:] for name in self._distinct("field", "field < x'2f'", "field > x'2e'")]  # "." and "/"

    def languages(self) -> list[str]:
        """The languages that documents have, sorted."""
        return list(map(text, self._distinct("text", f"field = x'{b'language'.hex()}'")))

    def _distinct(self, column: str, condition: str, first: str = "1") -> list[bytes]:
        """The different values of a column of `fact`, ascending, each found by one look into an index.

        `first` bounds the first value from below, and it alone: of two bounds SQLite may take the one of no use.
        """
        least = f"SELECT {column} FROM fact INDEXED BY fact_text WHERE {condition}"
        found = self._connection.execute(
            f"WITH RECURSIVE found (value) AS (SELECT ({least} AND {first} ORDER BY {column} LIMIT 1) UNION ALL "
            f"SELECT ({least} AND {column} > value ORDER BY {column} LIMIT 1) FROM found WHERE value IS NOT NULL) "
            "SELECT value FROM found WHERE value IS NOT NULL"
        )
        return [row[0] for row in found]

    def total(self, number: int) -> tuple[int, NDArray[np.float64]] | None:
        """How many vectors a dense leg has, and their sum, (d,); None if it never had one."""
        row = self._connection.execute("SELECT chunks, vector FROM total WHERE leg = ?", (number,)).fetchone()
        return None if row is None else (row[0], np.frombuffer(row[1], "<f8"))

    def growth(self, seconds: float) -> Growth:
        """What has become more in so many last seconds, to `BUCKET`."""
        found = self._connection.execute(
            "SELECT ifnull(sum(documents), 0), ifnull(sum(chunks), 0), ifnull(sum(bytes), 0) FROM growth "
            "WHERE began > ? AND began <= ?",
            (self._now - seconds, self._now),
        )
        return Growth(*found.fetchone())

    def count(self) -> tuple[int, int]:
        """How many documents and chunks are stored."""
        documents, chunks = self._connection.execute(
            f"SELECT count(*), ifnull(sum(chunks), 0) FROM document WHERE {_ALIVE}", (self._now,)
        ).fetchone()
        return documents, chunks


def _stored(row: Sequence[Any]) -> Stored:
    source, digest, size, modified, chunks, settled, given, expires, origin = row
    return Stored(text(source), digest, size, modified, chunks, bool(settled), bool(given), expires, origin)


def paged(read: Callable[[str | None], list[Stored]], after: str | None = None) -> Iterator[Stored]:
    """Every row of a listing that is read page by page, so that no transaction stays open between two rows."""
    page = read(after)
    while page:
        yield from page
        page = read(page[-1].source)
