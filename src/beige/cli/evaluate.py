"""`beige evaluate`: which system, on my data, at what cost."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from beige.cli._terminal import Json, emit, err, out, progress

if TYPE_CHECKING:
    from rich.progress import TaskID

    from beige.evaluate.run import Report

_DEFAULTS = {
    "retrieval": ("bm25", "bge-small-en-v1.5", "bge-small-en-v1.5+bm25"),
    "pairs": ("bge-small-en-v1.5",),
}


def run(
    data: Path = typer.Argument(None, help="A BEIR folder, or a CSV file of sentence, sentence, score."),
    system: list[str] = typer.Option(
        [],
        help="What to measure, several times: MODEL, bm25, MODEL+bm25,rerank=MODEL, openai:MODEL, http://host/v1#MODEL.",
    ),
    measure: list[str] = typer.Option(
        [], help="nDCG@10, R@100, RR@10, AP, P@5, Judged@10; Spearman, Pearson of pairs."
    ),
    split: str = typer.Option(None, help="Which judgements of the folder: qrels/SPLIT.tsv."),
    documents: list[Path] = typer.Option(
        [], help="Search the documents of these BEIR folders, all pooled (cross-lingual)."
    ),
    only_judged: bool = typer.Option(
        False, "--only-judged", help="Rank each query's judged documents alone (rerank sets)."
    ),
    limit_queries: int = typer.Option(None, min=1, help="The most queries, drawn at random."),
    limit_documents: int = typer.Option(None, min=1, help="The most documents; the judged ones are always kept."),
    language: str = typer.Option("english", help="Of the words that bm25 stems."),
    price: list[str] = typer.Option(
        [], metavar="MODEL=DOLLARS", help="For a million tokens, in place of the list price."
    ),
    max_cost: float = typer.Option(1.0, min=0, help="Dollars that this run may spend on providers."),
    output: Path = typer.Option(
        None, metavar="DIR", help="Where report.html, report.md, report.json and the answers go."
    ),
    as_json: bool = Json,
) -> None:
    """Measure embedding models, BM25, hybrids and rerankers on your data, with cost and significance.

    What was computed or paid for is kept: the same command goes on where it was broken off.
    """
    from beige.errors import UsageError
    from beige.evaluate.cache import Cache
    from beige.evaluate.data import Pairs, read_retrieval
    from beige.evaluate.prices import Budget, prices
    from beige.evaluate.run import Settings
    from beige.evaluate.study import cache_file, read, study
    from beige.evaluate.systems import parse_all
    from beige.evaluate.tasks import part, pool, rerank_set

    if data is None:
        raise UsageError("nothing to measure on: name a BEIR folder or a CSV file of sentence pairs")
    task = read(data, split)
    chosen = (documents, only_judged, limit_queries, limit_documents)
    if isinstance(task, Pairs):
        if any(chosen):
            raise UsageError(f"{data} holds pairs of sentences, which cannot be pooled, ranked or limited")
    else:
        if documents:
            task = pool(task, [read_retrieval(folder, split or "test") for folder in documents])
        task = rerank_set(task) if only_judged else task
        task = part(task, limit_queries, limit_documents)
    systems = parse_all(system or _DEFAULTS["pairs" if isinstance(task, Pairs) else "retrieval"])
    table = prices(dict(map(_priced, price)))
    with Cache(cache_file()) as cache, _watching() as tell:
        settings = Settings(cache, table, Budget(max_cost), language, tell=tell)
        document = study(task, systems, measure, settings, output)
    if as_json:
        emit(document)
        return
    show(document)
    if output is not None:
        out().print(f"\nthe report: [bold]{output / 'report.html'}[/bold]", soft_wrap=True)
    if settings.budget.spent:
        err().print(f"spent ${settings.budget.spent:.4f} on providers")


def show(document: Mapping[str, Any]) -> None:
    """The record as a table with bars."""
    from rich.markup import escape
    from rich.table import Table

    from beige.evaluate.report.findings import measure_of, ordered, verdict
    from beige.evaluate.report.markdown import COSTS, figure, remarks, size, title

    console, first = out(), measure_of(document)
    console.print(f"[bold]{escape(title(document))}[/bold]: {size(document)}")
    names = ordered(document)
    measures = list(document["systems"][names[0]]["measures"])
    costs = [cost for cost in COSTS if any(document["systems"][name]["cost"][cost[0]] is not None for name in names)]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("system", style="bold", overflow="fold")
    table.add_column("")
    for name in measures:
        table.add_column(name, justify="right")
    for _, label, _ in costs:
        table.add_column(label, justify="right")
    for name in names:
        system = document["systems"][name]
        table.add_row(
            escape(name) + (" [yellow]*[/yellow]" if system["contaminated"] else ""),
            _bar(system["measures"][first]),
            *(f"{system['measures'][measure]:.4f}" for measure in measures),
            *(figure(system["cost"][cost], form) for cost, _, form in costs),
        )
    console.print(table)
    console.print(escape(verdict(document)), soft_wrap=True)
    for remark in remarks(document):
        err().print(f"[dim]{escape(remark)}[/dim]", soft_wrap=True)


@contextmanager
def _watching() -> "Iterator[Report]":
    """A progress bar on stderr, with the time left, for one thing after the other."""
    with progress("") as bar:
        tasks: dict[str, TaskID] = {}

        def tell(doing: str, done: int, total: int) -> None:
            if doing not in tasks:
                for task in tasks.values():
                    bar.update(task, visible=False)
                tasks[doing] = bar.add_task(doing)
            bar.update(tasks[doing], completed=done, total=total)

        yield tell


def _bar(figure: float, width: int = 16) -> str:
    """A bar of eighths of a character, as long as a figure from 0 to 1."""
    eighths = round(max(0.0, min(1.0, figure)) * width * 8)
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8]).strip()


def _priced(text: str) -> tuple[str, float]:
    from beige.errors import UsageError

    name, _, dollars = text.rpartition("=")
    try:
        return name, float(dollars)
    except ValueError as error:
        raise UsageError(f"--price {text}: write MODEL=DOLLARS for a million tokens") from error


BELOW: Mapping[str, Callable[..., None]] = {}
"""The commands below this one."""
