"""What was computed or paid for, kept on disk by content, so that nothing is computed or paid for twice.

An SQLite file, in which a batch is one transaction: after a kill, all that was answered is there. It knows nothing of
models: a key says what was asked, of whom.
"""

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np

from beige.errors import StoreError
from beige.values import Floats

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, value BLOB NOT NULL, tokens REAL, truncated INTEGER, seconds REAL NOT NULL,
    alone INTEGER NOT NULL
) WITHOUT ROWID
"""
_MOST = 900
"""Keys in one query; SQLite takes 999 parameters everywhere."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one text.

    Attributes:
        value: numbers, (d,): a vector, or a score.
        tokens: that the text has; a share of its batch's where only that is known; None where nothing is.
        truncated: whether the text was cut; None where nobody says.
        seconds: that it took; a share of its batch's.
        alone: whether it was asked alone, so that `seconds` is a latency.
    """

    value: Floats
    tokens: float | None
    truncated: bool | None
    seconds: float
    alone: bool


class Cache:
    """Answers by key, in a file; several processes may use it.

    Args:
        path: the file; made, with its folder, where there is none.

    Raises:
        StoreError: the file is no cache, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """The answers that are there, by key."""
        found: dict[bytes, Answer] = {}
        try:
            with self._lock:
                for start in range(0, len(keys), _MOST):
                    some = keys[start : start + _MOST]
                    marks = ",".join("?" * len(some))
                    for key, value, tokens, truncated, seconds, alone in self._connection.execute(
                        f"SELECT key, value, tokens, truncated, seconds, alone FROM answers WHERE key IN ({marks})",
                        some,
                    ):
                        cut = None if truncated is None else bool(truncated)
                        found[key] = Answer(np.frombuffer(value, np.float32), tokens, cut, seconds, bool(alone))
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return found

    def put(self, answers: Mapping[bytes, Answer]) -> None:
        """Keep these answers; they are on disk when this returns."""
        rows = [
            (key, a.value.astype("<f4").tobytes(), a.tokens, a.truncated, a.seconds, a.alone)
            for key, a in answers.items()
        ]
        try:
            with self._lock, self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, closing(self._connection):
            pass

    def _broken(self, error: Exception) -> StoreError:
        return StoreError(f"the cache {self._path} cannot be used ({error}); remove the file to begin anew")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def key_of(parts: Iterable[str]) -> bytes:
    """The key of what was asked: parts that differ anywhere have another key."""
    digest = blake2b(digest_size=20)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()
