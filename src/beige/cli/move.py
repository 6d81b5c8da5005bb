"""`beige move`: an index to another place, without embedding again."""

from typing import TYPE_CHECKING

import typer

from beige.cli._options import Json, Where
from beige.cli._terminal import progress
from beige.cli._writing import show

if TYPE_CHECKING:
    from beige.index.report import Change


def run(
    target: str = typer.Argument(metavar="DIR|URL", help="Where to: a folder, or qdrant+http://HOST:6333/NAME."),
    *,
    index: str | None = Where,
    as_json: bool = Json,
) -> None:
    """Copy an index to a cluster, or back to a folder, with all its vectors.

    Nothing is embedded. After Ctrl-C the same command goes on where it was. The
    index that is copied stays until you remove it.
    """
    from beige.index import place_of
    from beige.index.move import move

    source, place = place_of(index), place_of(target)
    with progress("documents") as bar:
        task = bar.add_task("moving", total=None)

        def tell(_: "Change") -> None:
            bar.update(task, advance=1)

        report = move(source, place, tell)
    show(report, place, as_json=as_json, embeds=False)
