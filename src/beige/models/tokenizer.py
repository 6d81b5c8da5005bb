"""Text to token ids, over the `tokenizers` library. It cuts by itself, so that every text's true length is known."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from beige.errors import CheckpointError
from beige.values import Ints

PIECE = 1 << 16
"""Longer texts are tokenized in pieces of about so many characters: bounded memory, and the pieces run in parallel."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s")


@dataclass(frozen=True, eq=False, slots=True)
class Tokens:
    """One text's tokens.

    Attributes:
        ids: token ids, special tokens included, at most the model's length, (t,).
        count: how many the text has before any cut, special tokens included.
        truncated: whether it was cut.
    """

    ids: Ints
    count: int
    truncated: bool


class Tokenizer:
    """A checkpoint's `tokenizer.json`, with its truncation and padding off. Safe to use from several threads.

    Lone surrogates, which no Unicode text may hold, are read as U+FFFD.

    Attributes:
        max_tokens: the longest result of `encode`, special tokens included.
        pad_id: the id that fills a batch.
        vocabulary_size: one above the largest id.
    """

    def __init__(self, path: Path, max_tokens: int, pad_id: int) -> None:
        import tokenizers

        try:
            self._inner = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the Rust library raises bare Exception
            raise CheckpointError(
                f"{path} cannot be read as a tokenizer ({error}): pull the checkpoint again"
            ) from error
        self._inner.no_truncation()
        self._inner.no_padding()
        self.max_tokens = max_tokens
        self.pad_id = pad_id
        self.vocabulary_size = max(self._inner.get_vocab(with_added_tokens=True).values()) + 1
        self._prefix, self._suffix = _affixes(self._inner)
        self._room = max_tokens - len(self._prefix) - len(self._suffix)
        self._splits = _splits_at_whitespace(self._inner)

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenize texts; those longer than `max_tokens` are cut before their closing special tokens."""
        pieces = [list(self._pieces(text)) for text in texts]
        flat = [piece for parts in pieces for _, piece in parts]
        encodings = iter(self._inner.encode_batch_fast(flat, add_special_tokens=False))
        return [self._join([next(encodings) for _ in parts]) for parts in pieces]

    def count(self, text: str) -> int:
        """How many tokens a text has, special tokens included, without any cut."""
        return self.encode([text])[0].count

    def spans(self, text: str) -> Ints:
        """First and one past the last character of every token, without special tokens and without any cut, (n, 2)."""
        pieces = list(self._pieces(text))
        encodings = self._inner.encode_batch([piece for _, piece in pieces], add_special_tokens=False)
        spans = [
            np.asarray(encoding.offsets, np.int32).reshape(-1, 2) + start
            for (start, _), encoding in zip(pieces, encodings, strict=True)
        ]
        return np.concatenate(spans)  # (n, 2)

    def _join(self, encodings: list[Any]) -> Tokens:
        own = sum(len(encoding) for encoding in encodings)
        ids = list(self._prefix)
        for encoding in encodings:
            ids += encoding.ids
            if len(ids) >= self._room + len(self._prefix):
                break
        ids[self._room + len(self._prefix) :] = self._suffix
        count = own + len(self._prefix) + len(self._suffix)
        return Tokens(np.array(ids, np.int32), count, count > self.max_tokens)

    def _pieces(self, text: str) -> Iterator[tuple[int, str]]:
        """The text in pieces that give the same tokens as the whole, each with its first character's number."""
        if not text.isascii():
            text = _SURROGATE.sub("\ufffd", text)
        start = 0
        while self._splits and len(text) - start > PIECE:
            space = _SPACE.search(text, start + PIECE)
            if space is None:
                break
            yield start, text[start : space.start()]
            start = space.start()
        yield start, text[start:]


def _affixes(inner: Any) -> tuple[list[int], list[int]]:
    """The special tokens before and after a text's own."""
    bare, whole = inner.encode("a", add_special_tokens=False).ids, inner.encode("a").ids
    first = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
    return whole[:first], whole[first + len(bare) :]


def _splits_at_whitespace(inner: Any) -> bool:
    """Whether a text's tokens are its whitespace-separated parts' tokens, as in BERT and XLM-RoBERTa."""
    return "BertPreTokenizer" in repr(inner.pre_tokenizer) or "WhitespaceSplit" in repr(inner.pre_tokenizer)
