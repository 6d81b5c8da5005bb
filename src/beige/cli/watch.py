"""`beige watch`: an index follows folders."""

import sys
from typing import TYPE_CHECKING

import typer

from beige.cli._options import Json, Language, Model, Precision, Ttl, Where
from beige.cli._terminal import emit
from beige.cli._writing import Chosen, open_held

if TYPE_CHECKING:
    from beige.index.report import Change, Report


def run(
    paths: list[str] = typer.Argument(metavar="PATH", help="Files and folders."),
    *,
    index: str | None = Where,
    model: str | None = Model,
    precision: str = Precision,
    language: str | None = Language,
    ttl: str | None = Ttl,
    as_json: bool = Json,
) -> None:
    """Keep an index up to date with folders as they change, until Ctrl-C.

    Begins as beige index does. What has been printed is durable, whenever it ends.
    A folder that goes away keeps its documents until it is back.
    """
    from beige.documents.walk import find, from_here
    from beige.index import place_of
    from beige.index.lease import lease

    place = place_of(index)
    find(paths, place.folder)  # a misspelt path is said before the model is loaded
    lease(ttl, 0)
    with open_held(place, Chosen(model, None, precision, language)) as target:

        def tell(change: "Change") -> None:
            if change.kind == "unchanged":
                return
            name = from_here(change.source, target.base)
            if as_json:
                emit({"change": change.kind, "source": name, "chunks": change.chunks, "reason": change.reason})
            elif change.kind == "failed":
                print(f"beige: {name} was not indexed: {change.reason}", file=sys.stderr)
            else:
                typer.echo(f"{change.kind} {name}")

        def done(report: "Report") -> None:
            for notice in report.notices:
                print(f"beige: {notice}", file=sys.stderr)
            if as_json:
                emit({"documents": report.documents, "seconds": round(report.seconds, 3)})

        def say(sentence: str) -> None:
            print(f"beige: {sentence}", file=sys.stderr, flush=True)

        target.watch(*paths, ttl=ttl, tell=tell, done=done, say=say)
