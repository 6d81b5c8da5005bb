"""`beige models`: the catalogue, and what of it is on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from beige.cli._terminal import Json, emit, out

if TYPE_CHECKING:
    from rich.table import Table

    from beige.models.card import ModelCard


def run(as_json: bool = Json) -> None:
    """List the models that Beige knows by name; a dot marks those that are on this machine."""
    from dataclasses import asdict

    from beige.models.catalogue import CATALOGUE
    from beige.models.pull import installed

    here = installed()
    if as_json:
        emit([asdict(card) | {"size": card.size, "path": _path(here.get(card.name))} for card in CATALOGUE])
        return
    console = out()
    for kind, title in (("embedder", "Embedders"), ("reranker", "Rerankers")):
        console.print(_table(title, [card for card in CATALOGUE if card.kind == kind], here))
    console.print("[green]●[/green] on this machine; any other comes with [bold]beige pull MODEL[/bold]")


def _path(folder: Path | None) -> str | None:
    return str(folder) if folder else None


def _table(title: str, cards: "list[ModelCard]", here: Mapping[str, Path]) -> "Table":
    from rich import box
    from rich.table import Table

    embedders = any(card.outputs for card in cards)
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False
    )
    table.add_column("")
    table.add_column("model", no_wrap=True)
    for column in ("size", "vector", "tokens") if embedders else ("size", "tokens"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("languages", "outputs", "licence") if embedders else ("languages", "licence"):
        table.add_column(column, overflow="fold")
    for card in cards:
        mark = "[green]●[/green]" if card.name in here else ""
        vector = [str(card.dimension)] if embedders else []
        outputs = [" ".join(card.outputs)] if embedders else []
        size = [_size(card.size), *vector, str(card.max_tokens)]
        table.add_row(mark, card.name, *size, " ".join(card.languages), *outputs, card.licence)
    return table


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
