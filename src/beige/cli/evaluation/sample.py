"""`beige evaluate sample`: a first set of queries, drawn from an index."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import typer

from beige.cli._options import Json, Where
from beige.cli._terminal import emit, err, out


def run(
    index: str | None = Where,
    output: Path = typer.Option(..., metavar="DIR", help="A new folder for the set, in BEIR's layout."),
    number: int = typer.Option(50, "--number", "-n", min=1, help="The most queries."),
    llm: str | None = typer.Option(
        None, metavar="URL#MODEL", help="A language model that writes queries where the texts give too few."
    ),
    as_json: bool = Json,
) -> None:
    """Draw a first set of queries from an index: headings, questions, definitions, held out of their passages.

    Such a set ranks systems; it does not measure how good one is.
    """
    from beige.evaluate.sample import sample, save
    from beige.evaluate.writer import writer
    from beige.search import open_index

    with open_index(index) as opened, ExitStack() as stack:
        task = sample(opened.passages(), number, None if llm is None else writer(llm, stack))
    save(task, output)
    kinds = Counter(key.partition("-")[2] for key in task.queries)
    if as_json:
        emit({"output": str(output), "queries": len(task.queries), "documents": len(task.documents), "kinds": kinds})
        return
    said = ", ".join(f"{count} by {kind}" for kind, count in kinds.items())
    out().print(f"{len(task.queries)} queries ({said}) over {len(task.documents)} passages in {output}", soft_wrap=True)
    for remark in task.remarks:
        err().print(f"[yellow]{remark}[/yellow]", soft_wrap=True)
    out().print(f"next: beige evaluate {output}", soft_wrap=True)
