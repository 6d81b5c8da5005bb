"""Which language a text is in, and which of BM25's stemmers reads it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """A language that can be told from others.

    Attributes:
        script: what its words are written in, one of the analyser's.
        stemmer: its Snowball name; empty where there is none, and words are compared as they are.
    """

    script: str
    stemmer: str = ""


LANGUAGES: Mapping[str, Language] = {
    "ar": Language("arabic", "arabic"),
    "be": Language("cyrillic"),
    "bg": Language("cyrillic"),
    "ca": Language("latin", "catalan"),
    "cs": Language("latin", "czech"),
    "da": Language("latin", "danish"),
    "de": Language("latin", "german"),
    "el": Language("greek", "greek"),
    "en": Language("latin", "english"),
    "eo": Language("latin", "esperanto"),
    "es": Language("latin", "spanish"),
    "et": Language("latin", "estonian"),
    "eu": Language("latin", "basque"),
    "fa": Language("arabic", "persian"),
    "fi": Language("latin", "finnish"),
    "fr": Language("latin", "french"),
    "ga": Language("latin", "irish"),
    "he": Language("hebrew"),
    "hi": Language("devanagari", "hindi"),
    "hr": Language("latin"),
    "hu": Language("latin", "hungarian"),
    "hy": Language("armenian", "armenian"),
    "id": Language("latin", "indonesian"),
    "it": Language("latin", "italian"),
    "lt": Language("latin", "lithuanian"),
    "ne": Language("devanagari", "nepali"),
    "nl": Language("latin", "dutch"),
    "no": Language("latin", "norwegian"),
    "pl": Language("latin", "polish"),
    "pt": Language("latin", "portuguese"),
    "ro": Language("latin", "romanian"),
    "ru": Language("cyrillic", "russian"),
    "sr": Language("cyrillic", "serbian"),
    "sv": Language("latin", "swedish"),
    "ta": Language("tamil", "tamil"),
    "tr": Language("latin", "turkish"),
    "yi": Language("hebrew", "yiddish"),
}
"""By ISO 639-1."""
