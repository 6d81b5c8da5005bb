"""`beige backup`: a copy of an index while it is used."""

from dataclasses import asdict
from pathlib import Path

import typer

from beige.cli._options import Json, Where
from beige.cli._terminal import emit


def run(
    path: Path = typer.Argument(metavar="FILE|DIR", help="Where to: one file if it ends in .tar, else a folder."),
    *,
    index: str | None = Where,
    force: bool = typer.Option(False, "--force", help="Replace a backup of that name, once the new one is whole."),
    as_json: bool = Json,
) -> None:
    """Back an index up as it stands at this moment, while others search and write.

    The copy is checked and read again before it gets its name.
    """
    from beige.index import place_of
    from beige.index.snapshot import backup

    folder = place_of(index).only_folder("beige backup")
    made = backup(folder, path, force=force)
    if as_json:
        emit({"path": str(path)} | asdict(made))
    else:
        typer.echo(
            f"{path}: {made.documents:,} documents, {made.size / 1e6:,.1f} MB, sha256 {made.sha256[:16]}…, verified"
        )
