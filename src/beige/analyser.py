"""BM25's words: a text in, a sparse vector of hashed tokens out.

A token is a Unicode word, compatibility-normalised (NFKC), case-folded and stemmed by its script's Snowball stemmer;
scripts written without spaces give overlapping pairs of characters instead. The analyser knows nothing of how often a
token stands in an index: inverse document frequency is the store's.
"""

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b

import numpy as np

from beige.errors import UsageError
from beige.values import Floats, Sparse

VERSION = 1
"""Changes with every change of what tokens a text gives; an index made by another version must be rebuilt."""

DEFAULT_LANGUAGE = "english"

# Scripts written without spaces between words (and Hangul, whose particles cling to the word).
_PAIRED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uffdc"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)

_PAIRED_RUN = re.compile(f"[{_PAIRED}]+")

_SCRIPTS = (
    (0x0000, 0x036F, "latin"),
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0530, 0x058F, "armenian"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x08FF, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0B80, 0x0BFF, "tamil"),
    (0x1E00, 0x1EFF, "latin"),
    (0x1F00, 0x1FFF, "greek"),
)
"""First and last code point of the ranges whose words are stemmed, and their script."""

_STEMMERS = {
    "latin": DEFAULT_LANGUAGE,
    "greek": "greek",
    "cyrillic": "russian",
    "armenian": "armenian",
    "hebrew": "yiddish",
    "arabic": "arabic",
    "devanagari": "hindi",
    "tamil": "tamil",
}
"""The stemmer of each script, unless the index's language is another one of that script."""

_OTHER_SCRIPTS = {
    "arabic": "arabic",
    "armenian": "armenian",
    "greek": "greek",
    "hindi": "devanagari",
    "nepali": "devanagari",
    "persian": "arabic",
    "russian": "cyrillic",
    "serbian": "cyrillic",
    "tamil": "tamil",
    "yiddish": "hebrew",
}
"""The script of each Snowball language that is not written in Latin letters."""

_INVISIBLE = str.maketrans("", "", "\u00ad\u200c\u200d")  # soft hyphen, joiners
_LONGEST_STEMMED = 64  # beyond this it is a hash or a blob, not a word of a language


@dataclass(frozen=True, slots=True)
class Word:
    """A token, its id in sparse vectors, and the characters of the text that it came from."""

    token: str
    id: int
    start: int
    end: int


def saturation(counts: Floats, length: int, average: float, k1: float = 1.2, b: float = 0.75) -> Floats:
    """BM25's weight of each token in a document, without its inverse document frequency.

    `tf (k1 + 1) / (tf + k1 (1 - b + b length / average))`, from Robertson and Zaragoza, "The Probabilistic Relevance
    Framework: BM25 and Beyond" (2009), equation 3.15, https://doi.org/10.1561/1500000019.

    Args:
        counts: how often each token stands in the document, (k,).
        length: the document's tokens.
        average: tokens of an average document.
        k1: how soon repetition stops counting.
        b: how much long documents are discounted, from 0 to 1.
    """
    return (counts * (k1 + 1) / (counts + k1 * (1 - b + b * length / average))).astype(np.float32)  # (k,)


class Analyser:
    """Turns texts into BM25's sparse vectors; safe to use from several threads.

    Args:
        language: a Snowball language; it stems the words of its own script, other scripts keep their default.

    Raises:
        UsageError: no stemmer has this name.
    """

    def __init__(self, language: str = DEFAULT_LANGUAGE) -> None:
        if language not in languages():
            raise UsageError(f"no stemmer for the language {language!r}; there are: {', '.join(languages())}")
        self.language = language
        self._languages = _STEMMERS | {_OTHER_SCRIPTS.get(language, "latin"): language}
        self._stemmer = cache(_stemmer)
        self._lock = threading.Lock()  # a Snowball stemmer keeps the word it works on in itself
        self._token = lru_cache(maxsize=1 << 17)(self._read)
        self._id = lru_cache(maxsize=1 << 17)(lambda word: _hash(self._token(word)))

    @property
    def name(self) -> str:
        """Identifies the tokens that this analyser gives, for an index's manifest."""
        return f"words-{VERSION}/{self.language}"

    def words(self, text: str, among: Container[int] | None = None) -> list[Word]:
        """The text's tokens with the characters they stand for, in reading order; pairs of characters overlap.

        Args:
            text: what is read.
            among: the ids that are wanted; None for all.
        """
        found = [piece.span() for piece in _words().finditer(text)]
        for run in _PAIRED_RUN.finditer(text):
            found += ((start, start + len(pair)) for start, pair in enumerate(_pairs(run.group()), run.start()))
            found.sort()
        ids = [self._id(text[start:end]) for start, end in found]
        return [
            Word(self._token(text[start:end]), id, start, end)
            for id, (start, end) in zip(ids, found, strict=True)
            if among is None or id in among
        ]

    def counts(self, text: str) -> Counter[int]:
        """How often each token's id stands in the text."""
        counts = Counter(map(self._id, _words().findall(text)))
        for run in _PAIRED_RUN.findall(text):
            counts.update(map(self._id, _pairs(run)))
        return counts

    def document(self, text: str, average: float) -> Sparse:
        """A document's vector: each token's saturated frequency.

        Args:
            text: what the document says.
            average: tokens of an average document of the index.
        """
        counts = self.counts(text)
        return _sparse(counts, lambda values: saturation(values, counts.total(), average))

    def query(self, text: str) -> Sparse:
        """A query's vector: how often it says each token."""
        return _sparse(self.counts(text), lambda values: values)

    def _read(self, word: str) -> str:
        """The token of a word, or of a pair of characters, as it stands in a text."""
        folded = unicodedata.normalize("NFKC", word).casefold().translate(_INVISIBLE)
        language = self._languages.get(_script(folded[0]), "")
        if not language or len(folded) > _LONGEST_STEMMED:
            return folded
        with self._lock:
            return self._stemmer(language)(folded) or folded


def language_of(name: str) -> str:
    """The language of an analyser's name."""
    return name.partition("/")[2]


@cache
def languages() -> tuple[str, ...]:
    """The languages that can be stemmed, by their Snowball names."""
    from snowballstemmer import algorithms  # type: ignore[import-untyped]

    return tuple(algorithms())


@cache
def _words() -> re.Pattern[str]:
    r"""Matches a word of a script that spaces its words.

    Python's `\w` leaves out combining marks, without which the words of many scripts fall apart.
    """
    marks = "".join(re.escape(chr(c)) for c in range(0x300, 0x10000) if unicodedata.category(chr(c)).startswith("M"))
    return re.compile(rf"(?:[^\W_{_PAIRED}]+[{marks}\u00ad\u200c\u200d]*)+")


def _pairs(run: str) -> list[str]:
    """The overlapping pairs of characters of a run; a single character stands for itself."""
    return [run[start : start + 2] for start in range(len(run) - 1)] or [run]


@lru_cache(maxsize=1 << 12)
def _script(letter: str) -> str:
    return next((script for first, last, script in _SCRIPTS if first <= ord(letter) <= last), "")


def _stemmer(language: str) -> Callable[[str], str]:
    from snowballstemmer import stemmer

    stem: Callable[[str], str] = stemmer(language).stemWord
    return stem


def _hash(token: str) -> int:
    return int.from_bytes(blake2b(token.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "little")


def _sparse(counts: Counter[int], weigh: Callable[[Floats], Floats]) -> Sparse:
    ids = np.fromiter(counts.keys(), np.uint32, len(counts))
    values = np.fromiter(counts.values(), np.float32, len(counts))
    order = np.argsort(ids)
    return Sparse(ids[order], weigh(values[order]))
