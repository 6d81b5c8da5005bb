"""What the commands that change an index share: opening it, and what they report."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import typer

from beige.cli._options import Precision, names
from beige.cli._terminal import emit

if TYPE_CHECKING:
    from beige.index.place import Place
    from beige.index.report import Report
    from beige.search import AnyIndex, Index


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a person chooses of how an index is made, each by the option of its name."""

    model: str | None = None
    legs: str | None = None
    precision: str = Precision.default
    language: str | None = None
    dimensions: int | None = None
    untrained: bool = False
    rebuild: bool = False
    storage: str | None = None

    @property
    def options(self) -> list[str]:
        """Those that were given."""
        return [f"--{one.name}" for one in fields(self) if getattr(self, one.name) != one.default]


def open_held(place: "Place", chosen: Chosen) -> AbstractContextManager["Index"]:
    """An index to add to, made where there is none; to rebuild, an empty one that takes the old one's place."""
    from beige.embedder import DEFAULT_MODEL, Embedder
    from beige.index.plan import models_of
    from beige.search import Index

    legs = None if chosen.legs is None else names(chosen.legs)
    models = models_of(chosen.model, legs, place.manifest(), DEFAULT_MODEL)
    embedders = [Embedder(name, precision=chosen.precision) for name in models]
    return (Index.anew if chosen.rebuild else Index.open)(
        place,
        embedders,
        legs=legs,
        dimensions=chosen.dimensions,
        untrained=chosen.untrained,
        language=chosen.language,
    )


@contextmanager
def open_any(place: "Place", chosen: Chosen) -> "Iterator[AnyIndex]":
    """An index to add to, as `open_held` gives it, or one behind a server, where none of this can be chosen."""
    from beige.index.place import Server

    if isinstance(place, Server):
        from beige.search.remote import RemoteIndex

        with RemoteIndex.open(place, chosen.options) as remote:
            yield remote
        return
    with open_held(place, chosen) as held:
        if chosen.storage:
            held.keep_as(chosen.storage)
        yield held


def show(
    report: "Report", place: object, named: Callable[[str], str] = str, *, as_json: bool, embeds: bool = True
) -> None:
    """Print what a run did, and end with exit code 1 where something failed.

    Args:
        report: of the run.
        place: where the index is.
        named: how the current folder names a source.
        as_json: as one JSON document, without the remarks, which go to stderr in any case.
        embeds: whether the run was one that embeds.
    """
    _remark(report, named, "indexed" if embeds else "removed")
    if as_json:
        emit(
            {
                "documents": report.documents,
                "chunks": report.chunks,
                "tokens": report.tokens,
                "seconds": round(report.seconds, 3),
            }
        )
    else:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in report.documents.items() if count) or "no documents"
        pace = f"{report.tokens / report.seconds:,.0f} tokens/s" if report.tokens else "nothing to embed"
        work = f" in {report.seconds:.1f} s ({report.chunks:,} chunks, {pace})" if embeds else ""
        typer.echo(f"{place}: {counts}{work}")
    if report.failures:
        raise typer.Exit(1)


def _remark(report: "Report", named: Callable[[str], str], done: str) -> None:
    for failure in report.failures:
        print(f"beige: {named(failure.source)} was not {done}: {failure.reason}", file=sys.stderr)
    if report.cut:
        print(f"beige: {report.cut} chunks were longer than the model reads and were cut", file=sys.stderr)
    for notice in report.notices:
        print(f"beige: {notice}", file=sys.stderr)
