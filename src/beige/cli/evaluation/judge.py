"""`beige evaluate judge`: judgements by hand."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from beige.cli._terminal import out
from beige.cli.evaluation.shared import DEFAULTS, LANGUAGE, MAX_COST, PRICES, SYSTEMS, settings

if TYPE_CHECKING:
    from beige.evaluate.judge import Question

_LONGEST = 2000  # characters of a document that are shown


def run(
    data: Path = typer.Argument(help="A BEIR folder: corpus.jsonl and queries.jsonl; judgements may be missing."),
    system: list[str] = SYSTEMS,
    split: str = typer.Option("judged", help="Where the judgements go: qrels/SPLIT.tsv of the folder."),
    depth: int = typer.Option(10, min=1, help="How many of each system's best documents are asked about."),
    price: list[str] = PRICES,
    max_cost: float = MAX_COST,
    language: str = LANGUAGE,
) -> None:
    """Judge by hand: the best documents of several systems, pooled without saying whose they are.

    Keys: y or a grade from 1 to 9, n or 0, s to skip, u to go back, q to stop; every answer is kept at once.
    """
    from beige.evaluate.data import read_unjudged
    from beige.evaluate.judge import judge
    from beige.evaluate.run import rankings
    from beige.evaluate.systems import parse_all

    task = read_unjudged(data, split)
    with settings(price, max_cost, language) as used:
        runs = [rankings(each, task, used) for each in parse_all(system or DEFAULTS["retrieval"])]
    path = data / "qrels" / f"{split}.tsv"
    added = judge(task, runs, path, _ask, depth=depth)
    out().print(f"{added} judgements added to {path}", soft_wrap=True)


def _ask(question: "Question") -> str:
    """Show a query and a document, and read a key and Enter."""
    from rich.markup import escape
    from rich.rule import Rule

    console = out()
    console.print(Rule(f"{question.number} of {question.total}", style="dim"))
    console.print(f"[bold]{escape(question.query)}[/bold]\n")
    if question.record.title:
        console.print(f"[italic]{escape(question.record.title)}[/italic]")
    console.print(escape(question.record.text[:_LONGEST]))
    console.print("\n[dim]relevant? y or 1-9, n or 0, s skip, u back, q stop[/dim] ", end="")
    try:
        return input()
    except EOFError:
        return "q"
