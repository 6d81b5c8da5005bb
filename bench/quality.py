"""Parity and retrieval quality: `python -m bench.quality`, written to docs/measurements/quality.md."""

import argparse
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beige.embedder import Embedder
from beige.errors import EngineError
from beige.evaluate.data import Retrieval, read_pairs, read_retrieval
from beige.evaluate.measures import Measure, Run, mean, spearman
from beige.evaluate.ranking import Dense, Legs
from beige.evaluate.variants import STORAGES
from beige.evaluate.words import Words
from beige.index import Index
from beige.models.checkpoint import open_checkpoint
from beige.search import Searcher
from beige.values import Floats
from bench.machine import circumstances
from bench.parity import FLOORS, SCRIPTS, cosines, parity_texts, reference, spread
from bench.report import FOLDER, Target, described, table, targets, write
from bench.texts import DATA

MODEL, CHINESE = "bge-small-en-v1.5", "bge-small-zh-v1.5"
MODELS = (MODEL, "bge-small-en", CHINESE, "e5-small-v2", "all-MiniLM-L6-v2")
PRECISIONS = tuple(FLOORS)
NDCG, RECALL = Measure("nDCG", 10), Measure("R", 100)


@dataclass(frozen=True)
class Task:
    """A retrieval run: a data set, its judgements, the model, the language of BM25's stemmer, the precision."""

    data: str
    model: str = MODEL
    split: str = "test"
    language: str = "english"
    precision: str = "auto"


SCIFACT = tuple(Task("scifact", precision=precision) for precision in PRECISIONS)
TASKS = (
    *SCIFACT,
    Task("scifact", "e5-small-v2"),
    Task("scifact", "all-MiniLM-L6-v2", precision="fp32"),
    Task("cranfield", split="test_without_minus1"),
    Task("xquad_r-en"),
    Task("xquad_r-de", language="german"),
    Task("xquad_r-es", language="spanish"),
    Task("xquad_r-ar", language="arabic"),
    Task("xquad_r-zh", CHINESE),
    Task("cmrc2018-dev", CHINESE),
)


def parities(data: Path) -> Iterator[dict[str, Any]]:
    """A row for each model and precision."""
    for name in MODELS:
        checkpoint = open_checkpoint(name)
        tokenizer = checkpoint.tokenizer()
        scripts, texts = zip(*parity_texts(data, tokenizer), strict=True)
        theirs = reference(checkpoint, texts)
        for precision in PRECISIONS:
            row: dict[str, Any] = {"model": name, "precision": precision, "texts": len(texts), "spread": spread(theirs)}
            try:
                found = cosines(dense(name, precision, texts), theirs)  # (n,)
            except EngineError as error:
                yield {**row, "skipped": str(error)}
                continue
            at = int(found.argmin())
            yield {
                **row,
                "lowest_cosine": float(found[at]),
                "mean_cosine": float(found.mean()),
                "lowest_at": f"{scripts[at]}, {tokenizer.count(texts[at])} tokens",
            }


def dense(model: str, precision: str, texts: Sequence[str]) -> Floats:
    """Vectors of the texts as documents, (n, d)."""
    vectors = Embedder(model, precision=precision).encode_document(list(texts)).dense
    assert vectors is not None
    return vectors


def retrievals(data: Path) -> Iterator[dict[str, Any]]:
    """A row for each task: whole documents, dense, BM25 and fused."""
    for task in TASKS:
        row: dict[str, Any] = dict(vars(task))
        retrieval = read_retrieval(data / "retrieval" / task.data, task.split)
        documents = [record.whole for record in retrieval.documents.values()]
        try:
            embedder = Embedder(task.model, precision=task.precision)
        except EngineError as error:
            yield {**row, "skipped": str(error)}
            continue
        vectors = embedder.encode_document(documents).dense  # (n, d)
        queries = embedder.encode_query(list(retrieval.queries.values())).dense  # (q, d)
        assert vectors is not None
        assert queries is not None
        dense, words = Dense(STORAGES["float32"](vectors), queries), Words(documents, task.language)
        legs = {
            "dense": Legs(dense, None),
            "bm25": Legs(None, words),
            "hybrid": Legs(dense, words),
            "reciprocal": Legs(dense, words, fusion="reciprocal"),
        }
        runs = {name: _run(one, retrieval) for name, one in legs.items()}
        yield {**row, "precision": embedder.precision, **_scores(retrieval, runs), "remarks": retrieval.remarks}


def _run(legs: Legs, retrieval: Retrieval) -> Run:
    names = list(retrieval.documents)
    rankings = legs.rank(list(retrieval.queries.values()), [None] * len(retrieval.queries))
    return {
        query: {names[place]: float(score) for place, score in zip(ranking.places, ranking.scores, strict=True)}
        for query, ranking in zip(retrieval.queries, rankings, strict=True)
    }


def through_index(data: Path, folder: Path) -> dict[str, Any]:
    """SciFact as files in a real index: 256-token chunks; a document ranks as its best chunk."""
    retrieval = read_retrieval(data / "retrieval" / "scifact")
    files = folder / "files"
    files.mkdir()
    for name, record in retrieval.documents.items():
        (files / f"{name}.txt").write_text(f"{record.title}\n\n{record.text}\n", encoding="utf-8")
    with Index.open(folder / "index", Embedder(MODEL)) as index, Searcher(index) as searcher:
        report = index.add(files)
        runs: dict[str, dict[str, dict[str, float]]] = {}
        for leg, legs in {"dense": ["dense"], "bm25": ["bm25"], "hybrid": ["dense", "bm25"]}.items():
            runs[leg] = {}
            for query, text in retrieval.queries.items():
                best = runs[leg].setdefault(query, {})
                for hit in searcher.search(text, 200, legs=legs):
                    best.setdefault(Path(hit.source).stem, hit.score)  # hits come best first
        return {
            "documents": report.documents["added"],
            "chunks": report.chunks,
            "precision": index.manifest.precision,
            "legs": _scores(retrieval, runs),
        }


def similarities(data: Path) -> Iterator[dict[str, Any]]:
    """STS-B test, English, a row for each precision."""
    pairs = read_pairs(data / "sts" / "stsb-en-test.csv")
    for precision in PRECISIONS:
        try:
            vectors = dense(MODEL, precision, pairs.first + pairs.second)
        except EngineError as error:
            yield {"precision": precision, "skipped": str(error)}
            continue
        cosines = (vectors[: len(pairs)] * vectors[len(pairs) :]).sum(1)  # (n,)
        yield {"precision": precision, "spearman": spearman(cosines, pairs.scores)}


def _scores(retrieval: Retrieval, runs: Mapping[str, Run]) -> dict[str, dict[str, float]]:
    return {
        leg: {str(measure): figure for measure, figure in mean(retrieval.judgements, run, (NDCG, RECALL)).items()}
        for leg, run in runs.items()
    }


def aims(sections: Mapping[str, Any]) -> list[Target]:
    """The figures that the project has set itself to reach."""
    whole = {(row["data"], row["model"], row["precision"]): row for row in sections["retrieval"] if "dense" in row}
    sts = {row["precision"]: row["spearman"] for row in sections["similarity"] if "spearman" in row}

    def scifact(precision: str, leg: str) -> float:
        row = whole.get(("scifact", MODEL, precision))
        return row[leg]["nDCG@10"] if row else math.nan

    rival = whole.get(("scifact", "all-MiniLM-L6-v2", "fp32"))
    index = sections["index"]["legs"]
    best = max(index[leg]["nDCG@10"] for leg in ("dense", "bm25"))
    return [
        *(
            Target(
                f"lowest cosine to sentence-transformers, {row['model']}, {row['precision']}",
                row.get("lowest_cosine", math.nan),
                low=FLOORS[row["precision"]],
                digits=6,
            )
            for row in sections["parity"]
        ),
        *(
            Target(
                f"SciFact nDCG@10, whole abstracts, dense, {precision}", scifact(precision, "dense"), 0.710, digits=4
            )
            for precision in PRECISIONS
        ),
        *(
            Target(
                f"SciFact nDCG@10, whole abstracts, hybrid, {precision}", scifact(precision, "hybrid"), 0.735, digits=4
            )
            for precision in PRECISIONS
        ),
        Target(
            "SciFact nDCG@10, dense, int8 less fp32",
            scifact("int8", "dense") - scifact("fp32", "dense"),
            *(-0.005, 0.005),
            digits=4,
        ),
        *(
            Target(f"STS-B test, Spearman, {precision}", sts.get(precision, math.nan), 0.8576, 0.8596, digits=4)
            for precision in PRECISIONS
        ),
        Target(
            "SciFact nDCG@10, all-MiniLM-L6-v2",
            rival["dense"]["nDCG@10"] if rival else math.nan,
            *(0.6431, 0.6471),
            digits=4,
        ),
        Target(
            "SciFact nDCG@10, through an index, hybrid less the better leg",
            index["hybrid"]["nDCG@10"] - best,
            0.0,
            digits=4,
        ),
    ]


def render(around: Mapping[str, Any], sections: Mapping[str, Any], figures: Sequence[Target]) -> str:
    """The page."""
    legs = ("dense", "bm25", "hybrid", "reciprocal")
    index = sections["index"]
    return "\n\n".join(
        (
            "# Quality",
            described(around),
            "## Targets",
            targets(figures),
            "## Parity with sentence-transformers",
            f"Texts of 1 to 512 tokens in several scripts ({', '.join(SCRIPTS)}), each model's own checkpoint folder "
            "read by both. The spread is the mean cosine of different texts: what a wrong vector would have.",
            table(
                ("model", "precision", "texts", "lowest cosine", "at", "mean cosine", "spread"),
                [
                    (
                        row["model"],
                        row["precision"],
                        row["texts"],
                        *(
                            (f"{row['lowest_cosine']:.6f}", row["lowest_at"], f"{row['mean_cosine']:.6f}")
                            if "lowest_cosine" in row
                            else ("-", f"skipped: {row['skipped']}", "-")
                        ),
                        f"{row['spread']:.3f}",
                    )
                    for row in sections["parity"]
                ],
            ),
            "## Retrieval, whole documents",
            '`title + " " + text`, cut at 512 tokens; nDCG@10, in brackets R@100. BM25 and both fusions are the '
            "product's own (hybrid is the default, a convex combination; reciprocal is reciprocal rank fusion). "
            "The models are small and, but for the Chinese sets, English: German, Spanish and Arabic are here to show "
            "that fusion does not lose what the better leg knows.",
            table(
                ("data", "model", "precision", "BM25 stems", *legs),
                [
                    (
                        f"{row['data']}/{row['split']}",
                        row["model"],
                        row["precision"],
                        row["language"],
                        *(f"{row[leg]['nDCG@10']:.4f} ({row[leg]['R@100']:.3f})" for leg in legs),
                    )
                    for row in sections["retrieval"]
                    if "dense" in row
                ],
            ),
            *(f"Skipped: {row['model']} in {row['precision']}: {row['skipped']}" for row in _skipped(sections)),
            "## Retrieval through an index",
            f"SciFact as {index['documents']} text files, indexed with {MODEL} in {index['precision']} into "
            f"{index['chunks']} chunks; a document ranks as its best chunk.",
            table(
                ("legs", "nDCG@10", "R@100"),
                [(leg, *(f"{figure:.4f}" for figure in scores.values())) for leg, scores in index["legs"].items()],
            ),
            "## Similarity",
            table(
                ("data", "precision", "Spearman"),
                [
                    ("STS-B test, English", row["precision"], f"{row['spearman']:.4f}")
                    for row in sections["similarity"]
                    if "spearman" in row
                ],
            ),
        )
    )


def _skipped(sections: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in sections["retrieval"] if "skipped" in row]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    around = circumstances()
    sections: dict[str, Any] = {}
    for name, rows in (("parity", parities), ("similarity", similarities), ("retrieval", retrievals)):
        sections[name] = []
        for row in rows(options.data):
            sections[name].append(row)
            print(name, row, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        sections["index"] = through_index(options.data, Path(folder))
    figures = aims(sections)
    page = render(around, sections, figures)
    print(page)
    kept = [{**vars(figure), "reached": figure.reached} for figure in figures]
    write("quality", page, {"circumstances": around, **sections, "targets": kept}, options.output)


if __name__ == "__main__":
    main()
