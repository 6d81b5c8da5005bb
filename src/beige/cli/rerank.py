"""`beige rerank`: a query and passages in, scores out."""

import sys
from typing import TYPE_CHECKING

import typer

from beige.cli._options import Json
from beige.cli._terminal import emit, out

if TYPE_CHECKING:
    from beige.reranker import Ranked

_SHOWN = 80
"""Characters of a passage that the table shows."""


def run(
    query: str = typer.Argument(..., help="The question that the passages are to answer."),
    source: str = typer.Argument("-", metavar="[FILE|-]", help="One passage a line, or JSON lines; - is stdin."),
    *,
    model: str = typer.Option("bge-reranker-v2-m3", help="A name from `beige models`, or a folder."),
    limit: int | None = typer.Option(None, help="Give only so many, the best.  [default: all]"),
    normalise: bool = typer.Option(False, "--normalise", help="Scores between 0 and 1 instead of raw ones."),
    precision: str = typer.Option("auto", help="fp32, bf16, int8, or auto: the fastest that keeps the scores."),
    max_tokens: int | None = typer.Option(
        None, help="Cut passages so that pairs have so many.  [default: the model's]"
    ),
    field: str | None = typer.Option(
        None, help="The field of JSON lines that holds the passage.  [default: text, for .jsonl and .ndjson files]"
    ),
    as_json: bool = Json,
) -> None:
    """Order passages by how well they answer a query, the best first; the model reads both together."""
    from beige.cli._texts import JSON_SUFFIXES, open_input, read_texts
    from beige.reranker import Reranker

    if field is None and source.endswith(JSON_SUFFIXES):
        field = "text"
    with open_input(source) as lines:
        passages = list(read_texts(lines, "stdin" if source == "-" else source, field))
    reranker = Reranker(model, precision=precision, max_tokens=max_tokens)
    ranked = reranker.rerank(query, passages, limit, normalise=normalise)
    if as_json:
        results = [{"index": one.index, "score": one.score, "truncated": one.truncated} for one in ranked]
        emit({"query": query, "results": results})
    else:
        _print(ranked, passages)
    if cut := sum(one.truncated for one in ranked):
        print(f"beige: passages cut to the model's length: {cut:,} of {len(ranked):,}", file=sys.stderr)


def _print(ranked: "list[Ranked]", passages: list[str]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("line", justify="right", no_wrap=True)
    table.add_column("passage")
    for one in ranked:
        passage = passages[one.index]
        shown = passage if len(passage) <= _SHOWN else passage[: _SHOWN - 1] + "…"
        table.add_row(f"{one.score:.4f}", str(one.index + 1), Text(shown))
    out().print(table)
