"""Does relevance tell the queries that an index answers from those it cannot? `python -m bench.relevance`.

Queries of one set have no answer among the documents of another. Written to docs/measurements/relevance.md.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beige.embedder import Embedder
from beige.evaluate.data import Retrieval, read_retrieval
from beige.index import Index
from beige.index.manifest import Calibration, Leg
from beige.search.fusion import fuse
from beige.search.relevance import Relevance, fit, relevance
from beige.search.request import Request
from beige.search.retrieval import Retrieval as Legs
from beige.values import Floats
from bench.machine import circumstances
from bench.report import FOLDER, Target, described, table, targets, write
from bench.texts import DATA

DOCUMENTS, QUERIES = 800, 150
"""Of a set: documents that are indexed, those that answer the queries among them, and queries."""

JUDGED = 20
"""Candidates of a query whose judgements are looked at; what was not judged counts as irrelevant."""

LEAST = 0.5
"""The relevance at which queries are told apart."""

GROUPS: Mapping[str, Mapping[str, str]] = {
    "bge-small-en-v1.5": {"scifact": "test", "cranfield": "test_without_minus1", "xquad_r-en": "test"},
    "bge-small-zh-v1.5": {"xquad_r-zh": "test", "cmrc2018-dev": "test"},
}
"""By model, data sets of one language, each with its judgements. The general weights are fitted on the first group."""

SPOKEN: Mapping[str, tuple[str, ...]] = {"both": ("dense", "bm25"), "dense": ("dense",), "bm25": ("bm25",)}


@dataclass(frozen=True, eq=False)
class Asked:
    """What an index says of one query.

    Attributes:
        model: that made the index.
        data: the set of the documents.
        queries: the set of the query.
        strengths: of the best candidates by leg, best first, (k,).
        relevant: whether each was judged relevant, (k,).
    """

    model: str
    data: str
    queries: str
    strengths: Mapping[str, Floats]
    relevant: NDArray[np.bool_]

    def chances(self, legs: Sequence[str], fitted: Sequence[Calibration] = ()) -> NDArray[np.float64]:
        """The candidates' relevance, (k,)."""
        found = relevance({leg: self.strengths[leg] for leg in legs}, LEGS, fitted)
        assert found is not None
        return found


LEGS = (Leg("dense", "dense", 1), Leg("bm25", "sparse", idf=True))


def asked(folder: Path, data: Path, model: str, documents: int, queries: int) -> Iterator[Asked]:
    """Every query of a group, asked of the index of each of its sets."""
    embedder = Embedder(model)
    sets = {name: read_retrieval(data / "retrieval" / name, split) for name, split in GROUPS[model].items()}
    language = "english" if model == "bge-small-en-v1.5" else None
    for name, own in sets.items():
        with Index.open(folder / f"{model}-{name}", embedder, language=language) as index:
            index.add(corpus(folder / f"{model}-{name}.jsonl", own, documents, queries))
            legs, judge = Legs(index, embedder), Relevance(index.store)
            for other, retrieval in sets.items():
                for key in chosen(retrieval, queries):
                    found = legs.candidates(Request(retrieval.queries[key]))
                    order = np.argsort(-fuse("convex", found.evidence), kind="stable")[:JUDGED]
                    grades = retrieval.judgements[key] if other == name else {}
                    names = [passage.source.rpartition("#")[2] for passage in index.store.fetch(found.ids[order])]
                    yield Asked(
                        model,
                        name,
                        other,
                        {leg: one[order] for leg, one in judge.strengths(found).items()},
                        np.array([grades.get(document, 0) > 0 for document in names], bool),
                    )
            legs.close()


def corpus(path: Path, retrieval: Retrieval, documents: int, queries: int) -> Path:
    """Some of a set's documents as records in a file."""
    answers = {
        document
        for query in chosen(retrieval, queries)
        for document, grade in retrieval.judgements[query].items()
        if grade > 0 and document in retrieval.documents
    }
    others = [document for document in retrieval.documents if document not in answers]
    some = np.random.default_rng(0).permutation(len(others))[: max(0, documents - len(answers))]
    kept = answers | {others[place] for place in some.tolist()}
    with path.open("w", encoding="utf-8") as file:
        for document, record in retrieval.documents.items():
            if document in kept:
                file.write(json.dumps({"_id": document, "title": record.title, "text": record.text}) + "\n")
    return path


def chosen(retrieval: Retrieval, count: int) -> list[str]:
    """The queries of a set that are asked."""
    keys = list(retrieval.queries)
    return [keys[place] for place in sorted(np.random.default_rng(0).permutation(len(keys))[:count].tolist())]


def apart(own: Sequence[float], foreign: Sequence[float]) -> dict[str, float]:
    """How well two groups of best relevances are told apart.

    Returns:
        `area`: how often one of the first is above one of the second (the area under the ROC curve, ties count half);
        `kept` and `refused`: the share of the first at `LEAST` and above, and of the second below it.
    """
    first, second = np.array(own)[:, None], np.array(foreign)[None, :]
    return {
        "area": float((first > second).mean() + (first == second).mean() / 2),
        "kept": float((first >= LEAST).mean()),
        "refused": float((second < LEAST).mean()),
    }


def separations(everything: Sequence[Asked]) -> Iterator[dict[str, Any]]:
    """A row for each index, set of foreign queries and choice of legs."""
    for model, sets in GROUPS.items():
        for data in sets:
            for queries in sets:
                if queries == data:
                    continue
                for said, legs in SPOKEN.items():
                    best = {
                        name: [
                            float(one.chances(legs).max(initial=0.0))
                            for one in everything
                            if (one.model, one.data, one.queries) == (model, data, name)
                        ]
                        for name in (data, queries)
                    }
                    yield {
                        "model": model,
                        "data": data,
                        "queries": queries,
                        "legs": said,
                        **apart(best[data], best[queries]),
                    }


def calibrations(everything: Sequence[Asked]) -> Iterator[dict[str, Any]]:
    """A row for each index: what relevance means for its candidates, general and fitted on half of its queries.

    The other half is looked at: the mean relevance of the candidates, the share of them that is relevant, and Brier's
    score of both (the mean squared difference, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).
    """
    for model, sets in GROUPS.items():
        for data in sets:
            own = [one for one in everything if one.model == model and one.data == one.queries == data]
            fitted = (fitted_on(own[::2], SPOKEN["both"]),)
            row: dict[str, Any] = {"model": model, "data": data}
            relevant = np.concatenate([one.relevant for one in own[1::2]])
            row["relevant"] = float(relevant.mean())
            for name, calibration in (("general", ()), ("fitted", fitted)):
                chances = np.concatenate([one.chances(SPOKEN["both"], calibration) for one in own[1::2]])
                row[name] = {"mean": float(chances.mean()), "brier": float(((chances - relevant) ** 2).mean())}
            yield row


def fitted_on(some: Sequence[Asked], legs: Sequence[str]) -> Calibration:
    """The calibration of the candidates of some queries."""
    said = {leg: np.concatenate([one.strengths[leg] for one in some]) for leg in legs}
    return fit(said, np.concatenate([one.relevant for one in some]))


def general(everything: Sequence[Asked]) -> Iterator[dict[str, Any]]:
    """The general weights anew: of the best candidate of each query, whether the query is the set's own.

    Each of both kinds counts as much as the other, so that 0.5 is where they are as likely. A row for each choice of
    legs, over all sets of the first group and over all but one, with how well that tells the queries of the one apart.
    """
    group = [one for one in everything if one.model == next(iter(GROUPS))]
    for said, legs in SPOKEN.items():
        for left_out in (None, *GROUPS[group[0].model]):
            used = [one for one in group if one.data != left_out]
            own = [one for one in used if one.data == one.queries]
            foreign = [one for one in used if one.data != one.queries]
            # As many of the one as of the other: own ones are repeated.
            rows = own * round(len(foreign) / len(own)) + foreign
            strengths = {leg: np.array([one.strengths[leg][0] for one in rows], np.float32) for leg in legs}
            found = fit(strengths, np.array([one.data == one.queries for one in rows]))
            row: dict[str, Any] = {"legs": said, "left_out": left_out, "bias": found.bias, "weights": found.weights}
            if left_out is not None:
                best = [
                    (one.queries == left_out, float(one.chances(legs, (found,)).max(initial=0.0)))
                    for one in group
                    if one.data == left_out
                ]
                row |= apart([chance for is_own, chance in best if is_own], [c for is_own, c in best if not is_own])
            yield row


def aims(sections: Mapping[str, Any]) -> list[Target]:
    """The figures that the project has set itself to reach: with both legs, everywhere."""
    rows = [row for row in sections["separation"] if row["legs"] == "both"]
    return [
        Target("answerable above unanswerable, lowest of all pairs of sets", min(r["area"] for r in rows), 0.95),
        Target(f"answerable queries kept at {LEAST}, lowest", min(r["kept"] for r in rows), 0.75),
        Target(f"unanswerable queries refused at {LEAST}, lowest", min(r["refused"] for r in rows), 0.75),
    ]


def render(around: Mapping[str, Any], sections: Mapping[str, Any], figures: Sequence[Target]) -> str:
    """The page."""
    return "\n\n".join(
        (
            "# Relevance",
            described(around),
            "## Targets",
            targets(figures),
            "## Answerable and unanswerable queries",
            f"{sections['documents']} documents and {sections['queries']} queries of each set. A query is asked of "
            f"each index of its language, and taken by the highest relevance of its {JUDGED} best candidates. "
            "Area: how often an answerable one is above an unanswerable one. "
            f"Kept: answerable ones at {LEAST} and above. Refused: unanswerable ones below.",
            table(
                ("model", "documents", "queries of", "legs", "area", "kept", "refused"),
                [
                    (
                        *(row[name] for name in ("model", "data", "queries", "legs")),
                        *(f"{row[name]:.3f}" for name in ("area", "kept", "refused")),
                    )
                    for row in sections["separation"]
                ],
            ),
            "## What a relevance means",
            f"The {JUDGED} best candidates of the sets' own queries, every second query; the others were fitted on. "
            "What nobody judged counts as irrelevant, so that the general weights, which ask whether an index has "
            "anything on a query, say more than the judgements do.",
            table(
                ("model", "documents", "relevant", "mean, general", "Brier", "mean, fitted", "Brier"),
                [
                    (
                        row["model"],
                        row["data"],
                        f"{row['relevant']:.3f}",
                        *(f"{row[name][figure]:.3f}" for name in ("general", "fitted") for figure in ("mean", "brier")),
                    )
                    for row in sections["calibration"]
                ],
            ),
            "## The general weights",
            f"Fitted on the sets of {next(iter(GROUPS))}, and with each left out on the others, then measured on it.",
            table(
                ("legs", "left out", "bias", "weights", "area", "kept", "refused"),
                [
                    (
                        row["legs"],
                        row["left_out"] or "-",
                        f"{row['bias']:.2f}",
                        ", ".join(f"{leg} {weight:.2f}" for leg, weight in row["weights"].items()),
                        *(f"{row[name]:.3f}" if name in row else "-" for name in ("area", "kept", "refused")),
                    )
                    for row in sections["general"]
                ],
            ),
        )
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="where the data sets are")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where the page is written")
    parser.add_argument("--documents", type=int, default=DOCUMENTS, help="of each set")
    parser.add_argument("--queries", type=int, default=QUERIES, help="of each set")
    parser.add_argument("--keep", type=Path, help="keep the indexes in this folder, and use those that are there")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"relevance: skipped, there are no data sets in {options.data}")
        return
    around = circumstances()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        everything = [
            one for model in GROUPS for one in asked(folder, options.data, model, options.documents, options.queries)
        ]
    sections = {
        "documents": options.documents,
        "queries": options.queries,
        "separation": list(separations(everything)),
        "calibration": list(calibrations(everything)),
        "general": list(general(everything)),
    }
    figures = aims(sections)
    page = render(around, sections, figures)
    write("relevance", page, {**around, **sections, "targets": [vars(figure) for figure in figures]}, options.output)
    print(targets(figures))


if __name__ == "__main__":
    main()
