"""What a server was told and what it acknowledged: by which one tells whether anything was lost."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Texts = Mapping[str, str | None]
"""Texts by document; None for one that is deleted."""


@dataclass
class _Told:
    """One document's history since it was last seen.

    Attributes:
        sure: its text as it was acknowledged last; None where it is not there.
        open: what was sent after that and is not acknowledged, in this order.
    """

    sure: str | None = None
    open: list[str | None] = field(default_factory=list)


class Ledger:
    """Whatever has been sent to a server; safe to use from several threads, each of which sends names of its own."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}
        self._past: dict[str, str] = {}  # former texts and their documents
        self._lock = threading.Lock()

    def sent(self, texts: Texts) -> None:
        """These are on their way; say it before."""
        with self._lock:
            for name, text in texts.items():
                self._told.setdefault(name, _Told()).open.append(text)

    def done(self, texts: Texts) -> None:
        """The server says that these are durable, and with them what was sent before."""
        with self._lock:
            for name, text in texts.items():
                told = self._told[name]
                place = told.open.index(text)
                self._forget(name, told.sure, *told.open[:place])
                told.sure, told.open = text, told.open[place + 1 :]

    def refused(self, texts: Texts) -> None:
        """The server has not taken these."""
        with self._lock:
            for name, text in texts.items():
                self._told[name].open.remove(text)

    def names(self, prefix: str) -> list[str]:
        """The documents beneath a prefix that are there, or may be."""
        with self._lock:
            return [name for name, told in self._told.items() if name.startswith(prefix) and _last(told) is not None]

    def texts(self) -> dict[str, str]:
        """What is there for sure."""
        with self._lock:
            return {name: told.sure for name, told in self._told.items() if told.sure is not None}

    def past(self) -> dict[str, str]:
        """Former texts and the names that they had."""
        with self._lock:
            return dict(self._past)

    def settle(self, found: Texts) -> list[str]:
        """Hold what a server has against what it acknowledged; what it has is what counts from now on.

        Args:
            found: all of its documents.

        Returns:
            A sentence for each document that is not as it must be.
        """
        wrong = [f"{name} was never sent" for name in set(found) - set(self._told)]
        with self._lock:
            for name, told in self._told.items():
                mays = (told.sure, *told.open)
                text = found.get(name)
                same = [may for may in mays if _squeezed(may) == _squeezed(text)]
                if not same:
                    wrong.append(f"{name} {_said(told.sure, text)}")
                told.sure, told.open = (same or [text])[0], []
                self._forget(name, *(may for may in mays if may != told.sure))
        return wrong

    def _forget(self, name: str, *texts: str | None) -> None:
        self._past |= {text: name for text in texts if text is not None}


def whole(chunks: Iterable[str]) -> str:
    """A document's text of its chunks, but for white space."""
    return _squeezed("".join(chunks)) or ""


def _squeezed(text: str | None) -> str | None:
    return None if text is None else "".join(text.split())


def _last(told: _Told) -> str | None:
    return told.open[-1] if told.open else told.sure


def _said(sure: str | None, text: str | None) -> str:
    if sure is None:
        return "was deleted and is back"
    return "is lost" if text is None else "has another text than was acknowledged"
