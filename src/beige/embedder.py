"""Text in, embeddings out. Knows templates, roles and counts; the engine knows devices, the checkpoint knows files."""

import copy
import dataclasses
import functools
import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import cast, overload

import numpy as np

from beige.engines import Engine, Raw, open_engine
from beige.engines.batches import sliced
from beige.errors import InputError, NotFiniteError, UsageError
from beige.instructions import Example, affixes
from beige.lexical import by_table, by_tokens, by_words
from beige.models.card import MCLS_STRIDE, SPLADE
from beige.models.checkpoint import Checkpoint, open_kind
from beige.models.tokenizer import Tokens
from beige.values import Embedding, Embeddings, Floats, Output, Role, Sparse


@dataclasses.dataclass(frozen=True, slots=True)
class Spelled:
    """A token as it stands in a text.

    Attributes:
        id: its number in the vocabulary.
        text: the characters that it stands for; a special token's name.
        special: whether it is no part of the text.
        start: its first character in the text with its template; None for a special one.
        stop: the one after its last.
    """

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


DEFAULT_MODEL = "bge-small-en-v1.5"

_SLICE = 256
"""Texts that are tokenized at a time; the tokenizer spreads them over the cores while earlier batches still run."""

_BATCH = 512
"""Texts of each `Embeddings` that an iterator of texts gives."""


class Embedder:
    """An embedding model. Safe to use from several threads at once.

    A text's role decides its template: queries and documents are not embedded alike. A string gives an `Embedding`;
    a list, a tuple or anything else with a length gives `Embeddings`; any other iterable gives an iterator of
    `Embeddings` of up to 512 texts in the order of the inputs, and memory does not grow with it: texts are read ahead
    by some 4,096, sorted by length and run in batches.

    Attributes:
        checkpoint: the model's files.
        affixes: by role, what goes before and after a text.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        device: str = "auto",
        precision: str = "auto",
        instruction: str | None = None,
        prompt: str | None = None,
        examples: Iterable[Example] = (),
        max_tokens: int | None = None,
        mcls: bool = False,
    ) -> None:
        """Open a model and make it ready to run.

        Args:
            model: a name ("bge-small-en-v1.5") or a checkpoint's folder. A known model that is not on this machine is
                pulled first.
            device: "cpu", "cuda", "cuda:1", several with commas between, "cuda:all" or "auto".
            precision: "fp32", "bf16", "fp16", "int8" or "auto": the fastest that keeps the vectors.
            instruction: what queries are for, where the model takes a task (bge-en-icl and the other decoders); else
                it goes before every query instead of the model's own. With a `{text}` in it, the query goes there. ""
                for none. Braces that are meant as such are doubled.
            prompt: the name of an instruction of the model's own, one of `checkpoint.prompts`.
            examples: queries with their answers, for models that take such (bge-en-icl).
            max_tokens: longer texts are cut to so many tokens, special ones included; the model's length by default.
            mcls: for long texts of models that pool the first token: one such token before every 256, and the mean of
                their states; Chen et al. 2024, https://arxiv.org/abs/2402.03216. Dense vectors alone.

        Raises:
            UsageError: no such device, precision or placeholder; `max_tokens` out of bounds; `mcls` with a model that
                pools otherwise; the model is a reranker.
            ModelNotFoundError: no such model.
            SourceError: it is not on this machine and no source gave it.
            CheckpointError: its files are damaged.
            EngineError: it cannot run here. A model whose queries need no engine says so at its first documents.
            MissingExtraError: it needs PyTorch, which is not installed.
        """
        checkpoint = open_kind("embedder", model, max_tokens)
        if mcls:
            if checkpoint.pooling != "cls":
                raise UsageError(f"{checkpoint.name} does not pool its first token: it takes no mcls")
            checkpoint = dataclasses.replace(checkpoint, pooling="mcls", outputs=("dense",))
        self.checkpoint: Checkpoint = checkpoint
        self.affixes = affixes(checkpoint, instruction, prompt, tuple(examples))
        self._tokenizer = checkpoint.tokenizer()
        self._hollow = self._tokenizer.hollow
        self._query_weights = checkpoint.query_weights()
        self._opening = threading.Lock()
        self._open = functools.partial(open_engine, checkpoint, device, precision)
        if self._query_weights is None:
            _ = self.engine  # what cannot run is said at once

    def through(self, engine: Engine) -> "Embedder":
        """The same model, run by another engine: one that orders the work of many, say."""
        other = copy.copy(self)
        other.__dict__["engine"] = engine
        return other

    @functools.cached_property
    def engine(self) -> Engine:
        """What runs it; of a model whose queries need no engine, opened for its first documents."""
        with self._opening:
            return self.__dict__.get("engine") or self._open()

    @property
    def fingerprint(self) -> str:
        """Identifies what makes the vectors of documents; an index holds it."""
        return self.checkpoint.fingerprint

    @property
    def dimension(self) -> int:
        """Length of the dense vectors; for a model without, of its hidden states."""
        return self.checkpoint.dimension

    @property
    def max_tokens(self) -> int:
        """Where longer texts are cut, special tokens included."""
        return self.checkpoint.max_tokens

    def template(self, role: Role) -> str:
        """What texts of a role are put into, with `{text}` where they stand.

        Raises:
            UsageError: there is no such role.
        """
        if role not in self.affixes:
            raise UsageError(f"there is no role {role!r}: take one of {', '.join(self.affixes)}")
        return "{text}".join(self.affixes[role])

    @property
    def precision(self) -> str:
        """What it runs in: "fp32", "bf16", "fp16" or "int8"."""
        return self.engine.choice.precision

    @property
    def device(self) -> str:
        """Where it runs."""
        return self.engine.device

    @overload
    def encode_query(  # type: ignore[overload-overlap]  # a str is an iterable of str as well
        self, texts: str, outputs: tuple[Output, ...] = ...
    ) -> Embedding: ...
    @overload
    def encode_query(self, texts: list[str] | tuple[str, ...], outputs: tuple[Output, ...] = ...) -> Embeddings: ...
    @overload
    def encode_query(self, texts: Iterator[str], outputs: tuple[Output, ...] = ...) -> Iterator[Embeddings]: ...
    @overload
    def encode_query(
        self, texts: Iterable[str], outputs: tuple[Output, ...] = ...
    ) -> Embeddings | Iterator[Embeddings]: ...
    def encode_query(
        self, texts: Iterable[str], outputs: tuple[Output, ...] = ("dense",)
    ) -> Embedding | Embeddings | Iterator[Embeddings]:
        """`encode` with the role "query"."""
        return self.encode(texts, "query", outputs)

    @overload
    def encode_document(  # type: ignore[overload-overlap]  # a str is an iterable of str as well
        self, texts: str, outputs: tuple[Output, ...] = ...
    ) -> Embedding: ...
    @overload
    def encode_document(self, texts: list[str] | tuple[str, ...], outputs: tuple[Output, ...] = ...) -> Embeddings: ...
    @overload
    def encode_document(self, texts: Iterator[str], outputs: tuple[Output, ...] = ...) -> Iterator[Embeddings]: ...
    @overload
    def encode_document(
        self, texts: Iterable[str], outputs: tuple[Output, ...] = ...
    ) -> Embeddings | Iterator[Embeddings]: ...
    def encode_document(
        self, texts: Iterable[str], outputs: tuple[Output, ...] = ("dense",)
    ) -> Embedding | Embeddings | Iterator[Embeddings]:
        """`encode` with the role "document"."""
        return self.encode(texts, "document", outputs)

    @overload
    def encode(  # type: ignore[overload-overlap]  # a str is an iterable of str as well
        self, texts: str, role: Role = ..., outputs: tuple[Output, ...] = ...
    ) -> Embedding: ...
    @overload
    def encode(
        self, texts: list[str] | tuple[str, ...], role: Role = ..., outputs: tuple[Output, ...] = ...
    ) -> Embeddings: ...
    @overload
    def encode(
        self, texts: Iterator[str], role: Role = ..., outputs: tuple[Output, ...] = ...
    ) -> Iterator[Embeddings]: ...
    @overload
    def encode(
        self, texts: Iterable[str], role: Role = ..., outputs: tuple[Output, ...] = ...
    ) -> Embeddings | Iterator[Embeddings]: ...
    def encode(
        self, texts: Iterable[str], role: Role = "document", outputs: tuple[Output, ...] = ("dense",)
    ) -> Embedding | Embeddings | Iterator[Embeddings]:
        """Embed texts.

        Args:
            texts: one text, a sequence of them, or any iterable. Empty texts are embedded like others.
            role: "query" or "document".
            outputs: what to compute, of `checkpoint.outputs`.

        Returns:
            For a string an `Embedding`, for a sequence `Embeddings`, else an iterator of `Embeddings`.

        Raises:
            UsageError: no such role, or the model has no such output.
            InputError: a text is no string; the error names its place, from 0.
            NotFiniteError: a vector is NaN or infinite; the error names the text's place.
        """
        self.check(role, outputs)
        if isinstance(texts, str):
            return next(self._embeddings([texts], role, outputs))
        if isinstance(texts, bytes | bytearray | Mapping | Set) or not isinstance(texts, Iterable):
            raise InputError(f"texts must be a string or an iterable of strings in some order, not {_kind(texts)}")
        found = self._embeddings(texts, role, outputs)
        if hasattr(texts, "__len__"):
            return self._gather(list(found), outputs)
        return (self._gather(part, outputs) for part in sliced(found, _BATCH))

    def check(self, role: Role, outputs: tuple[Output, ...]) -> None:
        """Refuse what this model cannot be asked for.

        Raises:
            UsageError: no such role, or the model has no such output.
        """
        self.template(role)
        if isinstance(cast("object", outputs), str):
            raise UsageError(f"outputs are names in a row: write ({outputs!r},) where one is meant")
        for output in outputs:
            if output not in self.checkpoint.outputs:
                raise UsageError(
                    f"{self.checkpoint.name} gives no output {output!r}, only {', '.join(self.checkpoint.outputs)}"
                )
        if not outputs:
            raise UsageError(f"no output is asked for: take some of {', '.join(self.checkpoint.outputs)}")

    def tokenize(
        self, texts: Sequence[str | Sequence[int]], role: Role = "document", prompt: str | None = None
    ) -> list[Tokens]:
        """What the model reads of texts, for callers that pack batches by themselves; see `encode_batch`.

        Args:
            texts: strings, or token ids of the model's own vocabulary; either goes into the role's template.
            role: "query" or "document".
            prompt: the name of an instruction of the model's own that takes the place of the role's.

        Raises:
            UsageError: the model has no such prompt.
            InputError: a text is neither, or an id is not in the vocabulary; the error names its place, from 0.
        """
        around = self._around(role, prompt)
        if all(isinstance(text, str) for text in texts):
            return list(self._tokens(self._filled(texts, *around), role, around[1]))
        head, tail = self._tokenizer.bare(around)
        return [
            next(self._tokens(self._filled([text], *around), role, around[1]))
            if isinstance(text, str)
            else self._of_ids(place, text, role, head, tail)
            for place, text in enumerate(texts)
        ]

    def spell(self, text: str, role: Role = "document", prompt: str | None = None) -> list[Spelled]:
        """A text's tokens in the role's template, special ones included, without any cut.

        Raises:
            UsageError: the model has no such prompt.
        """
        before, after = self._around(role, prompt)
        filled = before + text + after
        first, last = self._tokenizer.affixes
        opening, closing = (
            [
                Spelled(token, word, True, None, None)
                for token, word in zip(ids, self._tokenizer.words(ids), strict=True)
            ]
            for ids in (first, last)
        )
        own = [Spelled(token, filled[at:end], False, at, end) for token, at, end in self._tokenizer.located(filled)]
        return [*opening, *own, *closing]

    def encode_batch(
        self, texts: Sequence[Tokens], role: Role, outputs: tuple[Output, ...]
    ) -> list[Embedding | NotFiniteError]:
        """Embed what `tokenize` gave for a role, as the one batch that it is.

        Args:
            texts: at least one; all of one role.
            role: theirs.
            outputs: what to compute, of `checkpoint.outputs`.

        Returns:
            Each text's outputs, or the error that they are NaN or infinite: the others are none the worse.

        Raises:
            EngineError: the device failed.
        """
        if role == "query" and self._query_weights is not None:
            return [self._looked_up(text, self._query_weights) for text in texts]
        return [
            raw if isinstance(raw, NotFiniteError) else self._embedding(raw, text, outputs)
            for raw, text in zip(self.engine.run_batch(texts, self._raw(outputs)), texts, strict=True)
        ]

    def words(self, sparse: Sparse) -> dict[str, float]:
        """A sparse vector's tokens, as the vocabulary spells them, with their weights, the largest first."""
        order = np.argsort(-sparse.weights, kind="stable")
        return dict(zip(self._tokenizer.words(sparse.ids[order]), sparse.weights[order].tolist(), strict=True))

    def _embeddings(self, texts: Iterable[object], role: Role, outputs: tuple[Output, ...]) -> Iterator[Embedding]:
        tokens = self._tokens(self._filled(texts, *self.affixes[role]), role, self.affixes[role][1])
        if role == "query" and (table := self._query_weights) is not None:
            return (self._looked_up(text, table) for text in tokens)
        mine, engines = itertools.tee(tokens)
        rows = zip(self.engine.run(engines, self._raw(outputs)), mine, strict=False)  # the engine reads ahead
        return (self._embedding(raw, text, outputs) for raw, text in rows)

    def _raw(self, outputs: tuple[Output, ...]) -> tuple[str, ...]:
        """What the engine is asked for."""
        return ("words",) if self.checkpoint.pooling in SPLADE else outputs

    def _filled(self, texts: Iterable[object], prefix: str, suffix: str) -> Iterator[list[str]]:
        """Some texts at a time, each in its template."""
        for part in sliced(enumerate(texts), _SLICE):
            filled = []
            for place, text in part:
                if not isinstance(text, str):
                    raise InputError(f"text {place} (counted from 0) is {_kind(text)}: only strings can be embedded")
                filled.append(prefix + text + suffix)
            yield filled

    def _tokens(self, filled: Iterable[list[str]], role: Role, tail: str) -> Iterator[Tokens]:
        for part in filled:
            if role == "query" and self._query_weights is not None:
                yield from (self._bare(own) for own in self._tokenizer.bare(part))
            elif self.checkpoint.pooling == "mcls":
                yield from self._tokenizer.encode_marked(part, MCLS_STRIDE)
            else:
                yield from self._tokenizer.encode(part, tail)

    def _of_ids(self, place: int, ids: Sequence[int], role: Role, head: Sequence[int], tail: Sequence[int]) -> Tokens:
        size = self._tokenizer.vocabulary_size
        if wrong := [token for token in ids if not 0 <= token < size]:
            raise InputError(
                f"text {place} (counted from 0) holds the token id {wrong[0]}, which {self.checkpoint.name} does not "
                f"have: its own ids go from 0 to {size - 1}; send the text itself where ids are another tokenizer's"
            )
        if role == "query" and self._query_weights is not None:
            return self._bare([*head, *self._tokenizer.stripped(ids), *tail])
        return self._tokenizer.frame(ids, head, tail)

    def _around(self, role: Role, prompt: str | None) -> tuple[str, str]:
        """What goes before and after a text."""
        return self.affixes[role] if prompt is None else affixes(self.checkpoint, None, prompt, ())["query"]

    def _bare(self, own: Sequence[int]) -> Tokens:
        """Tokens of a query that does not go through the model: no special ones."""
        return Tokens(np.array(own[: self.max_tokens], np.int32), len(own), len(own) > self.max_tokens)

    def _looked_up(self, text: Tokens, table: Floats) -> Embedding:
        return Embedding(None, by_table(text.ids, table), None, text.count, text.truncated)

    def _embedding(self, raw: Raw, tokens: Tokens, outputs: tuple[Output, ...]) -> Embedding:
        sparse = None
        if "words" in raw:
            sparse = by_words(raw["words"])
        elif "sparse" in outputs:
            sparse = by_tokens(tokens.ids, raw["sparse"], self._hollow)
        return Embedding(raw.get("dense"), sparse, raw.get("multi"), tokens.count, tokens.truncated)

    def _gather(self, found: list[Embedding], outputs: tuple[Output, ...]) -> Embeddings:
        dense = None
        if "dense" in outputs:
            dense = np.empty((len(found), self.dimension), np.float32)  # (n, d)
            for row, one in zip(dense, found, strict=True):
                row[:] = one.dense
        return Embeddings(
            dense=dense,
            sparse=tuple(one.sparse for one in found if one.sparse is not None) if "sparse" in outputs else None,
            multi=tuple(one.multi for one in found if one.multi is not None) if "multi" in outputs else None,
            tokens=np.array([one.tokens for one in found], np.int32),
            truncated=np.array([one.truncated for one in found], np.bool_),
        )


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
