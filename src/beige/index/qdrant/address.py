"""Where a collection is: `qdrant+http://host:6333/name`, `qdrant+https://…`, with shards and replicas for a new one."""

from dataclasses import dataclass, replace
from urllib.parse import parse_qs, quote, unquote

from beige.environment import QDRANT_KEY
from beige.errors import UsageError
from beige.index.url import host_of, split

SCHEMES = {"qdrant+http": "http", "qdrant+https": "https"}
"""What such an address begins with, and what is spoken then."""

FORM = "qdrant+http://HOST:6333/NAME or qdrant+https://HOST:6333/NAME"

_NUMBERS = ("shards", "replicas")


@dataclass(frozen=True, slots=True)
class Address:
    """A collection on a server or cluster.

    Attributes:
        url: of any node, such as `http://host:6333`.
        collection: its name, or an alias of it.
        shards: over how many parts a new collection is spread; None for one a node, or those of `like`.
        replicas: on how many nodes each part of a new collection lies; None for one, or those of `like`.
        generation: the collection that the name is an alias of, once that is known; None of a collection's own name.
        like: the name of the index that this is a generation of, where it is not the one that serves.
    """

    url: str
    collection: str
    shards: int | None = None
    replicas: int | None = None
    generation: str | None = None
    like: str | None = None

    def __str__(self) -> str:
        return f"qdrant+{self.url}/{quote(self.collection, safe='')}"

    @property
    def target(self) -> str:
        """The name that requests go by: once it is known what an alias stands for, none of them meets another one."""
        return self.generation or self.collection

    def beside(self, name: str) -> "Address":
        """Where another generation of this index is."""
        return replace(self, collection=f"{self.collection}.{name}", generation=None, like=self.collection)


def is_address(path: object) -> bool:
    """Whether this names a Qdrant collection, not a folder."""
    return str(path).partition("://")[0].lower() in SCHEMES and "://" in str(path)


def parse(text: str) -> Address:
    """An address as a person writes it; `?shards=6&replicas=2` says how a new collection is made.

    Raises:
        UsageError: it is malformed, or carries a key: keys do not belong where histories and logs keep them.
    """
    parts = split(text, "collection", FORM, QDRANT_KEY)
    name = parts.path.strip("/")
    if parts.scheme not in SCHEMES or not name or "/" in name:
        raise UsageError(f"{text!r} is no address of a collection: write {FORM}")
    options = parse_qs(parts.query, keep_blank_values=True)
    if unknown := sorted(set(options) - set(_NUMBERS)):
        raise UsageError(f"an address has no option {unknown[0]!r}; it has {' and '.join(_NUMBERS)}")
    numbers = {name: _number(name, values[-1]) for name, values in options.items()}
    url = f"{SCHEMES[parts.scheme]}://{host_of(parts)}:{parts.port or 6333}"
    return Address(url, unquote(name), numbers.get("shards"), numbers.get("replicas"))


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        raise UsageError(f"{name} must be a number from 1 to 1000, not {text!r}")
    return int(text)
