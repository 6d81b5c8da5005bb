"""Speed and memory at the shapes of bge-m3 and bge-reranker-base: `python -m bench.m3`, to docs/measurements/m3.md.

The weights are random: what a model computes does not matter to either. Leave the machine alone while it runs, some
forty minutes. Everything runs on the CPU, with every library's own choice of threads.
"""

import argparse
import dataclasses
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beige.evaluate.data import read_retrieval
from beige.models.checkpoint import open_checkpoint
from bench import shapes
from bench.contest import Contender, Result, contest, ratio
from bench.environments import ROOT
from bench.machine import circumstances
from bench.report import FOLDER, Target, described, table, targets, write
from bench.texts import DATA, tokens_read

OUTPUTS = ("dense", "sparse", "multi")
DENSE, ALL, SCORES = "Beige, dense", "Beige, three outputs", "Beige, reranker"
TRANSFORMERS, TUNED = "sentence-transformers, dense", "sentence-transformers, dense, tuned"
FLAG = "FlagEmbedding, three outputs"
CROSS, CROSS_TUNED, FLAG_SCORES = "CrossEncoder", "CrossEncoder, tuned", "FlagReranker"
SIZES = tuple({"batch_size": size} for size in (4, 8, 16, 32))
DTYPES = tuple({"dtype": dtype} for dtype in ("float32", "bfloat16"))
TINY = dataclasses.replace(shapes.M3, layers=2, hidden=64, heads=4, vocabulary=20_000)
TINY_RERANKER = dataclasses.replace(shapes.RERANKER, layers=2, hidden=64, heads=4, vocabulary=20_000)


def embedders(model: Path) -> list[Contender]:
    """Who embeds; the first is what cosines are taken to."""
    fixed = {"model": str(model)}
    torch = "with_sentence_transformers.py", "sentence-transformers", fixed
    beige = "with_beige.py", None, {**fixed, "precision": "auto"}
    return [
        Contender(TRANSFORMERS, *torch),
        Contender(TUNED, *torch, DTYPES, SIZES),
        Contender(FLAG, "with_flagembedding.py", "flagembedding", {**fixed, "three": True}),
        Contender(DENSE, *beige),
        Contender(ALL, *beige, settings=[{"outputs": OUTPUTS}]),
    ]


def rerankers(model: Path, query: str) -> list[Contender]:
    """Who reranks."""
    fixed = {"model": str(model), "query": query}
    cross = "with_cross_encoder.py", "sentence-transformers", fixed
    return [
        Contender(CROSS, *cross),
        Contender(CROSS_TUNED, *cross, DTYPES, SIZES),
        Contender(FLAG_SCORES, "with_flagreranker.py", "flagembedding", fixed),
        Contender(SCORES, "with_beige_reranker.py", None, {**fixed, "precision": "auto"}),
    ]


def of_tokens(tokenizer: Any, texts: Sequence[str], low: int, high: int, count: int) -> list[str]:
    """The first texts that have from `low` to `high` tokens."""
    counted = zip(texts, tokenizer.encode(texts), strict=True)
    return [text for text, tokens in counted if low <= tokens.count <= high][:count]


def aims(ran: Mapping[str, Result], footprints: Sequence[Mapping[str, Any]], size: float, bf16: bool) -> list[Target]:
    """The figures that the project has set itself to reach."""

    def times(mine: str, theirs: str, workload: str) -> float:
        return ratio(ran[mine], ran[theirs], workload) if {mine, theirs} <= ran.keys() else math.nan

    default = 3.5 if bf16 else 1.5
    pairs = [
        (DENSE, TRANSFORMERS, default),
        (DENSE, TUNED, 1.0),
        (ALL, FLAG, default),
        (ALL, DENSE, 1 / 1.15),
    ]
    return [
        *(
            Target(f"{mine}, times {theirs}, {workload}", times(mine, theirs, workload), floor)
            for workload in ("documents", "queries")
            for mine, theirs, floor in pairs
        ),
        *(
            Target(f"{SCORES}, times {theirs}", times(SCORES, theirs, "passages"), floor)
            for theirs, floor in ((CROSS, default), (CROSS_TUNED, 1.0), (FLAG_SCORES, default))
        ),
        *(
            Target(f"peak memory in {one['precision']}, times the weights in fp32", one["peak_mb"] / size, high=1.4)
            for one in footprints
        ),
        *(
            Target(
                f"{one['tokens']} tokens in {one['precision']}, above the model's size",
                one["peak_after_mb"] - size,
                high=1500,
                digits=0,
                unit=" MB",
            )
            for one in footprints
        ),
    ]


def render(
    around: Mapping[str, Any],
    results: Sequence[Result],
    footprints: Sequence[Mapping[str, Any]],
    figures: Sequence[Target],
    quick: bool,
) -> str:
    """The page."""
    ran = [result for result in results if not result.failed]
    return "\n\n".join(
        (
            "# BGE-M3 and rerankers" + (" (a quick run: these figures mean nothing)" if quick else ""),
            described(around),
            "## Targets",
            targets(figures),
            "## Rates",
            "Random weights in bge-m3's shape (24 layers, 1024 wide) and bge-reranker-base's (12 layers, 768 wide); "
            "documents are SciFact abstracts of 128 to 512 tokens, queries its claims of 10 to 20, passages 100 of "
            "some 200. Tokens a second, medians of the rounds; default is without any setting, tuned the quickest of "
            "batch sizes and dtypes.",
            table(
                ("", "settings", "workload", "tokens/s"),
                [
                    (
                        result.name,
                        ", ".join(f"{key} {value}" for key, value in result.chosen.items()),
                        workload,
                        f"{np.median(rates):.0f}",
                    )
                    for result in ran
                    for workload, rates in result.rates.items()
                ],
            ),
            *(f"No figures of {result.name}: {result.failed}" for result in results if result.failed),
            "## Memory",
            table(
                ("precision", "ready, s", "peak, MB", "text, tokens", "peak after it, MB"),
                [
                    (
                        one["precision"],
                        f"{one['ready_seconds']:.1f}",
                        f"{one['peak_mb']:.0f}",
                        one["tokens"],
                        f"{one['peak_after_mb']:.0f}",
                    )
                    for one in footprints
                ],
            ),
        )
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--quick", action="store_true", help="tiny shapes, one round; the figures mean nothing")
    options = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    around = circumstances()
    bf16 = "bf16" in around["machine"]["capabilities"]
    task = read_retrieval(options.data / "retrieval" / "scifact")
    documents = [record.whole for record in task.documents.values()]
    queries = list(task.queries.values())
    rounds = 1 if options.quick else options.rounds
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        m3 = shapes.write(folder / "m3", TINY if options.quick else shapes.M3, [*documents, *queries])
        tokenizer = open_checkpoint(m3).tokenizer()
        texts = {
            "documents": of_tokens(tokenizer, documents, 128, 512, 40),
            "queries": of_tokens(tokenizer, queries, 10, 20, 100),
        }
        tokens = {name: tokens_read(tokenizer, several) for name, several in texts.items()}
        results = contest(embedders(m3), texts, tokens, texts["queries"][:20], rounds, say)
        size = (m3 / "model.safetensors").stat().st_size / 2**20
        footprints = [_footprint(m3, precision) for precision in ("fp32", "int8", *(["bf16"] if bf16 else []))]
        shape = TINY_RERANKER if options.quick else shapes.RERANKER
        reranker = shapes.write(folder / "reranker", shape, [*documents, *queries])
        passages = of_tokens(open_checkpoint(reranker).tokenizer(), documents, 180, 220, 100)
        query = texts["queries"][0]
        read = {"passages": tokens_read(tokenizer, [f"{query} {passage}" for passage in passages])}
        results += contest(rerankers(reranker, query), {"passages": passages}, read, passages[:5], rounds, say)
    ran = {result.name: result for result in results if not result.failed}
    figures = aims(ran, footprints, size, bf16)
    page = render(around, results, footprints, figures, options.quick)
    say(page)
    values = {
        "circumstances": around,
        "quick": options.quick,
        "contest": [vars(result) for result in results],
        "footprints": footprints,
        "targets": [{**vars(figure), "reached": figure.reached} for figure in figures],
    }
    write("m3", page, values, options.output)


def _footprint(model: Path, precision: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.footprint", str(model), precision, "8192"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
