"""Providers' embeddings over HTTP: OpenAI's routes, which many servers speak, Cohere's and Voyage's.

A provider is a row of `PROVIDERS`: where it is, what a request looks like, how an answer is read. Everything else is
the same for all: retries, the spend limit, errors that name the remedy.
"""

import base64
import binascii
import email.utils
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from beige.environment import OFFLINE, foreign, offline
from beige.errors import RemoteError
from beige.evaluate.encoder import Batch, Limit
from beige.evaluate.prices import Budget, Prices
from beige.evaluate.systems import Model, Runner
from beige.values import Floats, Role

if TYPE_CHECKING:
    import httpx2

TRIES = 6
"""How often a request is sent before its refusal is an error."""

LONGEST_WAIT = 300.0
"""Seconds; a provider that asks for a longer pause is an error at once."""

_TIMEOUT = 120.0
_TOKENS_A_CHARACTER = 0.5
"""Taken for the spend limit until a provider has told how many tokens its requests had; English has about 0.25."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Provider:
    """How a kind of server is spoken to.

    Attributes:
        url: the base of its routes; None where the system's spelling says it.
        urls: environment variables that say another one, as the provider's own client reads them.
        keys: environment variables that hold the key, the first that is set.
        route: of embeddings, below the base.
        limit: what one request takes.
        body: the request for a model, texts and their role.
        vectors: of an answer, in the order of the texts; whatever it raises means a malformed answer.
        tokens: that an answer says were read.
        roles: whether the request says the role, so that a query and a document have different vectors.
    """

    url: str | None
    urls: tuple[str, ...]
    keys: tuple[str, ...]
    route: str
    limit: Limit
    body: Callable[[str, Sequence[str], Role], dict[str, Any]]
    vectors: Callable[[Any], list[Any]]
    tokens: Callable[[Any], Any]
    roles: bool = True


def _openai_body(model: str, texts: Sequence[str], role: Role) -> dict[str, Any]:
    return {"model": model, "input": list(texts), "encoding_format": "base64"}


def _cohere_body(model: str, texts: Sequence[str], role: Role) -> dict[str, Any]:
    return {"model": model, "texts": list(texts), "input_type": f"search_{role}", "embedding_types": ["float"]}


def _voyage_body(model: str, texts: Sequence[str], role: Role) -> dict[str, Any]:
    return {"model": model, "input": list(texts), "input_type": role, "encoding_format": "base64"}


def _by_index(answer: Any) -> list[Any]:
    """OpenAI's and Voyage's list, whose rows say which text they belong to."""
    rows = sorted(answer["data"], key=lambda row: row["index"])
    if [row["index"] for row in rows] != list(range(len(rows))):
        raise ValueError("the rows' indexes are not 0, 1, 2 …")
    return [row["embedding"] for row in rows]


_OPENAI = Provider(
    "https://api.openai.com/v1",
    ("OPENAI_BASE_URL",),
    ("OPENAI_API_KEY",),
    "/embeddings",
    Limit(texts=256, characters=250_000),
    _openai_body,
    _by_index,
    lambda answer: answer["usage"]["prompt_tokens"],
    roles=False,
)
PROVIDERS: Mapping[Runner, Provider] = {
    "openai": _OPENAI,
    "server": Provider(
        None,
        (),
        ("BEIGE_SERVER_KEY",),  # never a provider's: it would go to whatever address was typed
        _OPENAI.route,
        Limit(texts=32, characters=250_000),
        _OPENAI.body,
        _OPENAI.vectors,
        _OPENAI.tokens,
        roles=False,
    ),
    "cohere": Provider(
        "https://api.cohere.com",
        ("CO_API_URL",),
        ("CO_API_KEY", "COHERE_API_KEY"),
        "/v2/embed",
        Limit(texts=96, characters=250_000),
        _cohere_body,
        lambda answer: answer["embeddings"]["float"],
        lambda answer: answer["meta"]["billed_units"]["input_tokens"],
    ),
    "voyage": Provider(
        "https://api.voyageai.com/v1",
        ("VOYAGE_API_BASE",),
        ("VOYAGE_API_KEY",),
        "/embeddings",
        Limit(texts=128, characters=100_000),
        _voyage_body,
        _by_index,
        lambda answer: answer["usage"]["total_tokens"],
    ),
}
"""What each kind of server speaks."""


class Remote:
    """A model behind a provider's or a server's routes.

    Args:
        model: of a runner of `PROVIDERS`.
        prices: what it costs.
        budget: what may be spent; counts what was.
        sleep: waits some seconds before another try.

    Raises:
        RemoteError: no key is in the environment.
    """

    def __init__(
        self, model: Model, prices: Prices, budget: Budget, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._model = model
        self._provider = PROVIDERS[model.runner]
        self._price = prices.of(model)
        self._budget = budget
        self._sleep = sleep
        self._base = (model.url or foreign(*self._provider.urls) or self._provider.url or "").rstrip("/")
        self._key = foreign(*self._provider.keys)
        self._ratio = _TOKENS_A_CHARACTER
        if self._key is None and model.runner != "server":
            raise RemoteError(f"{self._name} needs a key: set {self._provider.keys[0]} in the environment")
        self._client: httpx2.Client | None = None

    alone = 32

    @property
    def limit(self) -> Limit:
        """What one request takes."""
        return self._provider.limit

    @property
    def _name(self) -> str:
        return (
            f"{self._model.url}#{self._model.name}" if self._model.url else f"{self._model.runner}:{self._model.name}"
        )

    def space(self, role: Role) -> str:
        """The address and the model, and what is said of the role."""
        written = (role if self._provider.roles else "", self._instruction(role))
        return " ".join((self._base, self._model.name, *written))

    def encode(self, texts: Sequence[str], role: Role) -> Batch:
        """Vectors of the texts, in their order.

        Raises:
            BudgetError: the request would pass the spend limit.
            RemoteError: the server refuses, cannot be reached, or answers as its kind does not.
        """
        sent = [self._instruction(role) + text for text in texts]
        characters = sum(map(len, sent))
        self._budget.check(self._model, self._price, characters * self._ratio)
        answer = self._post(self._provider.body(self._model.name, sent, role))
        try:
            vectors = np.stack([_floats(row) for row in self._provider.vectors(answer)])  # (n, d)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RemoteError(f"{self._name} gave an answer that is not of its kind ({error})") from error
        if len(vectors) != len(sent):
            raise RemoteError(f"{self._name} gave {len(vectors)} vectors for {len(sent)} texts")
        tokens = self._tokens(answer)
        if tokens is None:
            self._budget.spend(self._price, characters * self._ratio)
            return Batch(vectors)
        self._ratio = max(tokens / characters, 1e-3) if characters else self._ratio
        self._budget.spend(self._price, tokens)
        return Batch(vectors, np.full(len(sent), tokens / len(sent)))

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()

    def _instruction(self, role: Role) -> str:
        return (self._model.instruction or "") if role == "query" else ""

    def _tokens(self, answer: Any) -> float | None:
        """How many the answer says were read; None where it says none, as some servers do."""
        try:
            tokens = self._provider.tokens(answer)
        except (KeyError, TypeError):
            return None
        return float(tokens) if isinstance(tokens, int | float) and tokens > 0 else None

    def _post(self, body: dict[str, Any]) -> Any:
        """The answer to a request, tried anew where the server is busy or broken."""
        import httpx2

        url = self._base + self._provider.route
        if offline() and urlsplit(url).hostname not in _LOOPBACK:
            raise RemoteError(f"{self._name} cannot be asked while {OFFLINE}=1 keeps this machine offline")
        if self._client is None:
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            self._client = httpx2.Client(timeout=_TIMEOUT, headers=headers)
        for attempt in range(1, TRIES + 1):
            wait = 0.0
            try:
                response = self._client.post(url, json=body)
            except httpx2.InvalidURL as error:
                raise RemoteError(f"{url} is no address: {error}") from error
            except httpx2.TransportError as error:
                said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                refusal = f"{url} cannot be reached ({said})"
            else:
                if response.is_success:
                    return self._json(response)
                refusal = f"{self._name} answered {response.status_code}: {_said(response)}"
                if not _passing(response):
                    raise RemoteError(f"{refusal}{self._remedy(response.status_code)}")
                wait = _retry_after(response.headers.get("retry-after"))
            if attempt == TRIES:
                break
            wait = max(wait, 2.0 ** (attempt - 1) * random.uniform(0.5, 1.0))
            if wait > LONGEST_WAIT:
                raise RemoteError(f"{refusal}; it asks for a pause of {wait:.0f} s: run the same command again then")
            self._sleep(wait)
        raise RemoteError(
            f"{refusal}, {TRIES} times; what was answered before is kept: run the same command again later"
        )

    def _json(self, response: "httpx2.Response") -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise RemoteError(f"{self._name} gave an answer that is no JSON: {response.text[:80]!r}") from error

    def _remedy(self, status: int) -> str:
        if status in {401, 403}:
            return f"; is the key in {' or '.join(self._provider.keys)} the right one?"
        if status == 404:
            return f"; is there a model {self._model.name!r} at {self._base}?"
        return ""


def _floats(row: Any) -> Floats:
    """A vector from base64 of little-endian float32, or from numbers."""
    if isinstance(row, str):
        try:
            return np.frombuffer(base64.b64decode(row, validate=True), "<f4")
        except binascii.Error as error:
            raise ValueError(f"no base64: {error}") from error
    vector = np.asarray(row, np.float32)
    if vector.ndim != 1 or not len(vector):
        raise ValueError(f"a vector of the shape {vector.shape}")
    return vector


def _passing(response: "httpx2.Response") -> bool:
    """Whether the same request may succeed later. A quota that is used up is no matter of waiting."""
    return response.status_code >= 500 or (
        response.status_code in {408, 429} and "insufficient_quota" not in response.text
    )


def _said(response: "httpx2.Response") -> str:
    """The sentence of an error, wherever its kind of server puts it."""
    try:
        body = response.json()
    except ValueError:
        return response.text.strip()[:200] or response.reason_phrase
    for path in (("error", "message"), ("message",), ("detail",), ("error",)):
        found = body
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            return found
    return response.text[:200]


def _retry_after(value: str | None) -> float:
    """Seconds of a Retry-After header, which holds seconds or a date; 0 where it says nothing."""
    if value is None:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0
