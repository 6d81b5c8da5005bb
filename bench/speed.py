"""Speed beside the peers: `python -m bench.speed`, written to docs/measurements/speed.md.

Leave the machine alone while it runs, some twenty-five minutes. Everything runs on the CPU, with every library's own
choice of threads.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beige.evaluate.data import read_retrieval
from beige.models.checkpoint import Checkpoint, open_checkpoint
from beige.models.pull import pull
from bench.contest import Contender, Result, contest, ratio
from bench.environments import PeerError, packages
from bench.machine import circumstances
from bench.onnx import onnx_folder
from bench.report import FOLDER, Target, described, judged, table, targets, write
from bench.texts import DATA, tokens_read, workloads

DEFAULT, TUNED, TUNED_FP32 = (f"sentence-transformers{how}" for how in ("", ", tuned", ", tuned in fp32"))
PRECISIONS = ("fp32", "bf16", "int8")
SIZES = tuple({"batch_size": size} for size in (4, 8, 16, 32))
QUICK = (DEFAULT, "fastembed", "fastembed, tuned", *(f"Beige, {precision}" for precision in PRECISIONS))
"""Who runs in a quick run: those that load quickly, and the one that ratios are taken to."""

PACKAGES = {
    "sentence-transformers": ("sentence-transformers", "torch", "transformers"),
    "sentence-transformers-openvino": ("sentence-transformers", "optimum-intel", "openvino"),
    "flagembedding": ("FlagEmbedding", "torch", "transformers"),
    "fastembed": ("fastembed", "onnxruntime"),
}
"""The packages whose versions are worth telling, by environment."""


def contenders(checkpoint: Checkpoint, onnx: Path | None, quick: bool) -> list[Contender]:
    """Who runs; the first is what cosines and ratios are taken to."""
    model = {"model": str(checkpoint.path)}
    dtypes = [{"dtype": dtype} for dtype in ("float32", "bfloat16")]
    script = "with_sentence_transformers.py"
    torch = script, "sentence-transformers", model
    found = [
        Contender(DEFAULT, *torch),
        Contender(TUNED, *torch, dtypes, SIZES),
        Contender(TUNED_FP32, *torch, dtypes[:1], SIZES),
        Contender(
            "sentence-transformers, OpenVINO, tuned",
            script,
            "sentence-transformers-openvino",
            {**model, "backend": "openvino"},
            settings=SIZES,
        ),
        Contender("FlagEmbedding", "with_flagembedding.py", "flagembedding", model),
    ]
    if onnx:
        export = {
            "model": str(onnx),
            "onnx": "model.onnx",
            "pooling": checkpoint.pooling,
            "dimension": checkpoint.dimension,
        }
        worker = "with_fastembed.py", "fastembed", export
        found += [Contender("fastembed", *worker), Contender("fastembed, tuned", *worker, settings=SIZES)]
    found += [
        Contender(f"Beige, {precision}", "with_beige.py", None, {**model, "precision": precision})
        for precision in PRECISIONS
    ]
    return [one for one in found if one.name in QUICK] if quick else found


def aims(results: Sequence[Result], bf16: bool) -> list[Target]:
    """The figures that the project has set itself to reach."""
    ran = {result.name: result for result in results if not result.failed}
    mine = f"Beige, {'bf16' if bf16 else 'fp32'}"
    floors = {DEFAULT: 4.8, TUNED: 1.4} if bf16 else {DEFAULT: 1.7, TUNED: 1.25}
    return [
        Target(
            f"{mine}, times {peer}, mixed texts",
            ratio(ran[mine], ran[peer], "mixed") if {mine, peer} <= ran.keys() else math.nan,
            floor,
        )
        for peer, floor in floors.items()
    ]


def render(
    around: Mapping[str, Any],
    results: Sequence[Result],
    figures: Sequence[Target],
    sizes: Mapping[str, tuple[int, int]],
    quick: bool,
) -> str:
    """The page.

    Args:
        around: circumstances.
        results: of the contest.
        figures: with what they should be.
        sizes: texts and tokens of each workload.
        quick: whether the figures mean nothing.
    """
    ran = [result for result in results if not result.failed]
    by_name = {result.name: result for result in ran}
    load = ", ".join(f"{name}: {texts} texts, {tokens} tokens" for name, (texts, tokens) in sizes.items())
    return "\n\n".join(
        (
            "# Speed" + (" (a quick run: these figures mean nothing)" if quick else ""),
            described(around),
            "## Targets",
            targets(figures),
            "## Beside the peers",
            f"The same checkpoint and texts for all: SciFact abstracts (long) and claims (short); {load}. Every "
            "contender has a process and an environment of its own, all stay loaded, and in each round everyone runs "
            "once; rates are medians of the rounds, ratios medians of the rounds' ratios. Tokens are counted by the "
            "checkpoint's tokenizer, cut at its length, the same for all. Default is without any setting, tuned the "
            f"quickest of batch sizes {', '.join(str(one['batch_size']) for one in SIZES)} (and float32 "
            "or bfloat16 on torch). "
            f"Cosines are to {DEFAULT}.",
            table(
                ("", "settings", "mixed, tokens/s", "times default", "times tuned", "short", "long", "lowest cosine"),
                [
                    (
                        result.name,
                        ", ".join(f"{key} {value}" for key, value in result.chosen.items()),
                        f"{_middle(result, 'mixed'):.0f}",
                        *(
                            f"{ratio(result, by_name[name], 'mixed'):.2f}" if name in by_name else "-"
                            for name in (DEFAULT, TUNED)
                        ),
                        *(f"{_middle(result, name):.0f}" for name in ("short", "long")),
                        f"{result.lowest_cosine:.5f}",
                    )
                    for result in ran
                ],
            ),
            *(f"No figures of {result.name}: {result.failed}" for result in results if result.failed),
            "One text alone (a claim), and from the start of the import to the first vector:",
            table(
                ("", "p50, ms", "p95, ms", "load, s"),
                [
                    (
                        result.name,
                        *(f"{at:.1f}" for at in np.percentile(result.latencies, (50, 95))),
                        f"{result.load:.1f}",
                    )
                    for result in ran
                ],
            ),
            "Versions: "
            + "; ".join(", ".join(f"{name} {at}" for name, at in kept.items()) for kept in around["peers"].values())
            + ".",
        )
    )


def _middle(result: Result, workload: str) -> float:
    return float(np.median(result.rates[workload]))


def _versions(names: set[str]) -> dict[str, dict[str, str]]:
    """Versions of what matters in the environments of these names."""
    found = {}
    for name in sorted(names):
        installed = {package.lower(): version for package, version in packages(name).items()}
        found[name] = {package: installed[package.lower()] for package in PACKAGES[name]}
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bge-small-en-v1.5", help="a name of the catalogue, or a folder")
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument(
        "--quick", action="store_true", help="try the harness in a minute or two; its figures mean nothing"
    )
    options = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    around = circumstances()
    checkpoint = open_checkpoint(pull(options.model).path)
    tokenizer = checkpoint.tokenizer()
    task = read_retrieval(options.data / "retrieval" / "scifact")
    texts = workloads(task, 0.06 if options.quick else 1.0)
    tokens = {name: tokens_read(tokenizer, several) for name, several in texts.items()}
    say(described(around))
    onnx, absent = None, []
    try:
        onnx = onnx_folder(checkpoint)
    except PeerError as error:
        absent = [Result("fastembed", failed=str(error))]
    entered = contenders(checkpoint, onnx, options.quick)
    alone = texts["short"][: 8 if options.quick else 100]
    results = contest(entered, texts, tokens, alone, 1 if options.quick else options.rounds, say) + absent
    ran = {one.name for one in results if not one.failed}
    around["peers"] = _versions({one.environment for one in entered if one.environment and one.name in ran})
    figures = aims(results, "bf16" in around["machine"]["capabilities"])
    sizes = {name: (len(several), tokens[name]) for name, several in texts.items()}
    page = render(around, results, figures, sizes, options.quick)
    say(page)
    values = {
        "circumstances": around,
        "quick": options.quick,
        "workloads": {name: {"texts": count, "tokens": read} for name, (count, read) in sizes.items()},
        "contest": [vars(result) for result in results],
        "targets": judged(figures),
    }
    write("speed", page, values, options.output)


if __name__ == "__main__":
    main()
