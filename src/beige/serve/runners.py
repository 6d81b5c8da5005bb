"""Models that are loaded, as the scheduler sees them, and what texts can become in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from beige.embedder import Embedder
from beige.errors import NotFiniteError
from beige.models.tokenizer import Tokens
from beige.reranker import Reranker
from beige.serve.pace import Pace
from beige.values import Embedding, Output, Role

Served = TypeVar("Served", bound=Embedder | Reranker)


class Loaded(Generic[Served]):
    """A model in memory; see `scheduler.Runner`.

    Attributes:
        name: as `/v1/models` lists it.
        model: the embedder or reranker.
        pace: how fast it is here.
    """

    def __init__(self, name: str, model: Served) -> None:
        self.name = name
        self.model: Served = model
        self.device = model.device
        self.streams = model.engine.streams
        self.pace = Pace()

    @property
    def budget(self) -> int:
        """See `Engine.budget`."""
        return self.model.engine.budget


@dataclass(frozen=True, slots=True)
class Embed:
    """Texts are to become embeddings; see `scheduler.Kind`."""

    runner: Loaded[Embedder]
    role: Role
    outputs: tuple[Output, ...]

    @classmethod
    def of(cls, runner: Loaded[Embedder], role: Role, outputs: tuple[Output, ...]) -> "Embed":
        """With the role only where the model computes by it: else texts of both share batches.

        Raises:
            UsageError: the model has no such output.
        """
        runner.model.check(role, outputs)
        by_role = runner.model.checkpoint.query_table is not None
        return cls(runner, role if by_role else "document", outputs)

    def compute(self, texts: Sequence[Tokens]) -> list[Embedding | NotFiniteError]:
        """See `scheduler.Kind`."""
        return self.runner.model.encode_batch(texts, self.role, self.outputs)


@dataclass(frozen=True, slots=True)
class Score:
    """Pairs are to become scores; see `scheduler.Kind`."""

    runner: Loaded[Reranker]

    def compute(self, texts: Sequence[Tokens]) -> list[float | NotFiniteError]:
        """See `scheduler.Kind`."""
        return self.runner.model.score_batch(texts)
