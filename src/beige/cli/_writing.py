"""What the commands that change an index share: opening it, and what they report."""

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import typer

from beige.cli._options import names
from beige.cli._terminal import emit

if TYPE_CHECKING:
    from beige.index import Index
    from beige.index.place import Place
    from beige.index.report import Report


def open_index(
    place: "Place",
    model: str | None,
    legs: str | None,
    precision: str,
    language: str | None,
    *,
    dimensions: int | None = None,
    untrained: bool = False,
    rebuild: bool = False,
) -> AbstractContextManager["Index"]:
    """An index to add to, made where there is none; with `rebuild` an empty one that takes the old one's place."""
    from beige.embedder import DEFAULT_MODEL, Embedder
    from beige.index import Index
    from beige.index.plan import models_of

    asked = None if legs is None else names(legs)
    models = models_of(model, asked, place.manifest(), DEFAULT_MODEL)
    embedders = [Embedder(name, precision=precision) for name in models]
    return (Index.anew if rebuild else Index.open)(
        place, embedders, legs=asked, dimensions=dimensions, untrained=untrained, language=language
    )


def show(report: "Report", place: object, base: str | None, *, as_json: bool, embeds: bool = True) -> None:
    """Print what a run did, and end with exit code 1 where something failed.

    Args:
        report: of the run.
        place: where the index is.
        base: what relative sources are relative to; None where what failed has no path.
        as_json: as one JSON document, without the remarks, which go to stderr in any case.
        embeds: whether the run was one that embeds.
    """
    _remark(report, base, "indexed" if embeds else "removed")
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


def _remark(report: "Report", base: str | None, done: str) -> None:
    from beige.documents.walk import from_here

    for failure in report.failures:
        name = failure.source if base is None else from_here(failure.source, base)
        print(f"beige: {name} was not {done}: {failure.reason}", file=sys.stderr)
    if report.cut:
        print(f"beige: {report.cut} chunks were longer than the model reads and were cut", file=sys.stderr)
    for notice in report.notices:
        print(f"beige: {notice}", file=sys.stderr)
