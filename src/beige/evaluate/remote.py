"""Providers' embeddings over HTTP: OpenAI's routes, which many servers speak, Cohere's and Voyage's.

A provider is a row of `PROVIDERS`: where it is, what a request looks like, how an answer is read. The rest is the same
for all: the spend limit, and the retries and errors of `beige.evaluate.endpoint`.
"""

import base64
import binascii
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from beige.environment import foreign
from beige.errors import RemoteError
from beige.evaluate.encoder import PLACE, Batch, Limit
from beige.evaluate.endpoint import Endpoint
from beige.evaluate.prices import Budget, Prices
from beige.evaluate.systems import Model, Runner
from beige.values import Floats, Role

_TOKENS_A_CHARACTER = 0.5
"""Taken for the spend limit until a provider has told how many tokens its requests had; English has about 0.25."""


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
    "server": replace(
        _OPENAI,
        url=None,
        urls=(),
        keys=("BEIGE_SERVER_KEY",),  # never a provider's: it would go to whatever address was typed
        limit=Limit(texts=32, characters=250_000),
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


def name_of(model: Model) -> str:
    """How errors call a model behind routes."""
    return f"{model.url}#{model.name}" if model.url else f"{model.runner}:{model.name}"


def endpoint_of(model: Model, sleep: Callable[[float], None] = time.sleep) -> Endpoint:
    """Where a model's routes are, with the key that the environment has for them.

    Raises:
        RemoteError: a provider's key is missing; a server of one's own may have none.
    """
    provider = PROVIDERS[model.runner]
    base = model.url or foreign(*provider.urls) or provider.url or ""
    return Endpoint(name_of(model), base, provider.keys, needed=model.runner != "server", sleep=sleep)


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
        self._ratio = _TOKENS_A_CHARACTER
        self._endpoint = endpoint_of(model, sleep)

    alone = 32
    precision = None

    @property
    def limit(self) -> Limit:
        """What one request takes."""
        return self._provider.limit

    def space(self, role: Role) -> str:
        """The address and the model, and what is said of the role."""
        said = role if self._provider.roles else ""
        return " ".join((self._endpoint.base, self._model.name, said, self._model.written(PLACE, role)))

    def encode(self, texts: Sequence[str], role: Role) -> Batch:
        """Vectors of the texts, in their order.

        Raises:
            BudgetError: the request would pass the spend limit.
            RemoteError: the server refuses, cannot be reached, or answers as its kind does not.
        """
        sent = [self._model.written(text, role) for text in texts]
        characters = sum(map(len, sent))
        self._budget.check(self._model, self._price, characters * self._ratio)
        answer = self._endpoint.post(self._provider.route, self._provider.body(self._model.name, sent, role))
        try:
            vectors = np.stack([_floats(row) for row in self._provider.vectors(answer)])  # (n, d)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RemoteError(f"{name_of(self._model)} gave an answer that is not of its kind ({error})") from error
        if len(vectors) != len(sent):
            raise RemoteError(f"{name_of(self._model)} gave {len(vectors)} vectors for {len(sent)} texts")
        tokens = self._tokens(answer)
        if tokens is None:
            self._budget.spend(self._price, characters * self._ratio)
            return Batch(vectors)
        self._ratio = max(tokens / characters, 1e-3) if characters else self._ratio
        self._budget.spend(self._price, tokens)
        return Batch(vectors, np.full(len(sent), tokens / len(sent)))

    def close(self) -> None:
        """Let go of the connection."""
        self._endpoint.close()

    def _tokens(self, answer: Any) -> float | None:
        """How many the answer says were read; None where it says none, as some servers do."""
        try:
            tokens = self._provider.tokens(answer)
        except (KeyError, TypeError):
            return None
        return float(tokens) if isinstance(tokens, int | float) and tokens > 0 else None


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
