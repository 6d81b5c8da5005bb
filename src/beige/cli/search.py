"""`beige search`: ask an index."""

import sys

import typer

from beige.cli._options import Json, Where, names, seconds
from beige.cli._terminal import emit

NO_RERANKER = "none"


def run(
    query: str = typer.Argument(metavar="QUERY", help="A question, or some words."),
    *,
    index: str | None = Where,
    limit: int = typer.Option(10, "--limit", "-n", help="The most hits, from 1 to 1000."),
    legs: str | None = typer.Option(
        None, help="What to search, of the index's legs: dense (by meaning), bm25 (by words), ... Without it all."
    ),
    fusion: str | None = typer.Option(
        None, help="How the legs' scores become one: convex (the default), or reciprocal (of ranks)."
    ),
    weights: str | None = typer.Option(
        None, metavar="LEG=WEIGHT,...", help="What legs weigh in the fusion, in place of its own: dense=0.6,bm25=0.4."
    ),
    feedback: float | None = typer.Option(
        None,
        metavar="WEIGHT",
        help="From 0 to 1: what likeness to the two best weighs beside the legs.  [default: as tuned, else 0]",
    ),
    rescore: int = typer.Option(50, metavar="N", help="How many of the best candidates token vectors score."),
    multi_within: str | None = typer.Option(
        None, metavar="TIME", help="Compute the candidates' token vectors where the index has none, for so long: 300ms."
    ),
    rerank: str | None = typer.Option(
        None, metavar="MODEL", help="A reranker that reads the best candidates; none, where the index was tuned to one."
    ),
    rerank_depth: int | None = typer.Option(
        None, metavar="N", help="How many it reads, from 1 to 1000.  [default: as tuned, else 50]"
    ),
    rerank_within: str | None = typer.Option(
        None, metavar="TIME", help="The time that it has: 300ms, 2s. What it did not read follows.  [default: no limit]"
    ),
    diversity: float = typer.Option(0.0, help="From 0 to 1: how much a hit is put back for being like one before it."),
    join: bool = typer.Option(False, "--join", help="Make one passage of hits that follow each other in a document."),
    group: bool = typer.Option(False, "--group", help="One hit for each document: its best, with its others below."),
    min_relevance: float = typer.Option(
        0.0, help="From 0 to 1: hits that are less likely to be relevant are left out."
    ),
    explain: bool = typer.Option(False, "--explain", help="Show why each hit is there."),
    where: str | None = typer.Option(
        None,
        "--filter",
        metavar="EXPR",
        help="Where to look: 'path:docs/** type:pdf,md modified>=2026-01-01 -tag:old'.",
    ),
    facets: list[str] = typer.Option(
        [],
        "--facet",
        metavar="FIELD",
        help="Count the documents that pass the filter by type, language, or another field.",
    ),
    as_json: bool = Json,
) -> None:
    """Search an index by meaning and by words together; best hits first."""
    from beige.cli._hits import show, show_facets
    from beige.errors import UsageError
    from beige.search import Request, open_index
    from beige.search.wire import as_answer

    query = query.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # an argument is any bytes
    if rerank_depth is not None and rerank_depth < 1:
        raise UsageError(f"--rerank-depth must be 1 or more, not {rerank_depth}")
    request = Request(
        query,
        limit,
        None if legs is None else names(legs),
        fusion,
        None if weights is None else _weights(weights),
        feedback=feedback,
        rescore=rescore,
        multi_within=None if multi_within is None else seconds("--multi-within", multi_within),
        rerank=0 if rerank == NO_RERANKER else rerank_depth,
        rerank_within=None if rerank_within is None else seconds("--rerank-within", rerank_within),
        diversity=diversity,
        join=join,
        group=group,
        min_relevance=min_relevance,
        explain=explain,
        filter=where,
        facets=facets,
    )
    with open_index(index) as opened:
        reranker = opened.tuned_reranker(request) if rerank is None else rerank
        found = opened.run(request, None if reranker == NO_RERANKER else reranker, from_here=True)
    if as_json:
        emit(as_answer(found, request))
    else:
        show(found, request)
        show_facets(found.facets)
    if found.late:
        print(
            f"beige: the reranker read {found.read:,} of {found.read + found.late:,} candidates in time; "
            "the others follow in their order",
            file=sys.stderr,
        )


def _weights(listed: str) -> dict[str, float]:
    from beige.errors import UsageError

    weights = {}
    for one in names(listed):
        leg, _, weight = one.partition("=")
        try:
            weights[leg.strip()] = float(weight)
        except ValueError as error:
            raise UsageError(f"--weights {one!r} is not understood: write LEG=WEIGHT, as in dense=0.6") from error
    return weights
