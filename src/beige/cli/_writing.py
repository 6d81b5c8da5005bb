"""What the commands that change an index share: opening it, and what they report."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import typer

from beige.cli._options import Precision, names
from beige.cli._terminal import emit

if TYPE_CHECKING:
    from beige.index.place import Place
    from beige.index.report import Report
    from beige.search import AnyIndex, Index


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
    from beige.index.plan import models_of
    from beige.search import Index

    asked = None if legs is None else names(legs)
    models = models_of(model, asked, place.manifest(), DEFAULT_MODEL)
    embedders = [Embedder(name, precision=precision) for name in models]
    return (Index.anew if rebuild else Index.open)(
        place, embedders, legs=asked, dimensions=dimensions, untrained=untrained, language=language
    )


@contextmanager
def open_any(
    place: "Place",
    model: str | None,
    legs: str | None,
    precision: str,
    language: str | None,
    *,
    dimensions: int | None = None,
    untrained: bool = False,
    rebuild: bool = False,
    storage: str | None = None,
) -> "Iterator[AnyIndex]":
    """An index to add to, as `open_index` gives it, or one behind a server, where none of this can be chosen."""
    from beige.index.place import Server

    if isinstance(place, Server):
        from beige.search.remote import RemoteIndex

        options = {
            "--model": model,
            "--legs": legs,
            "--precision": precision != Precision.default,
            "--language": language,
            "--dimensions": dimensions,
            "--untrained": untrained,
            "--rebuild": rebuild,
            "--storage": storage,
        }
        with RemoteIndex.open(place, [name for name, value in options.items() if value]) as remote:
            yield remote
        return
    with open_index(
        place, model, legs, precision, language, dimensions=dimensions, untrained=untrained, rebuild=rebuild
    ) as held:
        if storage:
            held.keep_as(storage)
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
