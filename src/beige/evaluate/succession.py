"""Whether an index by another model finds as well as the one that it is to replace, by a person's judgements."""

from typing import TYPE_CHECKING

from beige.evaluate.data import Retrieval
from beige.evaluate.measures import Measure, by_query
from beige.evaluate.run import PASSAGES
from beige.evaluate.significance import Comparison, compare

if TYPE_CHECKING:
    from beige.index import Index

MEASURE = "nDCG@10"


def compared(old: "Index", new: "Index", data: Retrieval) -> Comparison:
    """The new index's search against the old one's, each with all of its legs.

    Args:
        old: that serves.
        new: that is to serve.
        data: queries whose judgements name the indexes' sources.
    """
    figures = {"new": _figures(new, data), "old": _figures(old, data)}
    (comparison,) = compare(MEASURE, figures)
    return comparison


def _figures(index: "Index", data: Retrieval) -> dict[str, float]:
    from beige.search import Searcher

    found: dict[str, dict[str, float]] = {}
    with Searcher(index) as searcher:
        for query, text in data.queries.items():
            scores: dict[str, float] = {}
            for hit in searcher.search(text, PASSAGES):
                scores.setdefault(hit.source, hit.score)  # the first is the best
            found[query] = scores
    measure = Measure.parse(MEASURE)
    return dict(by_query(data.judgements, found, [measure])[measure])
