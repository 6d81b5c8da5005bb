"""Speed and memory at the shapes of bge-m3 and bge-reranker-base: `python -m bench.m3`, to docs/measurements/m3.md.

The weights are random: what a model computes does not matter to either. Leave the machine alone while it runs, some
ten minutes on two cores, for which texts and rounds are few; the page says how many. Everything runs on the CPU, with
every library's own choice of threads.
"""

import argparse
import dataclasses
import json
import math
import subprocess
import sys
import tempfile
import time
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
from bench.report import FOLDER, Target, described, judged, table, targets, write
from bench.texts import DATA, tokens_read

OUTPUTS = ("dense", "sparse", "multi")
DENSE, ALL, SCORES = "Beige, dense", "Beige, three outputs", "Beige, reranker"
TRANSFORMERS, TUNED = "sentence-transformers, dense", "sentence-transformers, dense, tuned"
FLAG = "FlagEmbedding, three outputs"
CROSS, CROSS_TUNED, FLAG_SCORES = "CrossEncoder", "CrossEncoder, tuned", "FlagReranker"
SIZES = tuple({"batch_size": size} for size in (4, 8, 16, 32))
DOCUMENTS, QUERIES, PASSAGES, LONGEST = 12, 40, 100, 8192
"""How many texts of each kind, and the tokens of the long one, which takes a minute and runs in one precision alone."""

ABSENT = Result(
    "bge-m3-lite",
    failed="not tried: version 0.6.2 runs the published weights alone, from an ONNX file and a fused graph that its "
    "publisher made of them",
)
TINY = dataclasses.replace(shapes.M3, layers=2, hidden=64, heads=4, vocabulary=20_000)
TINY_RERANKER = dataclasses.replace(shapes.RERANKER, layers=2, hidden=64, heads=4, vocabulary=20_000)


def embedders(model: Path, dtype: str) -> list[Contender]:
    """Who embeds; the first is what cosines are taken to, and the tuned ones compute in `dtype`."""
    fixed = {"model": str(model)}
    torch = "with_sentence_transformers.py", "sentence-transformers", fixed
    beige = "with_beige.py", None, {**fixed, "precision": "auto"}
    return [
        Contender(TRANSFORMERS, *torch),
        Contender(TUNED, *torch, [{"dtype": dtype}], SIZES),
        Contender(FLAG, "with_flagembedding.py", "flagembedding", {**fixed, "three": True}),
        Contender(DENSE, *beige),
        Contender(ALL, *beige, settings=[{"outputs": OUTPUTS}]),
    ]


def rerankers(model: Path, dtype: str, query: str) -> list[Contender]:
    """Who reranks."""
    fixed = {"model": str(model), "query": query}
    cross = "with_cross_encoder.py", "sentence-transformers", fixed
    return [
        Contender(CROSS, *cross),
        Contender(CROSS_TUNED, *cross, [{"dtype": dtype}], SIZES),
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
            Target(
                f"ready with weights in {one['stored']}, in {one['precision']}",
                one["ready_seconds"],
                high=15,
                unit=" s",
            )
            for one in footprints
        ),
        *(
            Target(
                f"peak memory with weights in {one['stored']}, in {one['precision']}, times the weights in fp32",
                one["peak_mb"] / size,
                high=1.4,
            )
            for one in footprints
        ),
        *(
            Target(
                f"{LONGEST} tokens with weights in {one['stored']}, in {one['precision']}, above the model's size",
                one["texts"][-1]["peak_mb"] - size,
                high=1500,
                digits=0,
                unit=" MB",
            )
            for one in footprints
            if one["texts"][-1]["tokens"] == LONGEST
        ),
    ]


def render(
    around: Mapping[str, Any],
    results: Sequence[Result],
    footprints: Sequence[Mapping[str, Any]],
    figures: Sequence[Target],
    sizes: Mapping[str, tuple[int, int]],
    quick: bool,
) -> str:
    """The page.

    Args:
        around: circumstances, with the minutes that it took.
        results: of the contests.
        footprints: of memory, one for each precision and stored dtype.
        figures: with what they should be.
        sizes: texts and tokens of each workload.
        quick: whether the figures mean nothing.
    """
    load = ", ".join(f"{name}: {texts} texts, {tokens} tokens" for name, (texts, tokens) in sizes.items())
    rounds = max((len(rates) for result in results for rates in result.rates.values()), default=0)
    ran = [result for result in results if not result.failed]
    return "\n\n".join(
        (
            "# BGE-M3 and rerankers" + (" (a quick run: these figures mean nothing)" if quick else ""),
            described(around),
            "## Targets",
            targets(figures),
            "## Rates",
            "Random weights in bge-m3's shape (24 layers, 1024 wide) and bge-reranker-base's (12 layers, 768 wide); "
            "documents are SciFact abstracts of 128 to 512 tokens, queries its claims of 10 to 20, passages abstracts "
            f"of some 200 ({load}; few, so that all of it takes some ten minutes). Tokens a second, medians of "
            f"{rounds} rounds in which everyone takes turns; default is without any setting, tuned in bf16 where "
            f"the CPU has it, with the quickest of batch sizes {', '.join(str(one['batch_size']) for one in SIZES)}.",
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
                ("stored", "runs in", "ready, s", "peak, MB", "after a text of tokens", "peak, MB"),
                [
                    (
                        one["stored"],
                        one["precision"],
                        f"{one['ready_seconds']:.1f}",
                        f"{one['peak_mb']:.0f}",
                        text["tokens"],
                        f"{text['peak_mb']:.0f}",
                    )
                    for one in footprints
                    for text in one["texts"]
                ],
            ),
            f"All of it took {around['minutes']:.0f} minutes.",
        )
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--quick", action="store_true", help="tiny shapes, one round; the figures mean nothing")
    options = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    started = time.monotonic()
    around = circumstances()
    bf16 = "bf16" in around["machine"]["capabilities"]
    dtype, half = ("bfloat16", ("bf16",)) if bf16 else ("float32", ())
    task = read_retrieval(options.data / "retrieval" / "scifact")
    documents = [record.whole for record in task.documents.values()]
    queries = list(task.queries.values())
    rounds = 1 if options.quick else options.rounds
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        m3 = shapes.write(folder / "m3", TINY if options.quick else shapes.M3, [*documents, *queries])
        tokenizer = open_checkpoint(m3).tokenizer()
        texts = {
            "documents": of_tokens(tokenizer, documents, 128, 512, DOCUMENTS),
            "queries": of_tokens(tokenizer, queries, 10, 20, QUERIES),
        }
        tokens = {name: tokens_read(tokenizer, several) for name, several in texts.items()}
        results = contest(embedders(m3, dtype), texts, tokens, texts["queries"][:10], rounds, say)
        size = (m3 / "model.safetensors").stat().st_size / 2**20
        best = half or ("fp32",)
        footprints = [
            _footprint(m3, "fp32", precision, long=precision in best) for precision in ("fp32", "int8", *half)
        ]
        halves = shapes.write(folder / "halves", TINY if options.quick else shapes.M3, [*documents, *queries], "bf16")
        footprints += [_footprint(halves, "bf16", precision, long=False) for precision in ("fp32", *half)]
        shape = TINY_RERANKER if options.quick else shapes.RERANKER
        reranker = shapes.write(folder / "reranker", shape, [*documents, *queries])
        passages = of_tokens(open_checkpoint(reranker).tokenizer(), documents, 180, 220, PASSAGES)
        query = texts["queries"][0]
        texts["passages"] = [f"{query} {passage}" for passage in passages]
        tokens["passages"] = tokens_read(tokenizer, texts["passages"])
        entered = rerankers(reranker, dtype, query)
        results += contest(entered, {"passages": passages}, tokens, passages[:3], rounds, say)
        results.append(ABSENT)
    ran = {result.name: result for result in results if not result.failed}
    figures = aims(ran, footprints, size, bf16)
    around["minutes"] = (time.monotonic() - started) / 60
    sizes = {name: (len(several), tokens[name]) for name, several in texts.items()}
    page = render(around, results, footprints, figures, sizes, options.quick)
    say(page)
    values = {
        "circumstances": around,
        "quick": options.quick,
        "workloads": {name: {"texts": count, "tokens": read} for name, (count, read) in sizes.items()},
        "contest": [vars(result) for result in results],
        "footprints": footprints,
        "targets": judged(figures),
    }
    write("m3", page, values, options.output)


def _footprint(model: Path, stored: str, precision: str, *, long: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.footprint", str(model), precision, "64", *([str(LONGEST)] if long else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return {"stored": stored, **found}


if __name__ == "__main__":
    main()
