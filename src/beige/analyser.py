"""BM25's words: a text in, a sparse vector of hashed tokens out.

A token is a Unicode word, compatibility-normalised (NFKC), case-folded and stemmed by its script's Snowball stemmer;
scripts written without spaces give overlapping pairs of characters instead. Which stemmer a script has is chosen for a
whole index, or for each document by the language that it is in; a query is then read in each of the languages that
documents have. The analyser knows nothing of how often a token stands in an index: inverse document frequency is the
store's.
"""

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Container, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b

import numpy as np

from beige.errors import UsageError
from beige.language import script_of
from beige.languages import LANGUAGES
from beige.values import Floats, Sparse

VERSION = 1
"""Changes with every change of what tokens a text gives; an index made by another version must be rebuilt."""

AVERAGE_LENGTH = 128.0
"""Tokens of an average text, as BM25 is told: one number for every index, whatever texts it holds.

The mean of the texts that are there would make a text's weights depend on what came before it, so that an index filled
bit by bit would not equal one that is made at once. Nor does the mean rank better (docs/decisions/average-length.md).
"""

DEFAULT_LANGUAGE = "english"

AUTO = "auto"
"""In place of a language: each document's own."""

# Scripts written without spaces between words (and Hangul, whose particles cling to the word).
_PAIRED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uffdc"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)

_PAIRED_RUN = re.compile(f"[{_PAIRED}]+")

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
        language: a Snowball language, by its name or ISO 639-1: it stems the words of its own script, other scripts
            keep their default. Or `AUTO`: each document's own language does.
        present: gives the languages (ISO 639-1) that documents have, in which queries are read where it is `AUTO`.

    Raises:
        UsageError: no stemmer has this name.
    """

    def __init__(self, language: str = DEFAULT_LANGUAGE, present: Callable[[], Collection[str]] = tuple) -> None:
        known = LANGUAGES.get(language)
        self.language = known.stemmer if known and known.stemmer else language
        if self.language not in (AUTO, *languages()):
            raise UsageError(
                f"no stemmer for the language {language!r}; there are: {AUTO} (each document's own), "
                f"{', '.join(languages())}"
            )
        self._present = present
        chosen = {} if self.language == AUTO else {_OTHER_SCRIPTS.get(self.language, "latin"): self.language}
        self._stemmers = _STEMMERS | chosen
        self._stemmer = cache(_stemmer)
        self._lock = threading.Lock()  # a Snowball stemmer keeps the word it works on in itself
        self._token = lru_cache(maxsize=1 << 17)(self._read)
        # One memory for each language: a key of two parts would take a fifth more of the time.
        self._ids = cache(lambda code: lru_cache(maxsize=1 << 17)(lambda word: _hash(self._token(word, code))))

    @property
    def name(self) -> str:
        """Identifies the tokens that this analyser gives, for an index's manifest."""
        return f"words-{VERSION}/{self.language}"

    def words(self, text: str, among: Container[int] | None = None) -> list[Word]:
        """The text's tokens with the characters they stand for, in reading order; pairs of characters overlap.

        A word that has several tokens, being read in several languages, counts as the first that is wanted.

        Args:
            text: what is read.
            among: the ids that are wanted; None for all.
        """
        codes = [(code, self._ids(code)) for code in self._codes()]
        words = []
        for start, end in _spans(text):
            word = text[start:end]
            for code, ids in codes:
                if among is None or ids(word) in among:
                    words.append(Word(self._token(word, code), ids(word), start, end))
                    break
        return words

    def counts(self, text: str, language: str = "") -> Counter[int]:
        """How often each token's id stands in a document's text.

        Args:
            text: what the document says.
            language: that it is in, ISO 639-1; empty where that is not known.
        """
        return Counter(map(self._ids(language if self.language == AUTO else ""), _pieces(text)))

    def document(self, text: str, average: float, language: str = "") -> Sparse:
        """A document's vector: each token's saturated frequency.

        Args:
            text: what the document says.
            average: tokens of an average document of the index.
            language: as for `counts`.
        """
        counts = self.counts(text, language)
        return _sparse(counts, lambda values: saturation(values, counts.total(), average))

    def query(self, text: str) -> Sparse:
        """A query's vector: how often it says each token, in any of the languages that documents have."""
        readings = [self._ids(code) for code in self._codes()]
        counts: Counter[int] = Counter()
        for word, often in Counter(_pieces(text)).items():
            for id in {ids(word) for ids in readings}:
                counts[id] += often
        return _sparse(counts, lambda values: values)

    def spelled(self, text: str) -> dict[int, str]:
        """The ids of a query's vector, each with the first of its words that gives it, as the query writes it."""
        readings = [self._ids(code) for code in self._codes()]
        found: dict[int, str] = {}
        for start, end in _spans(text):
            for ids in readings:
                found.setdefault(ids(text[start:end]), text[start:end])
        return found

    def _codes(self) -> Sequence[str]:
        """The languages in which queries are read; the empty one is that of documents whose language is not known."""
        return ("", *self._present()) if self.language == AUTO else ("",)

    def _read(self, word: str, code: str) -> str:
        """The token of a word, or of a pair of characters, as it stands in a text of this language."""
        folded = unicodedata.normalize("NFKC", word).casefold().translate(_INVISIBLE)
        script = script_of(folded[0])
        known = LANGUAGES.get(code)
        stemmer = known.stemmer if known and known.script == script else self._stemmers.get(script, "")
        if not stemmer or len(folded) > _LONGEST_STEMMED:
            return folded
        with self._lock:
            return self._stemmer(stemmer)(folded) or folded


def language_of(name: str) -> str:
    """The language of an analyser's name, or `AUTO`."""
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


def _spans(text: str) -> list[tuple[int, int]]:
    """Where the words and the pairs of characters of a text stand, in reading order."""
    found = [piece.span() for piece in _words().finditer(text)]
    for run in _PAIRED_RUN.finditer(text):
        found += ((start, start + len(pair)) for start, pair in enumerate(_pairs(run.group()), run.start()))
        found.sort()
    return found


def _pieces(text: str) -> list[str]:
    """The words and the pairs of characters of a text."""
    pieces = _words().findall(text)
    for run in _PAIRED_RUN.findall(text):
        pieces += _pairs(run)
    return pieces


def _pairs(run: str) -> list[str]:
    """The overlapping pairs of characters of a run; a single character stands for itself."""
    return [run[start : start + 2] for start in range(len(run) - 1)] or [run]


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
