"""Speaking with a server: what may be tried again is, and what went wrong is said in one sentence."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from beige.environment import forbidden, qdrant_key
from beige.errors import BeigeError, GoneError, MissingExtraError, StoreError
from beige.index.qdrant.address import Address

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

OLDEST = (1, 15)
"""The first version of the server that has all that is asked of it."""

TIMEOUT = 30
"""Seconds in which a server must answer one request."""

TRIES = 5
"""How often a request is made in all, where the server cannot be reached, is busy, or a node is just being lost."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between tries

PASSING = frozenset({429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""

PAGE = 1000
"""Points that are read in one request."""

T = TypeVar("T")


def connect(address: Address) -> "QdrantClient":
    """A client of a server that is there and new enough.

    Raises:
        MissingExtraError: qdrant-client is not installed.
        StoreError: the server cannot be reached, refuses the key, or is too old.
    """
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise MissingExtraError("an index on a Qdrant cluster", "cluster") from error
    if forbidden(address.url):
        raise StoreError(f"BEIGE_OFFLINE is set: no other machine is asked, and {address.url} is one")
    client = QdrantClient(
        url=address.url,
        prefer_grpc=False,
        timeout=TIMEOUT,
        check_compatibility=False,  # it would only warn
        # In a header of our own: the client's parameter for it warns on plain HTTP.
        headers={"api-key": key} if (key := qdrant_key()) else None,
    )
    try:
        version = calling(address, client.info).version
        if _numbers(version) < OLDEST:
            raise StoreError(
                f"the server at {address.url} is Qdrant {version}: Beige needs {'.'.join(map(str, OLDEST))} or later"
            )
    except BaseException:
        client.close()
        raise
    return client


@contextmanager
def connected(address: Address) -> "Iterator[QdrantClient]":
    """A client as of `connect`, closed when the block ends."""
    client = connect(address)
    try:
        yield client
    finally:
        client.close()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def calling(address: Address, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """The answer to a request that does the same when it is made twice, tried again where that may help.

    Raises:
        GoneError: the collection is not there.
        StoreError: in one sentence, what the server said or that it says nothing.
    """
    pause = FIRST_PAUSE
    for tried in range(1, TRIES + 1):
        try:
            return call(*arguments, **options)
        except BeigeError:
            raise
        except Exception as error:
            wait = _wait(error, pause)
            if wait is None or tried == TRIES:
                raise _explained(error, address) from error
        time.sleep(wait)
        pause = min(2 * pause, LONGEST_PAUSE)
    raise AssertionError("the last try returns or raises")


def scrolled(
    client: "QdrantClient",
    address: Address,
    which: "models.Filter",
    *,
    with_payload: bool | list[str] = False,
    with_vectors: bool | list[str] = False,
) -> "Iterator[models.Record]":
    """The points of a filter, by id, which is at random.

    Raises:
        StoreError: as for `calling`.
    """
    offset = None
    while True:
        page, offset = calling(
            address,
            client.scroll,
            address.target,
            scroll_filter=which,
            limit=PAGE,
            offset=offset,
            with_payload=with_payload,
            with_vectors=with_vectors,
        )
        yield from page
        if offset is None:
            return


def _wait(error: Exception, pause: float) -> float | None:
    """Seconds after which the request may be made again; None where that would not help."""
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResourceExhaustedResponse):
        return min(float(error.retry_after_s), TIMEOUT)
    if isinstance(error, ResponseHandlingException) or (
        isinstance(error, UnexpectedResponse) and error.status_code in PASSING and not _full(error)
    ):
        return pause * (0.5 + random.random())
    return None


def _full(error: Exception) -> bool:
    said = bytes(getattr(error, "content", b"")).lower()
    return b"no space left" in said or b"out of disk" in said or b"not enough space" in said


def _explained(error: Exception, address: Address) -> BeigeError:
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    server = f"the server at {address.url}"
    if isinstance(error, ResourceExhaustedResponse):
        return StoreError(f"{server} has too much to do ({error}): try again later")
    if isinstance(error, ResponseHandlingException):
        return StoreError(
            f"{server} cannot be reached, or did not answer as Qdrant does "
            f"({type(error.source).__name__}: {_line(str(error.source))}): is it running, and is the address right?"
        )
    if not isinstance(error, UnexpectedResponse):
        raise error
    said = _line(_said(error))
    if _full(error):
        return StoreError(f"the disk of {server} is full ({said}): nothing was stored")
    if error.status_code == 404:
        return GoneError(f"{address} is not there ({said}): make it with beige index PATH --index {address}")
    refusal = _REFUSALS.get(error.status_code or 0, "{server} answered {status}: {said}")
    return StoreError(refusal.format(server=server, said=said, status=error.status_code))


_REFUSALS = {
    401: "{server} refuses the key ({said}): put the right one into BEIGE_QDRANT_API_KEY",
    403: "{server} refuses the key ({said}): put the right one into BEIGE_QDRANT_API_KEY",
}
"""What is said of a status, of which more can be said than its number."""


def _said(error: Any) -> str:
    try:
        return str(error.structured()["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return bytes(error.content).decode("utf-8", "replace") or str(error.reason_phrase)


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:197] + "…"
