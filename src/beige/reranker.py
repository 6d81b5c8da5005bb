"""A query and passages in, scores out. Knows pairs and order; the engine knows devices, the checkpoint knows files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beige.engines import open_engine
from beige.engines.exits import Exits
from beige.errors import InputError, NotFiniteError, UsageError
from beige.models.checkpoint import open_kind
from beige.models.pairs import Pairs
from beige.models.tokenizer import Tokens
from beige.scores import logistic
from beige.values import Floats

DEFAULT_MODEL = "bge-reranker-v2-m3"


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage's place among others.

    Attributes:
        index: its place in the input, from 0.
        score: its raw score, or from 0 to 1 where that was asked for.
        truncated: whether the passage was cut to the model's length.
    """

    index: int
    score: float
    truncated: bool


class Reranker:
    """A model that reads a query and a passage together and says how well they match. Safe to use from several threads.

    Attributes:
        checkpoint: the model's files.
        layers: after how many layers it scores, where several were asked for or the model can stop early.
        engine: what runs it.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        device: str = "auto",
        precision: str = "auto",
        max_tokens: int | None = None,
        layers: Sequence[int] = (),
        compression: int = 1,
        compressed: Sequence[int] = (8,),
    ) -> None:
        """Open a model and make it ready to run.

        Args:
            model: a name ("bge-reranker-v2-m3") or a checkpoint's folder. A known model that is not on this machine is
                pulled first.
            device: "cpu", "cuda", "cuda:1", several with commas between, "cuda:all" or "auto".
            precision: "fp32", "bf16", "fp16", "int8" or "auto".
            max_tokens: query, passage and all that stands around them are cut to so many tokens; the model's length
                by default. Only the passage is cut.
            layers: after how many layers to score, for models that can stop early (-layerwise, -lightweight); each
                gives a score. The last layer by default.
            compression: how many neighbouring tokens of a passage become one on the way (-lightweight): 1, 2, 4, 8.
            compressed: before which layers, counted from 0, that is done.

        Raises:
            UsageError: no such device, precision, layer or compression; `max_tokens` out of bounds; the model is an
                embedder.
            ModelNotFoundError: no such model.
            SourceError: it is not on this machine and no source gave it.
            CheckpointError: its files are damaged.
            EngineError: it cannot run here.
            MissingExtraError: it needs PyTorch, which is not installed.
        """
        checkpoint = open_kind("reranker", model, max_tokens)
        self._exits = Exits(tuple(layers), compression, tuple(compressed)) if layers or compression != 1 else None
        self.checkpoint = checkpoint
        self.layers = tuple(layers)
        self._pairs = Pairs(checkpoint)
        self.engine = open_engine(checkpoint, device, precision, self._exits)

    @property
    def fingerprint(self) -> str:
        """Identifies what makes the scores, as hex sha256; the precision is not in it."""
        return hashlib.sha256(
            repr((self.checkpoint.fingerprint, self.checkpoint.max_tokens, self._exits)).encode()
        ).hexdigest()

    @property
    def precision(self) -> str:
        """What it runs in: "fp32", "bf16", "fp16" or "int8"."""
        return self.engine.choice.precision

    @property
    def device(self) -> str:
        """Where it runs."""
        return self.engine.device

    def score(self, query: str, passages: Sequence[str], *, normalise: bool = False) -> Floats:
        """How well each passage answers the query.

        Args:
            query: one question.
            passages: any number of texts.
            normalise: whether scores go through the logistic function, to between 0 and 1.

        Returns:
            Scores in the order of the passages, (n,); (n, e) where e > 1 layers were asked for, in their order.

        Raises:
            InputError: an input is no string, or the query leaves no room for a passage.
            NotFiniteError: a score is NaN or infinite; the error names the passage's place, from 0.
        """
        return self._run(query, passages, normalise)[0]

    def rerank(
        self, query: str, passages: Sequence[str], limit: int | None = None, *, normalise: bool = False
    ) -> list[Ranked]:
        """The passages from the best to the worst; equal scores keep their order.

        Args:
            query: one question.
            passages: any number of texts.
            limit: how many to give; all by default.
            normalise: whether scores go through the logistic function, to between 0 and 1.

        Returns:
            With several layers, by the score of the last one asked for.

        Raises:
            UsageError: `limit` is below 1.
            InputError: an input is no string, or the query leaves no room for a passage.
            NotFiniteError: a score is NaN or infinite; the error names the passage's place, from 0.
        """
        if limit is not None and limit < 1:
            raise UsageError(f"limit is {limit}; it must be 1 or more")
        scores, truncated = self._run(query, passages, normalise)
        deciding = scores.reshape(len(passages), -1)[:, -1] if len(passages) else scores  # (n,)
        order = np.argsort(-deciding, kind="stable")[:limit]
        return [Ranked(int(place), float(deciding[place]), truncated[place]) for place in order]

    def tokenize(self, query: str, passages: Sequence[str], most: int | None = None) -> list[Tokens]:
        """What the model reads of the pairs, for callers that pack batches by themselves; see `score_batch`.

        Args:
            query: one question.
            passages: any number of texts.
            most: tokens of a passage beyond which it is cut in any case.

        Raises:
            InputError: an input is no string, or the query leaves no room for a passage.
        """
        if isinstance(passages, str) or not isinstance(query, str):
            raise InputError("a reranker takes one query, a string, and a sequence of passages")
        for place, passage in enumerate(passages):
            if not isinstance(passage, str):
                raise InputError(f"passage {place} (counted from 0) is of type {type(passage).__name__}, not a string")
        return list(self._pairs.encode(query, passages, most))

    def score_batch(self, pairs: Sequence[Tokens]) -> list[float | NotFiniteError]:
        """Score what `tokenize` gave, of one query or of several, as the one batch that it is.

        Returns:
            Each pair's raw score, by the last layer asked for, or the error that it is NaN or infinite: the others are
            none the worse.

        Raises:
            EngineError: the device failed.
        """
        found = self.engine.run_batch(pairs, ("score",))
        return [raw if isinstance(raw, NotFiniteError) else float(raw["score"][-1]) for raw in found]

    def _run(self, query: str, passages: Sequence[str], normalise: bool) -> tuple[Floats, list[bool]]:
        pairs = self.tokenize(query, passages)
        scores = np.empty((len(pairs), max(1, len(self.layers))), np.float32)  # (n, e)
        for row, raw in zip(scores, self.engine.run(pairs, ("score",)), strict=True):
            row[:] = raw["score"]
        if normalise:
            scores = logistic(scores)
        return scores if scores.shape[1] > 1 else scores[:, 0], [pair.truncated for pair in pairs]
