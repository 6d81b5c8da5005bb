"""`beige evaluate`: which system, on my data, at what cost."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from beige.cli._options import Json
from beige.cli._terminal import emit, err, out
from beige.cli.evaluation import diff, gate, judge, sample
from beige.cli.evaluation.shared import DEFAULTS, LANGUAGE, MAX_COST, PRICES, SPLIT, SYSTEMS, settings

if TYPE_CHECKING:
    from rich.table import Table

    from beige.evaluate.data import Pairs, Retrieval
    from beige.search.any_index import AnyIndex

_BAR = 10  # characters
_WIDTHS = {"": _BAR, "95 %": 13}  # characters of columns that need more than a figure

BELOW: Mapping[str, Callable[..., None]] = {
    "sample": sample.run,
    "judge": judge.run,
    "diff": diff.run,
    "gate": gate.run,
}
"""The commands below this one."""


def run(
    data: Path | None = typer.Argument(None, help="A BEIR folder, or a CSV file of sentence, sentence, score."),
    system: list[str] = SYSTEMS,
    measure: list[str] = typer.Option(
        [], help="nDCG@10, R@100, RR@10, AP, P@5, Judged@10; of pairs Spearman, Pearson."
    ),
    split: str | None = SPLIT,
    documents: list[Path] = typer.Option([], help="Search these BEIR folders' documents, all pooled (cross-lingual)."),
    only_judged: bool = typer.Option(False, "--only-judged", help="Rank each query's judged documents (rerank sets)."),
    limit_queries: int | None = typer.Option(None, min=1, help="The most queries, drawn at random."),
    limit_documents: int | None = typer.Option(
        None, min=1, help="The most documents; the judged ones are always kept."
    ),
    language: str = LANGUAGE,
    index: str | None = typer.Option(
        None, metavar="DIR|URL", help="Measure on an index, wherever it is; its own legs are dense and bm25."
    ),
    queries: Path | None = typer.Option(
        None, metavar="FILE", help='For --index: lines {"_id", "text", "relevant": [SOURCE]}.'
    ),
    mteb: list[str] = typer.Option([], metavar="TASK", help="Measure on a task or a benchmark of mteb: NanoBEIR."),
    price: list[str] = PRICES,
    max_cost: float = MAX_COST,
    output: Path | None = typer.Option(
        None, metavar="DIR", help="Where report.html, report.md, report.json and answers go."
    ),
    as_json: bool = Json,
) -> None:
    """Measure embedding models, BM25, hybrids and rerankers on your data, with cost and significance.

    What was computed or paid for is kept: the same command goes on where it was broken off.
    """
    from dataclasses import replace

    from beige.errors import UsageError
    from beige.evaluate.benchmark import benchmark, tasks_of
    from beige.evaluate.study import publish, read, study
    from beige.evaluate.systems import parse_all
    from beige.search import open_index

    if sum(thing is not None for thing in (data, index, mteb or None)) != 1:
        raise UsageError("measure on one thing: a BEIR folder or a CSV file, or --index with --queries, or --mteb")
    if (index is None) != (queries is None):
        raise UsageError("--index and --queries go together: the index, and the file of queries with their sources")
    of_folders: dict[str, object] = {"--split": split, "--documents": documents, "--only-judged": only_judged}
    of_data: dict[str, object] = {
        "--measure": measure,
        "--limit-queries": limit_queries,
        "--limit-documents": limit_documents,
    }
    if mteb:
        _refuse("--mteb", of_folders | of_data)
    if index is not None:
        _refuse("--index", of_folders)
    with settings(price, max_cost, language) as used, ExitStack() as stack:
        if mteb:
            document = benchmark(parse_all(system or DEFAULTS["mteb"]), tasks_of(mteb), used)
            if output is not None:
                publish(output, document, {})
        else:
            opened = None if index is None else stack.enter_context(open_index(index))
            whole = _read(data, split, opened, queries)
            task = _chosen(
                whole, [read(folder, split) for folder in documents], only_judged, (limit_queries, limit_documents)
            )
            names = system or DEFAULTS["index" if index else "retrieval" if hasattr(task, "queries") else "pairs"]
            document = study(task, parse_all(names), measure, replace(used, index=opened), output)
    if as_json:
        emit(document)
        return
    show(document)
    if output is not None:
        out().print(f"\nthe report: [bold]{output / 'report.html'}[/bold]", soft_wrap=True)
    if used.budget.spent:
        err().print(f"spent ${used.budget.spent:.4f} on providers")


def _refuse(what: str, options: Mapping[str, object]) -> None:
    """See that none of the options is given, which would say nothing here."""
    from beige.errors import UsageError

    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(f"{given[0]} has no meaning with {what}: leave it out")


def _read(data: Path | None, split: str | None, index: "AnyIndex | None", queries: Path | None) -> "Retrieval | Pairs":
    from beige.evaluate.own import of_index
    from beige.evaluate.study import read

    if index is not None and queries is not None:
        return of_index(index, queries)
    assert data is not None
    return read(data, split)


def _chosen(
    whole: "Retrieval | Pairs",
    others: "list[Retrieval | Pairs]",
    only_judged: bool,
    limits: tuple[int | None, int | None],
) -> "Retrieval | Pairs":
    """What of the data is measured on."""
    from beige.errors import UsageError
    from beige.evaluate.data import Pairs
    from beige.evaluate.tasks import part, pool, rerank_set

    pooled = [other for other in others if not isinstance(other, Pairs)]
    if isinstance(whole, Pairs):
        if pooled or only_judged or any(limits):
            raise UsageError(f"{whole.name} holds pairs of sentences, which cannot be pooled, ranked or limited")
        return whole
    if len(pooled) < len(others):
        raise UsageError("--documents takes BEIR folders, not files of pairs")
    task = pool(whole, pooled) if pooled else whole
    return part(rerank_set(task) if only_judged else task, *limits)


def show(document: Mapping[str, Any]) -> None:
    """The record as a table with bars."""
    from rich.markup import escape

    from beige.evaluate.report.findings import columns, measure_of, ordered, tasks, verdict
    from beige.evaluate.report.markdown import by_task, costs, figure, interval, remarks, size, title

    console, first = out(), measure_of(document)
    console.print(f"[bold]{escape(title(document))}[/bold]: {size(document)}", soft_wrap=True)
    (measure, *others), shown = columns(document), costs(document)
    quality, cost = _table("system", "", measure, "95 %", *others), _table("cost", *(label for _, label, _ in shown))
    for name in ordered(document):
        system = document["systems"][name]
        star = " [yellow]*[/yellow]" if system["contaminated"] else ""
        quality.add_row(
            escape(name) + star,
            _bar(system["measures"][first]),
            f"{system['measures'][measure]:.4f}",
            interval(system["intervals"].get(measure)),
            *(f"{system['measures'][other]:.4f}" for other in others),
        )
        cost.add_row(escape(name), *(figure(system["cost"][each], form) for each, _, form in shown))
    console.print(quality)
    if shown:
        console.print(cost)
    if several := tasks(document):
        table = _table("task", *map(escape, ordered(document)))
        for row in by_task(document, several):
            table.add_row(*row)
        console.print(table)
    console.print(f"\n{escape(verdict(document))}", soft_wrap=True)
    for remark in remarks(document):
        err().print(f"[dim]{escape(remark)}[/dim]", soft_wrap=True)


def _table(name: str, *figures: str) -> "Table":
    """A table without lines: names, then figures to the right."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(name, style="bold", overflow="fold")
    for label in figures:
        # As wide as its figures, so that a long label gets more lines and a name the room.
        width = max(_WIDTHS.get(label, 7), *map(len, label.split() or [""]))
        table.add_column(label, justify="right" if label else "left", width=width)
    return table


def _bar(figure: float, width: int = _BAR) -> str:
    """A bar of eighths of a character, as long as a figure from 0 to 1."""
    eighths = round(max(0.0, min(1.0, figure)) * width * 8)
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8]).strip()
