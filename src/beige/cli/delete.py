"""`beige delete`: remove documents from an index."""

import typer

from beige.cli._options import Json, Where
from beige.cli._writing import show


def run(
    sources: list[str] = typer.Argument(metavar="SOURCE", help="Documents, as hits name them."),
    *,
    prefix: bool = typer.Option(False, "--prefix", help="All documents whose names begin so: docs/, rows.csv#"),
    index: str | None = Where,
    as_json: bool = Json,
) -> None:
    """Remove documents; a file that stays in its folder comes back when the folder is indexed again.

    A name that no document has is told, and makes the exit code 1.
    """
    from beige.search import open_index

    with open_index(index) as opened:
        report = opened.delete(*sources, prefix=prefix, from_here=True)
    show(report, opened.place, as_json=as_json, embeds=False)
