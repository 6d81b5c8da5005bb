"""Where a server is: `http://host:8000`, `https://…`, with a path where it stands behind another server."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from beige.errors import UsageError

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
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is no address of a server ({error}): write {FORM}") from error
    if not parts.hostname or parts.query or parts.fragment or any(letter.isspace() for letter in text):
        raise UsageError(f"{text!r} is no address of a server: write {FORM}")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"an address holds no key: put the key for {parts.hostname} into BEIGE_API_KEY")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = host if port is None else f"{host}:{port}"
    return Address(f"{parts.scheme}://{where}{parts.path.rstrip('/')}", parts.hostname)
