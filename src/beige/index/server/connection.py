"""Speaking with a server: what may be sent again is, and what went wrong is said in one sentence."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from beige.environment import OFFLINE, SERVER_KEY, forbidden, server_key
from beige.errors import InputError, StoreError, UsageError
from beige.index.server.address import Address
from beige.responses import pause, said

if TYPE_CHECKING:
    import httpx2

CONNECT, ANSWER = 10.0, 120.0
"""Seconds in which a server must take a connection, and answer."""

TRIES = 6
"""How often a request is sent in all."""

PATIENCE = 120.0
"""Seconds that are waited between the tries of a request, at most."""

FIRST_PAUSE = 0.2  # seconds between tries where the server names none; doubled from try to try

_BUSY = frozenset({429, 503})
"""Statuses that say that nothing was done: the same request may succeed later."""

_BEHIND = frozenset({502, 504})
"""Statuses of what stands before a server, which may have done what it was told."""

_LATER = frozenset({"expired"})
"""Why Beige refuses what will take as long again."""


class MissingError(StoreError):
    """The server has not what was asked for."""


class Connection:
    """A server's address with its key; safe to use from several threads.

    Args:
        address: of the server. Nothing is sent before the first request.
        sleep: waits some seconds before another try.

    Raises:
        StoreError: another machine may not be asked.
    """

    def __init__(self, address: Address, *, sleep: Callable[[float], None] = time.sleep) -> None:
        import httpx2

        if forbidden(address.url):
            raise StoreError(f"{OFFLINE} is set: no other machine is asked, and {address} is one")
        self._address = address
        self._sleep = sleep
        self._key = server_key()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx2.Client(timeout=httpx2.Timeout(ANSWER, connect=CONNECT), headers=headers)

    def __str__(self) -> str:
        return str(self._address)

    def get(self, route: str, **parameters: str | int | None) -> Any:
        """What a route shows.

        Args:
            route: such as `/v1/index`.
            parameters: of the query; None leaves one out.

        Raises:
            MissingError: the server has not what was asked for.
            BeigeError: the server cannot be asked, or refuses.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._ask("GET", route, safe=True, params=given)

    def post(self, route: str, body: Any) -> Any:
        """The answer to a body of JSON, which may be sent twice.

        Raises:
            BeigeError: as for `get`.
        """
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")  # there may be lone surrogates
        return self._ask("POST", route, safe=True, content=content, headers={"Content-Type": "application/json"})

    def send(self, route: str, form: Mapping[str, Sequence[str]], files: Sequence[tuple[str, bytes]]) -> Any:
        """The answer to a form with files, which may be sent twice.

        Args:
            route: such as `/v1/documents`.
            form: its other fields, each with all that it says.
            files: names, and what they hold.

        Raises:
            BeigeError: as for `get`.
        """
        return self._ask("POST", route, safe=True, data=form, files=[("file", file) for file in files])

    def delete(self, route: str, parameters: Sequence[tuple[str, str]]) -> Any:
        """The answer to a deletion, which is sent again only where nothing was done.

        Raises:
            BeigeError: as for `get`.
        """
        return self._ask("DELETE", route, safe=False, params=parameters)

    @contextmanager
    def understood(self) -> Iterator[None]:
        """For what reads an answer.

        Raises:
            StoreError: it has not what it should have.
        """
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._stranger(f"its answer cannot be understood ({type(error).__name__}: {error})") from error

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _ask(self, method: str, route: str, *, safe: bool, **content: Any) -> Any:
        import httpx2

        waited, wait = 0.0, FIRST_PAUSE
        for left in reversed(range(TRIES)):
            try:
                response = self._client.request(method, self._address.url + route, **content)
            except httpx2.TimeoutException as error:
                self._silent(error)
            except httpx2.ConnectError as error:
                raise StoreError(
                    f"{self} cannot be reached ({_reason(error)}): is beige serve running there, and the address right?"
                ) from error
            except (httpx2.TransportError, httpx2.InvalidURL) as error:
                if not safe or not left:
                    raise StoreError(f"{self} broke the connection off ({_reason(error)}): try it again") from error
            else:
                if response.is_success:
                    with self.understood():
                        return response.json()
                wait = max(wait, pause(response))
                if not left or not _passing(response, safe) or waited + wait > PATIENCE:
                    self._refused(response, route)
            self._sleep(wait)
            waited, wait = waited + wait, 2 * wait
        raise AssertionError("the last try returns or raises")

    def _silent(self, error: Exception) -> NoReturn:
        import httpx2

        if isinstance(error, httpx2.ConnectTimeout):
            raise StoreError(f"{self} cannot be reached: nothing answered within {CONNECT:g} s") from error
        raise StoreError(f"{self} did not answer within {ANSWER:g} s: it has too much to do, or hangs") from error

    def _refused(self, response: "httpx2.Response", route: str) -> NoReturn:
        status, sentence = response.status_code, said(response)
        if response.is_redirect:
            raise StoreError(
                f"{self} leads to {response.headers.get('location', 'another address')}: name that address itself, "
                "since no key is sent where it was not meant for"
            )
        code = _code(response)
        if code is None:
            raise self._stranger(f"it answers {status} to {route}")
        if status == 401:
            raise StoreError(
                f"{self} does not know the key in {SERVER_KEY}: put one of its keys there"
                if self._key
                else f"{self} needs a key: put one of its keys into {SERVER_KEY}"
            )
        if sentence.startswith("there is no field") or code == "method_not_allowed" or sentence == "Not Found":
            raise StoreError(f"{self} is of another version of Beige ({route}: {sentence}): update it, or this one")
        if status == 404 and code == "not_found":
            raise MissingError(f"{self}: {sentence}")
        if status in {400, 404, 422}:
            raise UsageError(sentence)
        if status == 413:
            raise InputError(sentence)
        raise StoreError(f"{self}: {sentence}")

    def _stranger(self, why: str) -> StoreError:
        return StoreError(f"{self} is no Beige server, or one of another version: {why}")


def _passing(response: "httpx2.Response", safe: bool) -> bool:
    """Whether the same request may succeed later, and does no harm if the first one was done."""
    if response.status_code in _BUSY:
        return _code(response) not in _LATER
    return safe and response.status_code in _BEHIND


def _code(response: "httpx2.Response") -> str | None:
    """Why Beige refuses; None where it is not Beige that speaks."""
    try:
        code = response.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, str) else None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
