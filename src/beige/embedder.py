"""Text in, embeddings out. Knows templates, roles and counts; the engine knows devices, the checkpoint knows files."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import overload

import numpy as np

from beige.engines import Raw, open_engine
from beige.engines.batches import sliced
from beige.errors import InputError, UsageError
from beige.instructions import Example, affixes
from beige.lexical import by_table, by_tokens, by_words
from beige.models.card import MCLS_STRIDE, SPLADE
from beige.models.checkpoint import Checkpoint, open_kind
from beige.models.tokenizer import Tokens
from beige.values import Embedding, Embeddings, Floats, Output, Role, Sparse

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
            EngineError: it cannot run here.
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
        self._engine = open_engine(checkpoint, device, precision)

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
        return self._engine.choice.precision

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._engine.device

    @overload
    def encode_query(self, texts: str) -> Embedding: ...  # type: ignore[overload-overlap]  # a str is iterable
    @overload
    def encode_query(self, texts: list[str] | tuple[str, ...]) -> Embeddings: ...
    @overload
    def encode_query(self, texts: Iterator[str]) -> Iterator[Embeddings]: ...
    @overload
    def encode_query(self, texts: Iterable[str]) -> Embeddings | Iterator[Embeddings]: ...
    def encode_query(self, texts: Iterable[str]) -> Embedding | Embeddings | Iterator[Embeddings]:
        """`encode` with the role "query"."""
        return self.encode(texts, "query")

    @overload
    def encode_document(self, texts: str) -> Embedding: ...  # type: ignore[overload-overlap]  # a str is iterable
    @overload
    def encode_document(self, texts: list[str] | tuple[str, ...]) -> Embeddings: ...
    @overload
    def encode_document(self, texts: Iterator[str]) -> Iterator[Embeddings]: ...
    @overload
    def encode_document(self, texts: Iterable[str]) -> Embeddings | Iterator[Embeddings]: ...
    def encode_document(self, texts: Iterable[str]) -> Embedding | Embeddings | Iterator[Embeddings]:
        """`encode` with the role "document"."""
        return self.encode(texts, "document")

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
        self.template(role)
        for output in outputs:
            if output not in self.checkpoint.outputs:
                raise UsageError(
                    f"{self.checkpoint.name} gives no output {output!r}, only {', '.join(self.checkpoint.outputs)}"
                )
        if not outputs:
            raise UsageError(f"no output is asked for: take some of {', '.join(self.checkpoint.outputs)}")
        if isinstance(texts, str):
            return next(self._embeddings([texts], role, outputs))
        if isinstance(texts, bytes | bytearray | Mapping | Set) or not isinstance(texts, Iterable):
            raise InputError(f"texts must be a string or an iterable of strings in some order, not {_kind(texts)}")
        found = self._embeddings(texts, role, outputs)
        if hasattr(texts, "__len__"):
            return self._gather(list(found), outputs)
        return (self._gather(part, outputs) for part in sliced(found, _BATCH))

    def words(self, sparse: Sparse) -> dict[str, float]:
        """A sparse vector's tokens, as the vocabulary spells them, with their weights, the largest first."""
        order = np.argsort(-sparse.weights, kind="stable")
        return dict(zip(self._tokenizer.words(sparse.ids[order]), sparse.weights[order].tolist(), strict=True))

    def _embeddings(self, texts: Iterable[object], role: Role, outputs: tuple[Output, ...]) -> Iterator[Embedding]:
        filled = self._filled(texts, *self.affixes[role])
        if role == "query" and self._query_weights is not None:
            return self._looked_up(filled, self._query_weights)
        mine, engines = itertools.tee(self._tokens(filled, self.affixes[role][1]))
        asked = ("words",) if self.checkpoint.pooling in SPLADE else outputs
        rows = zip(self._engine.run(engines, asked), mine, strict=False)  # the engine reads ahead, never `mine`
        return (self._embedding(raw, tokens, outputs) for raw, tokens in rows)

    def _filled(self, texts: Iterable[object], prefix: str, suffix: str) -> Iterator[list[str]]:
        """Some texts at a time, each in its template."""
        for part in sliced(enumerate(texts), _SLICE):
            filled = []
            for place, text in part:
                if not isinstance(text, str):
                    raise InputError(f"text {place} (counted from 0) is {_kind(text)}: only strings can be embedded")
                filled.append(prefix + text + suffix)
            yield filled

    def _tokens(self, filled: Iterable[list[str]], tail: str) -> Iterator[Tokens]:
        for part in filled:
            if self.checkpoint.pooling == "mcls":
                yield from self._tokenizer.encode_marked(part, MCLS_STRIDE)
            else:
                yield from self._tokenizer.encode(part, tail)

    def _looked_up(self, filled: Iterable[list[str]], table: Floats) -> Iterator[Embedding]:
        for part in filled:
            for own in self._tokenizer.bare(part):
                sparse = by_table(np.array(own[: self.max_tokens], np.int32), table)
                yield Embedding(None, sparse, None, len(own), len(own) > self.max_tokens)

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
