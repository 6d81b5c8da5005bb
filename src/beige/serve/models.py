"""The models that a server was told to serve: by which names clients know them, and which are in memory."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from beige.embedder import Embedder
from beige.errors import UsageError
from beige.index.encoders import name_of
from beige.models.card import Kind
from beige.models.checkpoint import Checkpoint, open_checkpoint
from beige.models.tensors import weight_files
from beige.reranker import Reranker
from beige.serve.errors import Refusal
from beige.serve.runners import Loaded
from beige.serve.settings import Settings
from beige.values import Role

ROLES: Mapping[str, Role] = {
    "query": "query",
    "search_query": "query",
    "retrieval.query": "query",
    "document": "document",
    "passage": "document",
    "search_document": "document",
    "retrieval.passage": "document",
}
"""What providers call a text's role."""

_OPENERS: Mapping[Kind, Callable[..., Any]] = {"embedder": Embedder, "reranker": Reranker}

_log = logging.getLogger("beige.serve")


@dataclass(eq=False, slots=True)
class Model:
    """One model to serve.

    Attributes:
        given: what the server was told: a name or folder.
        checkpoint: its files, which are on this machine.
        size: bytes of its weights' files: what it counts for in memory.
        runner: it, while it is loaded.
        users: requests that need it now.
        used: when it was last needed.
        leaving: whether it makes room for another, and takes no more users before that.
        loading: the task that loads it.
    """

    given: str
    checkpoint: Checkpoint
    size: int
    runner: Loaded[Any] | None = None
    users: int = 0
    used: float = 0.0
    leaving: bool = False
    loading: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """As clients are told."""
        return self.checkpoint.name

    @property
    def kind(self) -> Kind:
        """Embedder or reranker."""
        return self.checkpoint.kind


class Models:
    """All models to serve.

    Those that are not in memory are loaded when they are asked for; to make room, the one that was not used for longest
    leaves, never one in use. Whoever holds one must not ask for another meanwhile.

    Args:
        settings: which, and how much memory they may take.
        openers: by kind, what loads a checkpoint's folder; for tests.
        also: embedders that an index needs, as `index.encoders.name_of` calls them.

    Raises:
        BeigeError: a model is not found, cannot be pulled, is of the other kind, or is larger than the memory.
    """

    def __init__(
        self, settings: Settings, openers: Mapping[Kind, Callable[..., Any]] = _OPENERS, also: Iterable[str] = ()
    ) -> None:
        self._openers = openers
        self._precision = settings.precision
        self._budget = settings.memory_budget()
        self._names: dict[str, Model] = {}
        self.all: list[Model] = []
        for kind, given in (("embedder", settings.models), ("reranker", settings.rerankers)):
            for name in given:
                self._add(name, open_checkpoint(name), kind)
        for name in also:
            if all(name_of(model.checkpoint) != name for model in self.all):
                self._add(name, open_checkpoint(name), "embedder")
        for alias, name in settings.aliases.items():
            self._names[alias.lower()] = self._find(name)
        self._changed = asyncio.Event()
        self._room = asyncio.Lock()

    def find(self, name: str | None, kind: Kind) -> tuple[Model, Role | None]:
        """The model that a client means, and the role that it names with it ("bge-small-en-v1.5:query").

        Args:
            name: None for the first of the kind.
            kind: what it must be.

        Raises:
            Refusal: there is no such model here.
        """
        if name is None:
            model = next((model for model in self.all if model.kind == kind), None)
            if model is None:
                raise Refusal("model_not_found", f"this server has no {kind}: start it with one", param="model")
            return model, None
        stem, _, suffix = name.rpartition(":")
        role = ROLES.get(suffix.lower()) if stem and kind == "embedder" else None
        found = self._names.get((stem if role else name).lower())
        if found is None or found.kind != kind:
            known = ", ".join(model.name for model in self.all if model.kind == kind)
            raise Refusal(
                "model_not_found",
                f"this server has no {kind} {name[:100]!r}, only {known}" if known else f"this server has no {kind}",
                param="model",
            )
        return found, role

    @asynccontextmanager
    async def lease(self, model: Model) -> AsyncIterator[Loaded[Any]]:
        """A model that stays in memory as long as it is needed.

        Raises:
            BeigeError: it cannot be loaded.
        """
        while model.leaving:
            await self._changed.wait()
        model.users += 1
        try:
            if model.runner is None:
                if model.loading is None:
                    model.loading = asyncio.create_task(self._load(model))
                await asyncio.shield(model.loading)
            assert model.runner is not None
            yield model.runner
        finally:
            model.users -= 1
            model.used = time.monotonic()
            self._ring()

    def fitting(self) -> list[Model]:
        """Those that fit into memory together, in the order in which they were named."""
        kept, taken = [], 0
        for model in self.all:
            if taken + model.size <= self._budget:
                kept.append(model)
                taken += model.size
        return kept

    def _add(self, given: str, checkpoint: Checkpoint, kind: str) -> None:
        if checkpoint.kind != kind:
            right = "--model" if checkpoint.kind == "embedder" else "--reranker"
            raise UsageError(f"{checkpoint.name} is an {checkpoint.kind}: name it with {right}")
        size = sum(file.stat().st_size for file in weight_files(checkpoint.path))
        if size > self._budget:
            raise UsageError(
                f"{checkpoint.name} has {size / 2**20:,.0f} MiB of weights, more than the {self._budget / 2**20:,.0f} "
                "MiB that models may take: give more with --memory"
            )
        if any(model.name == checkpoint.name for model in self.all):
            raise UsageError(f"two models are called {checkpoint.name}: name it once, or give the folders other names")
        model = Model(given, checkpoint, size)
        self.all.append(model)
        card = checkpoint.card
        names: Iterable[str] = (checkpoint.name, given, *((card.repository, *card.aliases) if card else ()))
        for name in names:
            self._names.setdefault(name.lower(), model)

    def _find(self, name: str) -> Model:
        found = self._names.get(name.lower())
        if found is None:
            raise UsageError(f"an alias is for {name!r}, which is not served: name it with --model or --reranker")
        return found

    async def _load(self, model: Model) -> None:
        try:
            async with self._room:
                await self._make_room(model.size)
                _log.info("loading", extra={"facts": {"model": model.name}})
                model.runner = await asyncio.to_thread(self._open, model)
        finally:
            model.loading = None

    def _open(self, model: Model) -> Loaded[Any]:
        return Loaded(model.name, self._openers[model.kind](model.given, precision=self._precision))

    async def _make_room(self, size: int) -> None:
        while sum(model.size for model in self.all if model.runner is not None) + size > self._budget:
            loaded = [model for model in self.all if model.runner is not None]
            oldest = min(loaded, key=lambda model: (model.users > 0, model.used))
            oldest.leaving = True
            try:
                while oldest.users:
                    await self._changed.wait()
                _log.info("unloading", extra={"facts": {"model": oldest.name}})
                oldest.runner = None
            finally:
                oldest.leaving = False
                self._ring()

    def _ring(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()
