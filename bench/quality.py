"""Parity and retrieval quality: `python -m bench.quality`, written to docs/measurements/quality.md.

Vectors are kept between runs of the same code, so that a broken one goes on where it stopped.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from beige import Index
from beige.embedder import Embedder
from beige.errors import EngineError
from beige.evaluate.cache import Cache
from beige.evaluate.data import Retrieval, read_pairs, read_retrieval
from beige.evaluate.encoder import embed
from beige.evaluate.local import Local, Sentences
from beige.evaluate.own import of_index
from beige.evaluate.run import CORRELATIONS, Settings
from beige.evaluate.study import study
from beige.evaluate.systems import Model, parse_all
from beige.models.checkpoint import open_checkpoint
from bench.fusion import MODELS
from bench.machine import circumstances
from bench.parity import FLOORS, SCRIPTS, cosines, parity_texts, spread
from bench.records import MEASURE, RECALL, Task, difference, kept, rows, size, told, workplace
from bench.report import FOLDER, Target, described, judged, table, targets, write
from bench.texts import DATA

MODEL, RIVAL = "bge-small-en-v1.5", "all-MiniLM-L6-v2,precision=fp32"
PRECISIONS = tuple(FLOORS)
REFERENCE = "fp32"


def skipped() -> dict[str, str]:
    """The precisions that this machine cannot compute in, with what the engine says."""
    found = {}
    for precision in PRECISIONS:
        try:
            Embedder(MODEL, precision=precision)
        except EngineError as error:
            found[precision] = str(error)
    return found


def parities(data: Path, precisions: Sequence[str], cache: Cache) -> Iterator[dict[str, Any]]:
    """A row for each model and precision."""
    for name in MODELS:
        checkpoint = open_checkpoint(name)
        tokenizer = checkpoint.tokenizer()
        scripts, texts = zip(*parity_texts(data, tokenizer), strict=True)
        theirs = embed(Sentences(Model("st", str(checkpoint.path))), texts, "document", cache).vectors  # (n, d)
        for precision in precisions:
            ours = embed(Local(Model("beige", name, precision=precision)), texts, "document", cache).vectors
            found = cosines(ours, theirs)  # (n,)
            at = int(found.argmin())
            yield {
                "model": name,
                "precision": precision,
                "texts": len(texts),
                "lowest_cosine": float(found[at]),
                "mean_cosine": float(found.mean()),
                "lowest_at": f"{scripts[at]}, {tokenizer.count(texts[at])} tokens",
                "spread": spread(theirs),
            }


def similarity(data: Path, precisions: Sequence[str], settings: Settings) -> dict[str, Any]:
    """STS-B test, English."""
    pairs = read_pairs(data / "sts" / "stsb-en-test.csv")
    return study(pairs, parse_all(f"{MODEL},precision={each}" for each in precisions), CORRELATIONS, settings)


def precise(data: Path, precisions: Sequence[str], settings: Settings) -> dict[str, Any]:
    """SciFact's whole abstracts in every precision, dense and hybrid."""
    systems = [
        "bm25",
        *(f"{legs},precision={each}" for legs in (MODEL, f"{MODEL}+bm25") for each in precisions),
        RIVAL,
    ]
    return study(Task("scifact", ()).read(data), parse_all(systems), (MEASURE, RECALL), settings)


def through_index(data: Path, folder: Path, settings: Settings) -> dict[str, Any]:
    """SciFact as files in a real index: 256-token chunks; a document ranks as its best chunk."""
    task = read_retrieval(data / "retrieval" / "scifact")
    files = _files(task, folder / "files")
    queries = folder / "queries.jsonl"
    lines = (
        {"_id": key, "text": text, "relevant": {f"{name}.txt": grade for name, grade in task.judgements[key].items()}}
        for key, text in task.queries.items()
    )
    queries.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    with Index.open(folder / "index", MODEL) as index:
        index.add(files)
        held = index.status()
        systems = parse_all(("dense", "bm25", "dense+bm25"))
        used = dataclasses.replace(settings, index=index)
        record = study(of_index(index, queries), systems, (MEASURE, RECALL), used)
        return {
            **record,
            "chunks": held.chunks,
            "files": held.documents,
            "precision": index.manifest.encoders[0].precision,
            "chunk_tokens": index.manifest.chunk_tokens,
        }


def _files(task: Retrieval, folder: Path) -> Path:
    """Every document as a text file; those that are there already keep their time, and are not indexed again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, record in task.documents.items():
        path, text = folder / f"{name}.txt", f"{record.title}\n\n{record.text}\n"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
    return folder


def aims(sections: Mapping[str, Any]) -> list[Target]:
    """The figures that the project has set itself to reach."""
    scifact, index = sections["precise"], sections["index"]

    def near(what: str, record: Mapping[str, Any], system: str, measure: str, low: float, high: float) -> Target:
        found = record["systems"].get(system)
        return Target(what, found["measures"][measure] if found else math.nan, low, high, digits=4)

    lowest = {(row["model"], row["precision"]): row["lowest_cosine"] for row in sections["parity"]}
    reference = f"{MODEL},precision={REFERENCE}"
    int8 = f"{MODEL},precision=int8"
    lost = difference(scifact, int8, reference)[0] if int8 in scifact["systems"] else math.nan
    better = max(("dense", "bm25"), key=lambda leg: index["systems"][leg]["measures"][MEASURE])
    return [
        *(
            Target(
                f"lowest cosine to sentence-transformers, {model}, {precision}",
                lowest.get((model, precision), math.nan),
                low=floor,
                digits=6,
            )
            for model in MODELS
            for precision, floor in FLOORS.items()
        ),
        *(
            near(f"SciFact {MEASURE}, {what}, {each}", scifact, f"{spelled},precision={each}", MEASURE, low, math.inf)
            for what, spelled, low in (("dense", MODEL, 0.710), ("hybrid", f"{MODEL}+bm25", 0.735))
            for each in PRECISIONS
        ),
        near(f"SciFact {MEASURE}, dense, as published", scifact, reference, MEASURE, 0.71075, 0.71475),
        Target(f"SciFact {MEASURE}, dense, int8 less fp32", lost, -0.005, 0.005, digits=4),
        near(f"SciFact {MEASURE}, all-MiniLM-L6-v2, as published", scifact, RIVAL, MEASURE, 0.6431, 0.6471),
        *(
            near(
                f"STS-B test, Spearman, {each}",
                sections["similarity"],
                f"{MODEL},precision={each}",
                *("Spearman", 0.8576, 0.8596),
            )
            for each in PRECISIONS
        ),
        Target(
            f"SciFact {MEASURE}, through an index, hybrid less the better leg",
            difference(index, "dense+bm25", better)[0],
            0.0,
            digits=4,
        ),
    ]


def render(around: Mapping[str, Any], sections: Mapping[str, Any], figures: Sequence[Target]) -> str:
    """The page."""
    index = sections["index"]
    heads = ("system", MEASURE, "95 %", RECALL)
    return "\n\n".join(
        part
        for part in (
            "# Quality",
            described(around),
            *(f"Skipped: {precision}: {said}" for precision, said in sections["skipped"].items()),
            "## Targets",
            targets(figures),
            "## Parity with sentence-transformers",
            f"Texts of 1 to 512 tokens in several scripts ({', '.join(SCRIPTS)}), each model's own checkpoint folder "
            "read by both. The spread is the mean cosine of different texts: what a wrong vector would have.",
            table(
                ("model", "precision", "texts", "lowest cosine", "at", "mean cosine", "spread"),
                [
                    (
                        *(row["model"], row["precision"], row["texts"]),
                        *(f"{row['lowest_cosine']:.6f}", row["lowest_at"], f"{row['mean_cosine']:.6f}"),
                        f"{row['spread']:.3f}",
                    )
                    for row in sections["parity"]
                ],
            ),
            "## SciFact, whole abstracts",
            f'`title + " " + text`, cut at 512 tokens; {size(sections["precise"])} With 95 % intervals over the '
            "queries. Bold: the best, and what the data cannot tell from it.",
            table(heads, rows(sections["precise"])),
            _precisions(sections["precise"]),
            "## SciFact through an index",
            f"{index['files']:,} text files, indexed with {MODEL} in {index['precision']} into {index['chunks']:,} "
            f"chunks of at most {index['chunk_tokens']} tokens; a document ranks as its best chunk.",
            table(heads, rows(index)),
            "## Similarity",
            f"STS-B test, English, {sections['similarity']['data']['pairs']:,} pairs.",
            table(("system", "Spearman", "95 %", "Pearson"), rows(sections["similarity"])),
        )
        if part
    )


def _precisions(record: Mapping[str, Any]) -> str:
    """What each precision loses against fp32."""
    lines = []
    for legs in (MODEL, f"{MODEL}+bm25"):
        for precision in PRECISIONS:
            name, reference = (f"{legs},precision={each}" for each in (precision, REFERENCE))
            if precision != REFERENCE and name in record["systems"]:
                lost, low, high = difference(record, name, reference)
                lines.append(f"{precision} less {REFERENCE}, {legs}: {lost:+.4f} ({low:+.4f} to {high:+.4f}).")
    return " ".join(lines)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    around = circumstances()
    lacking = skipped()
    precisions = [precision for precision in PRECISIONS if precision not in lacking]
    with kept() as cache:
        settings = Settings(cache, tell=told)
        sections: dict[str, Any] = {
            "skipped": lacking,
            "similarity": similarity(options.data, precisions, settings),
            "precise": precise(options.data, precisions, settings),
            "index": through_index(options.data, workplace() / "through-index", settings),
            "parity": list(parities(options.data, precisions, cache)),
        }
    figures = aims(sections)
    page = render(around, sections, figures)
    print(page)
    reached = judged(figures)
    write("quality", page, {"circumstances": around, **sections, "targets": reached}, options.output)


if __name__ == "__main__":
    main()
