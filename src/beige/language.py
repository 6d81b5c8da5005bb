"""Which language a text is in, told by its script and its most frequent words.

A word that several languages share counts in each of them for its part. Texts of a few words without any such word are
of no known language: that is better than a guess, since a guess would stem them wrongly.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

from beige.languages import LANGUAGES

_SAMPLE = 1000
"""Characters that are looked at, at the beginning, the middle and the end of a longer text each."""

_ENOUGH = 1.5
"""What the words of a language must count together: two that are its own, or several shared ones."""

_AHEAD = 1.2
"""By how much it must be ahead of the next."""

_SCRIPTS = (
    (0x0000, 0x036F, "latin"),
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0530, 0x058F, "armenian"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x08FF, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0B80, 0x0BFF, "tamil"),
    (0x0E00, 0x0E7F, "thai"),
    (0x1E00, 0x1EFF, "latin"),
    (0x1F00, 0x1FFF, "greek"),
    (0x3040, 0x30FF, "kana"),
    (0x3400, 0x4DBF, "han"),
    (0x4E00, 0x9FFF, "han"),
    (0xAC00, 0xD7AF, "hangul"),
    (0xFB50, 0xFDFF, "arabic"),
    (0xFE70, 0xFEFC, "arabic"),
)
"""First and last code point of ranges, and their script."""

_ALONE = {
    "greek": "el", "armenian": "hy", "hebrew": "he", "tamil": "ta", "thai": "th", "kana": "ja", "han": "zh",
    "hangul": "ko"}  # fmt: skip
"""The language of a script that tells it."""

_DENSE = frozenset({"kana", "han", "hangul"})
"""Scripts one character of which says as much as two or three letters."""

_WORD = re.compile(r"[^\s\d.,;:!?()\[\]{}<>\"'`´‘’“”«»„…·/\\|*_=+#@&%$—–-]+")


@lru_cache(maxsize=1 << 12)
def script_of(letter: str) -> str:
    """The script of a letter; empty where it is none of those that matter here."""
    return next((script for first, last, script in _SCRIPTS if first <= ord(letter) <= last), "")


def detect(text: str) -> str:
    """The language that most of a text is in.

    Args:
        text: of any length; of a long one, a part is looked at.

    Returns:
        ISO 639-1; empty where it cannot be told.
    """
    sample = _sampled(text)
    letters: Counter[str] = Counter()
    for letter, count in Counter(sample).items():
        if letter.isalpha() and (script := script_of(letter)):
            letters[script] += 2 * count if script in _DENSE else count
    if not letters:
        return ""
    script = max(letters, key=letters.__getitem__)
    if script == "han" and 2 * letters["kana"] > letters["han"]:
        return "ja"
    return _ALONE.get(script) or _by_words(unicodedata.normalize("NFC", sample).lower(), script)


def _sampled(text: str) -> str:
    if len(text) <= 3 * _SAMPLE:
        return text
    middle = (len(text) - _SAMPLE) // 2
    return f"{text[:_SAMPLE]} {text[middle : middle + _SAMPLE]} {text[-_SAMPLE:]}"


def _by_words(text: str, script: str) -> str:
    scores: defaultdict[str, float] = defaultdict(float)
    words, letters = _owners(script)
    for owners, said in ((words, _WORD.findall(text)), (letters, text)):
        for each, count in Counter(said).items():
            for code in (found := owners.get(each, ())):
                scores[code] += count / math.sqrt(len(found))
    ranked = sorted(((score, code) for code, score in scores.items()), reverse=True)
    (best, found), (next_best, _), *_ = [*ranked, (0.0, ""), (0.0, "")]
    return found if best >= max(_ENOUGH, _AHEAD * next_best) else ""


@cache
def _owners(script: str) -> tuple[Mapping[str, Sequence[str]], Mapping[str, Sequence[str]]]:
    """The languages that have each of the frequent words of a script, and each of its rare letters."""
    words: dict[str, list[str]] = {}
    letters: dict[str, list[str]] = {}
    for code, language in LANGUAGES.items():
        if language.script == script:
            for word in set(language.words.split()):
                words.setdefault(word, []).append(code)
            for letter in set(language.letters):
                letters.setdefault(letter, []).append(code)
    return words, letters
