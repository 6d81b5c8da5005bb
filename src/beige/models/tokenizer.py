"""Text to token ids, over the `tokenizers` library. It cuts by itself, so that every text's true length is known."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from beige.errors import CheckpointError
from beige.values import Ints

PIECE = 1 << 16
"""Longer texts are tokenized in pieces of about so many characters: bounded memory, and the pieces run in parallel."""
TOGETHER = 8
"""How many pieces are tokenized at once."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"(?<=\S)[ \t\r\n]")  # of the other kinds of white space BERT drops some, which joins words
_ISOLATED = r"[!-/:-@\[-`{-~\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f\u4e00-\u9fff]"
_BERT_BOUNDARY = re.compile(rf"{_SPACE.pattern}|(?<={_ISOLATED})(?={_ISOLATED})")
"""Punctuation and Han characters are words by themselves in BERT: text without a space divides between two of them."""
_BOUNDARIES = {"WhitespaceSplit": _SPACE, "Metaspace": re.compile(r"(?<=\S) ")}


@dataclass(frozen=True, eq=False, slots=True)
class Tokens:
    """One text's tokens.

    Attributes:
        ids: token ids, special tokens included, at most the model's length, (t,).
        count: how many the text has before any cut, special tokens included.
        truncated: whether it was cut.
        passage: of a pair of query and passage, the number of the passage's first token and of the one after its last.
    """

    ids: Ints
    count: int
    truncated: bool
    passage: tuple[int, int] | None = None


class Tokenizer:
    """A checkpoint's `tokenizer.json`, with its truncation and padding off. Safe to use from several threads.

    Lone surrogates, which no Unicode text may hold, are read as U+FFFD.

    Attributes:
        max_tokens: the longest result of `encode`, special tokens included.
        pad_id: the id that fills a batch.
        vocabulary_size: one above the largest id.
    """

    def __init__(
        self, path: Path, max_tokens: int, pad_id: int, *, begins: str | None = None, ends: str | None = None
    ) -> None:
        """Read a tokenizer.

        Args:
            path: `tokenizer.json`.
            max_tokens: where `encode` cuts.
            pad_id: the id that fills a batch.
            begins: a special token that texts begin with even if the file does not say so.
            ends: likewise, at their end.

        Raises:
            CheckpointError: the file is missing or damaged.
        """
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
        first, last = self.id_of(begins), self.id_of(ends)
        if first is not None and self._prefix[:1] != [first]:
            self._prefix = [first, *self._prefix]
        if last is not None and self._suffix[-1:] != [last]:
            self._suffix = [*self._suffix, last]
        self._room = max_tokens - len(self._suffix)
        self._boundary = _boundary(self._inner)

    def encode(self, texts: Sequence[str], tail: str = "") -> list[Tokens]:
        """Tokenize texts; those longer than `max_tokens` are cut before their closing special tokens.

        Args:
            texts: any number.
            tail: what every text ends with, and shall end with when it is cut.
        """
        kept = self.bare([tail])[0] if tail else []
        return [self._cut(encodings, kept) for encodings in self._encodings(texts)]

    def bare(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts without special tokens and without any cut, for inputs that are put together of several."""
        return [[token for encoding in encodings for token in encoding.ids] for encodings in self._encodings(texts)]

    def encode_marked(self, texts: Sequence[str], stride: int) -> list[Tokens]:
        """Tokenize texts with the opening special token before every `stride` tokens, rather than once."""
        blocks, rest = divmod(self._room, stride + 1)
        most = blocks * stride + max(0, rest - 1)  # tokens of its own that a text may have
        found = []
        for own in self.bare(texts):
            kept = own[:most]
            parts = [kept[at : at + stride] for at in range(0, max(1, len(kept)), stride)]
            ids = [token for part in parts for token in self._prefix + part] + self._suffix
            count = len(own) + max(1, math.ceil(len(own) / stride)) * len(self._prefix) + len(self._suffix)
            found.append(Tokens(np.array(ids, np.int32), count, len(own) > most))
        return found

    @property
    def hollow(self) -> tuple[int, ...]:
        """The ids that stand for no word: what opens and closes a text, padding, and the unknown."""
        unknown = (self.id_of(token) for token in ("<unk>", "[UNK]"))
        return tuple({*self._prefix, *self._suffix, self.pad_id, *(token for token in unknown if token is not None)})

    def located(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Each token's id, its first character and the one after its last, without special tokens and any cut."""
        for start, encoding in self._pieces(_valid(text), offsets=True):
            for token, (first, end) in zip(encoding.ids, encoding.offsets, strict=True):
                yield token, first + start, end + start

    @property
    def affixes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The special tokens before and after a text."""
        return tuple(self._prefix), tuple(self._suffix)

    def words(self, ids: Iterable[int]) -> list[str]:
        """What each id stands for, as the vocabulary spells it."""
        return [str(self._inner.id_to_token(token)) for token in ids]

    def pair_affixes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The special tokens before, between and after two texts."""
        whole = self._inner.encode("a", "a").ids
        bare = self._inner.encode("a", add_special_tokens=False).ids
        first, second = (i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        end = len(bare)
        return tuple(whole[:first]), tuple(whole[first + end : second]), tuple(whole[second + end :])

    def id_of(self, token: str | None) -> int | None:
        """A token's id; None for one that there is not."""
        found = None if token is None else self._inner.token_to_id(token)
        return None if found is None else int(found)

    def count(self, text: str) -> int:
        """How many tokens a text has, special tokens included, without any cut."""
        return self.encode([text])[0].count

    def spans(self, text: str) -> Ints:
        """First and one past the last character of every token, without special tokens and without any cut, (n, 2)."""
        parts = [
            np.fromiter(chain.from_iterable(encoding.offsets), np.int32, 2 * len(encoding)) + start
            for start, encoding in self._pieces(_valid(text), offsets=True)
        ]
        return np.concatenate(parts).reshape(-1, 2).astype(np.int32)  # (n, 2)

    def _encodings(self, texts: Sequence[str]) -> Iterator[Iterable[Any]]:
        """The encodings that together are each text's; a long text's are made as they are read."""
        texts = [_valid(text) for text in texts]
        short = [text for text in texts if len(text) <= PIECE]
        encodings = iter(self._inner.encode_batch_fast(short, add_special_tokens=False))
        for text in texts:
            yield [next(encodings)] if len(text) <= PIECE else (encoding for _, encoding in self._pieces(text))

    def frame(self, ids: Sequence[int], head: Sequence[int] = (), tail: Sequence[int] = ()) -> Tokens:
        """A text whose ids are known, between the special tokens and cut as `encode` cuts.

        Args:
            ids: the text's; special tokens that open and close them already are not doubled.
            head: what goes before them.
            tail: what goes after them, and stays when the text is cut.
        """
        own = [*head, *self.stripped(ids), *tail]
        return self._framed([*self._prefix, *own], len(own), tail)

    def stripped(self, ids: Sequence[int]) -> list[int]:
        """Ids without the special tokens that open and close a text, where they stand there."""
        first = len(self._prefix) if list(ids[: len(self._prefix)]) == self._prefix else 0
        end = len(ids) - len(self._suffix)
        return list(ids[first:end] if end >= first and list(ids[end:]) == self._suffix else ids[first:])

    def _cut(self, encodings: Iterable[Any], tail: list[int]) -> Tokens:
        ids, own = list(self._prefix), 0
        for encoding in encodings:
            own += len(encoding)
            if len(ids) < self._room:
                ids += encoding.ids
        return self._framed(ids, own, tail)

    def _framed(self, ids: list[int], own: int, tail: Sequence[int]) -> Tokens:
        count = own + len(self._prefix) + len(self._suffix)
        if count > self.max_tokens:
            ids[max(0, self._room - len(tail)) :] = tail
        return Tokens(np.array(ids[: self._room] + self._suffix, np.int32), count, count > self.max_tokens)

    def _pieces(self, text: str, offsets: bool = False) -> Iterator[tuple[int, Any]]:
        """The encodings of a long text's pieces, each with its first character; a few are held at once."""
        encode = self._inner.encode_batch if offsets else self._inner.encode_batch_fast
        bounds = self._bounds(text)
        for first in range(0, len(bounds) - 1, TOGETHER):
            starts = bounds[first : first + TOGETHER + 1]
            pieces = [text[start:end] for start, end in pairwise(starts)]
            yield from zip(starts, encode(pieces, add_special_tokens=False), strict=False)

    def _bounds(self, text: str) -> list[int]:
        """Where the text may be divided without changing its tokens: pieces of `PIECE` characters or a little more."""
        bounds = [0]
        while self._boundary and len(text) - bounds[-1] > PIECE:
            found = self._boundary.search(text, bounds[-1] + PIECE)
            if found is None:
                break
            bounds.append(found.start())
        return [*bounds, len(text)]


def _valid(text: str) -> str:
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _affixes(inner: Any) -> tuple[list[int], list[int]]:
    """The special tokens before and after a text's own."""
    bare, whole = inner.encode("a", add_special_tokens=False).ids, inner.encode("a").ids
    first = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
    return whole[:first], whole[first + len(bare) :]


def _boundary(inner: Any) -> re.Pattern[str] | None:
    """The pattern at whose start a text may be divided, for the pre-tokenizers that are known to allow it."""
    splitter = repr(inner.pre_tokenizer)
    if "BertPreTokenizer" in splitter:
        return _BERT_BOUNDARY if "handle_chinese_chars=True" in repr(inner.normalizer) else _SPACE
    return next((pattern for name, pattern in _BOUNDARIES.items() if name in splitter), None)
