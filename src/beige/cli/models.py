"""`beige models`: the catalogue, and what of it is on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from beige.cli._options import Json
from beige.cli._terminal import emit, out

if TYPE_CHECKING:
    from rich.table import Table

    from beige.models.card import ModelCard


_VISUAL = ("bge-visualized", "bge-vl")

_WIDTH = 200
"""Characters that the wide table has at least, whatever the terminal says."""


def run(
    wide: bool = typer.Option(
        False, "--wide", help="More of each: memory, what goes before queries, where it runs, notes."
    ),
    as_json: bool = Json,
) -> None:
    """List the models that Beige knows by name; a dot marks those that are on this machine."""
    from dataclasses import asdict

    from beige.models.catalogue import CATALOGUE
    from beige.models.pull import installed

    here = installed()
    if as_json:
        emit(
            [
                asdict(card)
                | {"size": card.size, "memory": 2 * card.parameters, "runs_on": _engines(card)}
                | {"path": _path(here.get(card.name))}
                for card in CATALOGUE
            ]
        )
        return
    console = out()
    if wide:
        console.width = max(console.width, _WIDTH)
    for kind, title in (("embedder", "Embedders"), ("reranker", "Rerankers")):
        cards = [card for card in CATALOGUE if card.kind == kind]
        if wide:
            console.print(_wide(title, cards, here), "")
            continue
        console.print(_table(title, cards, here, narrow=kind == "embedder" and console.width < 100), "")
    console.print("[green]●[/green] on this machine; any other comes with [bold]beige pull MODEL[/bold]")


def _path(folder: Path | None) -> str | None:
    return str(folder) if folder else None


def _table(title: str, cards: "list[ModelCard]", here: Mapping[str, Path], *, narrow: bool) -> "Table":
    from rich import box
    from rich.table import Table

    embedders = any(card.outputs for card in cards)
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0 if narrow else (0, 1, 0, 0),
    )
    table.add_column("model", width=32 if narrow else None)
    for column in ("size", "dim", "tokens") if embedders else ("size", "tokens"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("languages", width=9 if narrow else None)
    if embedders:
        table.add_column("outputs", width=7 if narrow else None)
    table.add_column("licence")
    for card in cards:
        name = f"{card.name} [green]●[/green]" if card.name in here else card.name
        dimension = [str(card.dimension)] if embedders else []
        outputs = [" ".join(card.outputs)] if embedders else []
        languages = " ".join("100+" if language == "multilingual" else language for language in card.languages)
        table.add_row(name, _size(card.size), *dimension, str(card.max_tokens), languages, *outputs, card.licence)
    return table


def _wide(title: str, cards: "list[ModelCard]", here: Mapping[str, Path]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("model", no_wrap=True)
    for column in ("on disk", "16-bit memory", "tokens"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("languages", "outputs", "licence", "before a query", "runs on", "note"):
        table.add_column(column, overflow="fold")
    for card in cards:
        table.add_row(
            f"{card.name} [green]●[/green]" if card.name in here else card.name,
            _size(card.size),
            _size(2 * card.parameters),
            str(card.max_tokens),
            " ".join(card.languages),
            " ".join(card.outputs) or "score",
            card.licence,
            Text(card.templates.get("query", "").partition("{text}")[0].replace("\n", "⏎")),
            _engines(card),
            card.note,
        )
    return table


def _engines(card: "ModelCard") -> str:
    """What runs a model."""
    from beige.engines.encoders import ENCODERS
    from beige.models.checkpoint import DECODERS

    if card.name.startswith(_VISUAL):
        return "not yet"
    if card.architecture in ENCODERS:
        return "OpenVINO, PyTorch"
    return "PyTorch" if card.architecture in DECODERS else "not yet"


def _size(count: int) -> str:
    if count < 1e9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.{1 if count < 1e10 else 0}f} GB"
