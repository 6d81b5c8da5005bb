"""A server that is spoken to in JSON: retries where it is busy or broken, and errors that name the remedy.

It knows nothing of embeddings and models.
"""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from beige.environment import OFFLINE, forbidden, foreign
from beige.errors import RemoteError
from beige.responses import pause, said

if TYPE_CHECKING:
    import httpx2

TRIES = 6
"""How often a request is sent before its refusal is an error."""

LONGEST_WAIT = 300.0
"""Seconds; a server that asks for a longer pause is an error at once."""

_TIMEOUT = 120.0


class Endpoint:
    """An address with its key.

    Args:
        name: how errors call what is behind it.
        base: of its routes, such as `https://host/v1`.
        keys: environment variables that may hold the key, the first that is set.
        needed: whether a missing key is an error.
        sleep: waits some seconds before another try.

    Raises:
        RemoteError: no key is in the environment.
    """

    def __init__(
        self,
        name: str,
        base: str,
        keys: tuple[str, ...],
        *,
        needed: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base = base.rstrip("/")
        self._name = name
        self._keys = keys
        self._sleep = sleep
        self._key = foreign(*keys)
        if self._key is None and needed:
            raise RemoteError(f"{name} needs a key: set {keys[0]} in the environment")
        self._client: httpx2.Client | None = None

    def post(self, route: str, body: dict[str, Any]) -> Any:
        """The answer to a request, tried anew where the server is busy or broken.

        Raises:
            RemoteError: the server refuses, cannot be reached, or answers no JSON.
        """
        import httpx2

        url = self.base + route
        if forbidden(url):
            raise RemoteError(f"{self._name} cannot be asked while {OFFLINE}=1 keeps this machine offline")
        if self._client is None:
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            self._client = httpx2.Client(timeout=_TIMEOUT, headers=headers)
        for attempt in range(1, TRIES + 1):
            wait = 0.0
            try:
                response = self._client.post(url, json=body)
            except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
                raise RemoteError(f"{url} is no address: {error}") from error
            except httpx2.TransportError as error:
                reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                refusal = f"{url} cannot be reached ({reason})"
            else:
                if response.is_success:
                    return self._json(response)
                refusal = f"{self._name} answered {response.status_code}: {said(response)}"
                if not _passing(response):
                    raise RemoteError(f"{refusal}{self._remedy(response.status_code)}")
                wait = pause(response)
            if attempt == TRIES:
                break
            wait = max(wait, 2.0 ** (attempt - 1) * random.uniform(0.5, 1.0))
            if wait > LONGEST_WAIT:
                raise RemoteError(f"{refusal}; it asks for a pause of {wait:.0f} s: run the same command again then")
            self._sleep(wait)
        raise RemoteError(
            f"{refusal}, {TRIES} times; what was answered before is kept: run the same command again later"
        )

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()

    def _json(self, response: "httpx2.Response") -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise RemoteError(f"{self._name} gave an answer that is no JSON: {response.text[:80]!r}") from error

    def _remedy(self, status: int) -> str:
        if status in {401, 403}:
            return f"; is the key in {' or '.join(self._keys)} the right one?"
        if status == 404:
            return f"; is this model at {self.base}?"
        return ""


def _passing(response: "httpx2.Response") -> bool:
    """Whether the same request may succeed later. A quota that is used up is no matter of waiting."""
    return response.status_code >= 500 or (
        response.status_code in {408, 429} and "insufficient_quota" not in response.text
    )
