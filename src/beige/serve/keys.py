"""API keys: random, shown once, kept as hashes in one file, each with a scope."""

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from beige.environment import home
from beige.errors import InputError, UsageError

Scope = Literal["read", "write", "admin"]
"""What a key may do; each may also do what those before it may: ask; change documents; steer the server."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
_FILE = "serve-keys.json"
_PREFIX = "beige_"
_LOOK = 1.0  # seconds between two looks at the file
_NAME = re.compile(r"[\w.-]{1,64}")
_log = logging.getLogger("beige.serve")


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key.

    Attributes:
        name: what its owner calls it; logs name it.
        scope: what it may do.
        sha256: hex, of the key. A key is 256 random bits: nothing slower than one hash is needed to keep it.
        created: when, ISO 8601, UTC.
    """

    name: str
    scope: Scope
    sha256: str
    created: str

    def may(self, scope: Scope) -> bool:
        """Whether it is good for what a scope asks."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


def find(keys: Mapping[str, Key], given: str) -> Key | None:
    """The key that was given; every stored hash is compared, in constant time."""
    digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).hexdigest()
    found = None
    for key in keys.values():
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


def default_file() -> Path:
    """Where keys are kept unless told otherwise: under `BEIGE_HOME`."""
    return home() / _FILE


class KeyRing:
    """A file's keys, read again when it changes.

    Args:
        file: need not be there.

    Raises:
        InputError: it is damaged.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = self._state()
        self._looked = time.monotonic()
        self._keys = read(file)
        self._locked = bool(self._keys)

    def __bool__(self) -> bool:
        """Whether a key is needed. A server that once had keys is never open again, though all of them be revoked."""
        self._locked = self._locked or bool(self.keys)
        return self._locked

    @property
    def keys(self) -> Mapping[str, Key]:
        """The keys by name, at most a second old; the last that could be read where the file is damaged meanwhile."""
        if time.monotonic() - self._looked > _LOOK:
            self._looked = time.monotonic()
            if (state := self._state()) != self._seen:
                try:
                    self._keys, self._seen = read(self._file), state
                except InputError as error:
                    _log.error("keys not read", extra={"facts": {"why": str(error)}})
        return self._keys

    def find(self, given: str) -> Key | None:
        """See `find`."""
        return find(self.keys, given)

    def _state(self) -> tuple[int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino


def read(file: Path) -> dict[str, Key]:
    """The keys of a file by their names; none where there is no file.

    Raises:
        InputError: the file cannot be read or understood: a server does not start open because its keys are damaged.
    """
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
        keys = {entry["name"]: Key(**entry) for entry in listed}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{file} cannot be read as a file of API keys ({error}): restore it, or remove it") from error
    if any(key.scope not in SCOPES for key in keys.values()):
        raise InputError(f"{file} has a key with a scope that is none of {', '.join(SCOPES)}: restore it, or remove it")
    return keys


def create(file: Path, name: str, scope: str) -> str:
    """Make a key and keep its hash.

    Returns:
        The key. It is nowhere else.

    Raises:
        UsageError: no such scope, a name that is taken, or one with other characters than letters, digits, `.`, `_`
            and `-`.
        InputError: the file is damaged or cannot be written.
    """
    if scope not in SCOPES:
        raise UsageError(f"there is no scope {scope!r}: take one of {', '.join(SCOPES)}")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a key: take up to 64 letters, digits, '.', '_' and '-'")
    keys = read(file)
    if name in keys:
        raise UsageError(f"there is a key {name!r} already: revoke it, or take another name")
    key = _PREFIX + secrets.token_urlsafe(32)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    _write(file, {**keys, name: Key(name, scope, hashlib.sha256(key.encode()).hexdigest(), created)})
    return key


def revoke(file: Path, name: str) -> None:
    """Forget a key; a server that runs forgets it when it looks at the file next.

    Raises:
        UsageError: there is no such key.
        InputError: the file is damaged or cannot be written.
    """
    keys = read(file)
    if name not in keys:
        raise UsageError(f"there is no key {name!r}: beige key shows those that are")
    _write(file, {other: key for other, key in keys.items() if other != name})


def _write(file: Path, keys: Mapping[str, Key]) -> None:
    text = json.dumps([asdict(key) for key in keys.values()], indent=2) + "\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=file.parent, prefix=file.name)  # for its owner's eyes alone
        with os.fdopen(handle, "w", encoding="utf-8") as target:
            target.write(text)
        Path(made).replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written ({error.strerror}): name another file with --keys") from error
