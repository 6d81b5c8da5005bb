"""`beige evaluate diff`: the queries on which two systems differ most."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from beige.cli._options import Json
from beige.cli._terminal import emit, out

if TYPE_CHECKING:
    from rich.console import Console

    from beige.evaluate.diff import Changed

_HITS = 3


def run(
    first: str = typer.Argument(help="A system of the run."),
    second: str = typer.Argument(help="Another one."),
    folder: Path | None = typer.Option(
        None, "--run", metavar="DIR", help="The run's --output; without it the last run."
    ),
    measure: str | None = typer.Option(None, help="By which the queries are ordered; the run's first by default."),
    limit: int = typer.Option(10, "--limit", "-n", min=1, help="The most queries."),
    as_json: bool = Json,
) -> None:
    """Show the queries on which two systems of a run differ most, with what they found."""
    from dataclasses import asdict

    from rich.markup import escape

    from beige.evaluate.diff import changed
    from beige.evaluate.study import last_folder

    name, rows = changed(folder or last_folder(), first, second, measure)
    if as_json:
        emit({"measure": name, "first": first, "second": second, "queries": [asdict(row) for row in rows[:limit]]})
        return
    console = out()
    named = f"first is [bold]{escape(first)}[/bold], second [bold]{escape(second)}[/bold]"
    console.print(f"{len(rows)} queries differ in {name}; {named}")
    for row in rows[:limit]:
        _show(console, name, row)


def _show(console: "Console", measure: str, row: "Changed") -> None:
    from rich.markup import escape

    console.print(f"\n[bold]{escape(row.first.text)}[/bold] [dim]({escape(row.first.query)})[/dim]")
    console.print(f"{measure} {row.first.figures[measure]:.3f} against {row.second.figures[measure]:.3f}")
    for ours, theirs in zip(row.first.relevant, row.second.relevant, strict=True):
        ranks = f"rank {ours['rank'] or '–'} against {theirs['rank'] or '–'}"
        console.print(f"  relevant {escape(ours['document'])}, {ranks}: [dim]{escape(_line(ours['text']))}[/dim]")
    for name, answered in (("first", row.first), ("second", row.second)):
        for rank, hit in enumerate(answered.hits[:_HITS], 1):
            mark = "[green]✓[/green]" if (hit["grade"] or 0) > 0 else " "
            shown = f"{escape(hit['document'])}: [dim]{escape(_line(hit['text']))}[/dim]"
            console.print(f"  {name:>6} {rank} {mark} {shown}")


def _line(text: str, longest: int = 160) -> str:
    """The beginning of a text on one line."""
    plain = " ".join(text.split())
    return plain if len(plain) <= longest else f"{plain[:longest]}…"
