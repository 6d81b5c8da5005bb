"""Where a server is: `http://host:8000`, `https://…`, with a path where it stands behind another server."""

from dataclasses import dataclass

from beige.environment import SERVER_KEY
from beige.errors import UsageError
from beige.index.url import host_of, split

FORM = "http://HOST:8000 or https://HOST"

_SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class Address:
    """A Beige server.

    Attributes:
        url: what its routes are appended to, such as `http://host:8000`.
        name: of its host.
    """

    url: str
    name: str

    def __str__(self) -> str:
        return self.url


def is_address(path: object) -> bool:
    """Whether this names a server, not a folder."""
    scheme, separator, _ = str(path).partition("://")
    return bool(separator) and scheme.lower() in _SCHEMES


def parse(text: str) -> Address:
    """An address as a person writes it.

    Raises:
        UsageError: it is malformed, or carries a key: keys do not belong where histories and logs keep them.
    """
    parts = split(text, "server", FORM, SERVER_KEY)
    if parts.query or parts.fragment:
        raise UsageError(f"{text!r} is no address of a server: write {FORM}")
    where = host_of(parts) if parts.port is None else f"{host_of(parts)}:{parts.port}"
    return Address(f"{parts.scheme}://{where}{parts.path.rstrip('/')}", parts.hostname or "")
