"""Text in, embeddings out. Knows templates, roles and counts; the engine knows devices, the checkpoint knows files."""

import dataclasses
import itertools
import string
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import overload

import numpy as np

from beige.engines import Raw, open_engine
from beige.engines.batches import sliced
from beige.errors import InputError, UsageError
from beige.models.checkpoint import Checkpoint, open_checkpoint
from beige.models.tokenizer import Tokens
from beige.values import Embedding, Embeddings, Output, Role

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
        max_tokens: int | None = None,
    ) -> None:
        """Open a model and make it ready to run.

        Args:
            model: a name ("bge-small-en-v1.5") or a checkpoint's folder. A known model that is not on this machine is
                pulled first.
            device: "cpu" or "auto".
            precision: "fp32", "bf16", "int8", or "auto": the fastest that keeps the vectors.
            instruction: goes before every query instead of the model's own; with a `{text}` in it, the query goes
                there. "" for none. Braces that are meant as such are doubled.
            max_tokens: longer texts are cut to so many tokens, special ones included; the model's length by default.

        Raises:
            UsageError: no such device, precision or placeholder; `max_tokens` out of bounds.
            ModelNotFoundError: no such model.
            SourceError: it is not on this machine and no source gave it.
            CheckpointError: its files are damaged.
            EngineError: it cannot run here.
        """
        checkpoint = open_checkpoint(model)
        if max_tokens is not None:
            if not 3 <= max_tokens <= checkpoint.max_tokens:
                raise UsageError(f"max_tokens is {max_tokens}; {checkpoint.name} takes 3 to {checkpoint.max_tokens}")
            checkpoint = dataclasses.replace(checkpoint, max_tokens=max_tokens)
        self.checkpoint: Checkpoint = checkpoint
        self.affixes: Mapping[Role, tuple[str, str]] = {
            "query": _affixes(*_instructed(checkpoint.templates["query"], instruction)),
            "document": _affixes(checkpoint.templates["document"], None),
        }
        self._tokenizer = checkpoint.tokenizer()
        self._engine = open_engine(checkpoint, device, precision)

    @property
    def fingerprint(self) -> str:
        """Identifies what makes the vectors of documents; an index holds it."""
        return self.checkpoint.fingerprint

    @property
    def dimension(self) -> int:
        """Length of the dense vectors."""
        return self.checkpoint.dimension

    @property
    def max_tokens(self) -> int:
        """Where longer texts are cut, special tokens included."""
        return self.checkpoint.max_tokens

    @property
    def precision(self) -> str:
        """What it runs in: "fp32", "bf16" or "int8"."""
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
        if role not in self.affixes:
            raise UsageError(f"there is no role {role!r}: take one of {', '.join(self.affixes)}")
        for output in outputs:
            if output not in self.checkpoint.outputs:
                raise UsageError(
                    f"{self.checkpoint.name} gives no output {output!r}, only {', '.join(self.checkpoint.outputs)}"
                )
        if not outputs:
            raise UsageError(f"no output is asked for: take some of {', '.join(self.checkpoint.outputs)}")
        if isinstance(texts, str):
            return self._gather(list(self._rows([texts], role, outputs)), outputs)[0]
        if isinstance(texts, bytes | bytearray | Mapping | Set) or not isinstance(texts, Iterable):
            raise InputError(f"texts must be a string or an iterable of strings in some order, not {_kind(texts)}")
        rows = self._rows(texts, role, outputs)
        if hasattr(texts, "__len__"):
            return self._gather(list(rows), outputs)
        return (self._gather(part, outputs) for part in sliced(rows, _BATCH))

    def _rows(self, texts: Iterable[object], role: Role, outputs: tuple[Output, ...]) -> Iterator[tuple[Raw, Tokens]]:
        mine, engines = itertools.tee(self._tokens(texts, *self.affixes[role]))
        return zip(self._engine.run(engines, outputs), mine, strict=False)  # the engine reads ahead, never `mine`

    def _tokens(self, texts: Iterable[object], prefix: str, suffix: str) -> Iterator[Tokens]:
        for part in sliced(enumerate(texts), _SLICE):
            filled = []
            for place, text in part:
                if not isinstance(text, str):
                    raise InputError(f"text {place} (counted from 0) is {_kind(text)}: only strings can be embedded")
                filled.append(prefix + text + suffix)
            yield from self._tokenizer.encode(filled)

    def _gather(self, rows: list[tuple[Raw, Tokens]], outputs: tuple[Output, ...]) -> Embeddings:
        dense = None
        if "dense" in outputs:
            dense = np.empty((len(rows), self.dimension), np.float32)  # (n, d)
            for target, (raw, _) in zip(dense, rows, strict=True):
                target[:] = raw["dense"]
        return Embeddings(
            dense=dense,
            sparse=None,
            multi=None,
            tokens=np.array([tokens.count for _, tokens in rows], np.int32),
            truncated=np.array([tokens.truncated for _, tokens in rows], np.bool_),
        )


def _affixes(template: str, task: str | None) -> tuple[str, str]:
    """What goes before and after a text, by a template with `{text}` and, if a task is given, `{task}`.

    Raises:
        UsageError: another placeholder, a brace alone, or not exactly one `{text}`.
    """
    sides = [""]
    try:
        for literal, field, spec, conversion in string.Formatter().parse(template):
            sides[-1] += literal
            if field == "text":
                sides.append("")
            elif field == "task" and task is not None:
                sides[-1] += task
            elif field is not None:
                raise ValueError(f"placeholder {{{field}}}")
            if spec or conversion:
                raise ValueError(f"format {spec or conversion!r}")
    except ValueError as error:
        hint = "give the task as instruction" if "{task}" in template else "double a brace that is meant as such"
        raise UsageError(f"template {template!r} is not understood ({error}): {hint}") from error
    if len(sides) != 2:
        raise UsageError(f"template {template!r} must have one {{text}}")
    return sides[0], sides[1]


def _instructed(template: str, instruction: str | None) -> tuple[str, str | None]:
    """The template and the task of queries when the user's instruction is heard."""
    if instruction is None:
        return template, None
    if "{text}" in instruction:
        return instruction, None
    if "{task}" in template:
        return template, instruction
    return instruction + "{text}", None


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
