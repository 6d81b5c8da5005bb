"""What every route asks of: texts to embeddings, pairs to scores, through the models and the lanes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from beige.serve.errors import Refusal
from beige.serve.lanes import LANES, Lane
from beige.serve.metrics import Metrics
from beige.serve.models import Model, Models
from beige.serve.runners import Embed, Loaded, Score
from beige.serve.scheduler import Computed, Kind, Scheduler
from beige.serve.settings import Settings
from beige.values import Embedding, Output, Role

Text = str | Sequence[int]
"""A text, or the ids of its tokens in the model's own vocabulary."""

INTERACTIVE = 1024
"""Tokens, estimated: a request of no stated role that has more is ingestion."""

LARGE = 1 << 16
"""Tokens, estimated before anything is cut: a request that has more is ingestion. One after the other is tokenized, and
queries would wait for it."""

PAIRED = 1 << 24
"""Tokens, likewise, of a query and its passages, the query as often as it is read: more are refused."""

HEALTHY = 10.0
"""Seconds for which a real embedding proves that the server is well."""

_PROBE_SECONDS = 5.0
_CHARACTERS = 4  # of a token, about
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a request is computed.

    Attributes:
        timeout: seconds after which it is of no use.
        lane: where it waits; None where its role and size decide.
        exact: whether an input that is longer than the model reads is an error.
    """

    timeout: float
    lane: Lane | None = None
    exact: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Embedded:
    """What became of texts.

    Attributes:
        model: the name of what embedded them.
        embeddings: one for each text.
        tokens: that the model read, special tokens and templates included.
        truncated: how many texts were cut.
    """

    model: str
    embeddings: list[Embedding]
    tokens: int
    truncated: int


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """What became of a query and passages.

    Attributes:
        model: the name of what scored them.
        scores: raw ones, one for each passage.
        order: places of passages, the best first; equal scores keep their order.
        tokens: that the model read, the query's counted with each passage.
        truncated: how many passages were cut.
    """

    model: str
    scores: Sequence[float]
    order: Sequence[int]
    tokens: int
    truncated: int


class Service:
    """One server's models, lanes and counters.

    Args:
        settings: see there.
        models: what is served.
        metrics: what is counted.
    """

    def __init__(self, settings: Settings, models: Models, metrics: Metrics) -> None:
        self.settings = settings
        self.models = models
        self.metrics = metrics
        self.scheduler = Scheduler(settings.queue_tokens, metrics)
        self._proved = 0.0  # when a real embedding last came back
        self._warm = False
        for lane in LANES:
            metrics.watch_queue(lane, partial(self.scheduler.tokens, lane))
        for model in models.all:
            metrics.watch_model(model.name, partial(_is_loaded, model))

    async def warm_up(self) -> None:
        """Load the models that fit into memory together, and let each compute something.

        Raises:
            BeigeError: one cannot be loaded or gives no finite numbers.
        """
        for model in self.models.fitting():
            for _ in range(2):  # an engine may make ready for texts that come alone when it is asked again
                await self._try(model)
        self._warm = True

    async def ready(self) -> None:
        """Return where the server can do its work.

        Raises:
            Refusal: it is loading or shutting down, or no real embedding came back finite.
        """
        if not self._warm:
            raise Refusal("not_ready", "models are being loaded", retry_after=1)
        self.scheduler.check_open()
        if time.monotonic() - self._proved > HEALTHY:
            await self._try(self.models.all[0])

    async def embed(
        self,
        model: str | None,
        texts: Sequence[Text],
        terms: Terms,
        *,
        role: Role | None = None,
        outputs: tuple[Output, ...] = ("dense",),
        prompt: str | None = None,
    ) -> Embedded:
        """Embed texts.

        Args:
            model: a name, maybe with a role; None for the first embedder.
            texts: any number, up to the server's limit.
            terms: see there.
            role: what they are for; documents, where neither this nor the name says it.
            outputs: what to compute.
            prompt: the name of a prompt of the model's own.

        Raises:
            Refusal: see `Scheduler.run`; too many texts; one is too long and the terms are exact.
            BeigeError: the model cannot do this.
        """
        found, named = self.models.find(model, "embedder")
        role = role or named
        lengths = [_length(text) for text in texts]
        estimate = self._estimate(lengths, found)
        lane = _lane(terms.lane, role, estimate, lengths)

        async def work(runner: Loaded[Any]) -> Computed:
            kind = Embed.of(runner, role or "document", outputs)
            return await self._run(
                kind, lane, terms, estimate, lambda: runner.model.tokenize(texts, role or "document", prompt)
            )

        computed = await self._leased(found, terms, work)
        return Embedded(found.name, computed.results, *_counted(computed))

    async def rerank(
        self, model: str | None, query: str, passages: Sequence[str], terms: Terms, *, most: int | None = None
    ) -> Scored:
        """Score how well passages answer a query.

        Args:
            model: a name; None for the first reranker.
            query: one question.
            passages: any number, up to the server's limit.
            terms: see there.
            most: tokens of a passage beyond which it is cut in any case.

        Raises:
            Refusal: as `embed`.
            BeigeError: the query leaves no room for a passage.
        """
        found, _ = self.models.find(model, "reranker")
        lengths = [_length(query) + _length(passage) for passage in passages]
        estimate = self._estimate(lengths, found)
        if sum(lengths) > PAIRED:
            raise Refusal(
                "too_large", "query and passages are too long together: send fewer passages, or a shorter query"
            )

        async def work(runner: Loaded[Any]) -> Computed:
            return await self._run(
                Score(runner),
                _lane(terms.lane, "query", estimate, lengths),
                terms,
                estimate,
                lambda: runner.model.tokenize(query, passages, most),
            )

        computed = await self._leased(found, terms, work)
        order = np.argsort(-np.asarray(computed.results, np.float64), kind="stable").tolist()
        return Scored(found.name, computed.results, order, *_counted(computed))

    async def read(
        self, model: str | None, texts: Sequence[Text], terms: Terms, read: Callable[[Loaded[Any]], _T]
    ) -> _T:
        """What something that only reads texts makes of them, on a thread.

        Raises:
            Refusal: as `embed`.
        """
        found, _ = self.models.find(model, "embedder")
        lengths = [_length(text) for text in texts]
        estimate = self._estimate(lengths, found)
        lane = _lane(None, None, estimate, lengths)

        async def work(runner: Loaded[Any]) -> _T:
            return await self.scheduler.read(runner, lane, terms.timeout, estimate, lambda: read(runner))

        return await self._leased(found, terms, work)

    async def close(self) -> None:
        """Finish what was acknowledged."""
        await self.scheduler.close()

    async def _leased(self, model: Model, terms: Terms, work: Callable[[Loaded[Any]], Awaitable[_T]]) -> _T:
        if model.runner is not None and not model.leaving:  # the way of almost all requests
            async with self.models.lease(model) as runner:
                return await work(runner)
        try:
            async with asyncio.timeout(terms.timeout):
                async with self.models.lease(model) as runner:
                    return await work(runner)
        except TimeoutError as error:
            raise Refusal(
                "expired",
                f"{model.name} was not loaded within the request's {terms.timeout:g} seconds: send it again",
                retry_after=1,
            ) from error

    async def _run(
        self, kind: Kind, lane: Lane, terms: Terms, estimate: int, tokenize: Callable[[], Sequence[Any]]
    ) -> Computed:
        started = time.monotonic()

        def read() -> Sequence[Any]:
            texts = tokenize()
            if terms.exact:
                _check_lengths(texts)
            return texts

        computed = await self.scheduler.run(kind, lane, terms.timeout, estimate, read)
        self._proved = time.monotonic()
        truncated = sum(text.truncated for text in computed.texts)
        self.metrics.computed(kind.runner.name, lane, len(computed.texts), truncated, self._proved - started)
        return computed

    def _estimate(self, lengths: Sequence[int], model: Model) -> int:
        if len(lengths) > self.settings.items:
            raise Refusal(
                "too_large",
                f"the request has {len(lengths)} inputs and the server takes {self.settings.items}: send it in parts",
            )
        most = model.checkpoint.max_tokens
        return sum(min(most, 2 + length) for length in lengths)

    async def _try(self, model: Model) -> None:
        terms = Terms(_PROBE_SECONDS if self._warm else self.settings.longest_timeout, "query")
        if model.kind == "reranker":
            await self.rerank(model.name, "is it well?", ["it is well"], terms)
        else:
            await self.embed(model.name, ["is it well?"], terms, role="document", outputs=model.checkpoint.outputs)


def _is_loaded(model: Model) -> bool:
    return model.runner is not None


def _length(text: Text) -> int:
    """About how many tokens a text has."""
    return len(text) // _CHARACTERS if isinstance(text, str) else len(text)


def _lane(wanted: Lane | None, role: Role | None, estimate: int, lengths: Sequence[int]) -> Lane:
    """Where texts of these lengths wait, of which so many tokens are computed."""
    if sum(lengths) > LARGE:
        return "ingestion"
    if wanted is not None:
        return wanted
    if role is None:
        return "query" if estimate <= INTERACTIVE else "ingestion"
    return "query" if role == "query" else "ingestion"


def _counted(computed: Computed) -> tuple[int, int]:
    read = sum(len(text.ids) for text in computed.texts)
    return read, sum(text.truncated for text in computed.texts)


def _check_lengths(texts: Sequence[Any]) -> None:
    for place, text in enumerate(texts):
        if text.truncated:
            raise Refusal(
                "invalid",
                f"input {place} (counted from 0) has {text.count} tokens and the model reads {len(text.ids)}: shorten "
                "it, or let it be cut",
                param=f"input[{place}]",
            )
