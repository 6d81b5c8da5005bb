"""`beige index`: bring an index up to date with files and folders."""

import threading
from typing import TYPE_CHECKING

import typer

from beige.cli import move
from beige.cli._options import Json, Language, Legs, Model, Precision, Ttl, Verbose, Where
from beige.cli._terminal import progress
from beige.cli._writing import Chosen, open_any, show

if TYPE_CHECKING:
    from beige.index.report import Change


def run(
    paths: list[str] = typer.Argument(None, metavar="PATH", help="Files and folders."),
    *,
    index: str | None = Where,
    model: str | None = Model,
    legs: str | None = Legs,
    precision: str = Precision,
    language: str | None = Language,
    ttl: str | None = Ttl,
    storage: str | None = typer.Option(
        None,
        help="How vectors are kept for searching from 20,000 chunks on: float32, int8 or binary, smaller and rougher; "
        "scores stay exact. Without it the index's own, else float32.",
    ),
    dimensions: int | None = typer.Option(
        None,
        help="Keep so many of a vector's first numbers, for models that were trained for it; fixed with the index.",
    ),
    untrained: bool = typer.Option(
        False, "--untrained", help="With --dimensions: also for a model that was not trained for it."
    ),
    rebuild: bool = typer.Option(
        False, "--rebuild", help="Begin anew; the old index is searched until the new one is whole."
    ),
    to_cluster: str | None = typer.Option(
        None, metavar="URL", help="Without paths: copy the index to a cluster, as beige move URL does."
    ),
    verbose: bool = Verbose,
    as_json: bool = Json,
) -> None:
    """Index documents: text, Markdown, HTML, PDF, Office, e-mail, code, records.

    Unchanged files are skipped, changed ones replaced, vanished ones removed
    (beneath these paths only). A file that cannot be read keeps its last version,
    is named on stderr, and makes the exit code 1.
    Ctrl-C loses nothing that was committed.
    """
    from beige.documents.walk import find
    from beige.errors import UsageError
    from beige.index import place_of
    from beige.index.lease import lease
    from beige.index.manifest import storage_of

    if bool(paths) is (to_cluster is not None):
        raise UsageError("name either the files and folders to index, or --to-cluster URL to copy the index there")
    if to_cluster is not None:
        move.run(to_cluster, index=index, as_json=as_json)
        return
    place = place_of(index)
    found = find(paths, place.folder)  # a misspelt path is said before a model is loaded
    lease(ttl, 0)  # a time that is none too
    if storage is not None:
        storage_of(storage)
    chosen = Chosen(model, legs, precision, language, dimensions, untrained, rebuild, storage)
    with open_any(place, chosen) as target, progress("documents") as bar:
        task = bar.add_task("indexing", total=None)
        if not bar.disable:  # how much there is to do is counted while it is done
            threading.Thread(target=lambda: bar.update(task, total=sum(1 for _ in found)), daemon=True).start()

        def tell(change: "Change") -> None:
            bar.update(task, advance=1)
            if verbose and change.kind in ("added", "updated"):
                bar.console.print(target.named_here(change.source), markup=False, soft_wrap=True)

        report = target.add(*paths, ttl=ttl, tell=tell)
    show(report, place, target.named_here, as_json=as_json)
