"""`beige restore`: an index of a backup."""

from dataclasses import asdict
from pathlib import Path

import typer

from beige.cli._options import Json, Where
from beige.cli._terminal import emit


def run(
    path: Path = typer.Argument(metavar="FILE|DIR", help="What beige backup has written."),
    *,
    index: str | None = Where,
    force: bool = typer.Option(False, "--force", help="Replace the index that is there."),
    as_json: bool = Json,
) -> None:
    """Restore an index from a backup, after its checksum was verified.

    An index that is replaced is searched until the restored one is whole.
    """
    from beige.index import place_of
    from beige.index.snapshot import restore

    place = place_of(index)
    made = restore(path, place.only_folder("beige restore"), force=force)
    if as_json:
        emit({"index": str(place)} | asdict(made))
    else:
        typer.echo(f"{place}: {made.documents:,} documents of {made.created}, by {', '.join(made.models)}")
