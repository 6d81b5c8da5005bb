"""What fusion gains over the better leg, for each model on each set: `python -m bench.fusion`.

Written to docs/measurements/fusion.md; vectors are kept between runs, so that a broken one goes on where it stopped.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from beige.evaluate.run import Settings
from beige.evaluate.study import study
from beige.evaluate.systems import parse_all
from beige.evaluate.tasks import part
from beige.models.catalogue import find_card
from bench.records import MEASURE, RECALL, Task, difference, gathered
from bench.report import Target, described, judged, table, targets, write

MODELS = ("bge-small-en-v1.5", "bge-small-en", "bge-small-zh-v1.5", "e5-small-v2", "all-MiniLM-L6-v2")
LEGS = ("dense", "bm25", "hybrid", "reciprocal")
SETS: Mapping[str, str] = {
    "scifact": "en",
    "cranfield": "en",
    "xquad_r-en": "en",
    "xquad_r-de": "de",
    "xquad_r-es": "es",
    "xquad_r-ar": "ar",
    "xquad_r-zh": "zh",
    "cmrc2018-dev": "zh",
}
"""The sets and the languages that they are in."""

SPLITS = {"cranfield": "test_without_minus1"}

FIRST = {"zh": "bge-small-zh-v1.5"}
"""The model that a person would take for a language; bge-small-en-v1.5 for the others."""


def legs(model: str) -> tuple[str, ...]:
    """The systems of `LEGS` with a model."""
    return (model, "bm25", f"{model}+bm25", f"{model}+bm25,fusion=reciprocal")


TASKS = tuple(Task(name, legs(model), split=SPLITS.get(name, "test")) for name in SETS for model in MODELS)


def records(data: Path, settings: Settings, quick: bool) -> Iterator[dict[str, Any]]:
    """The record of each task; a quick run takes few queries and documents."""
    for task in TASKS:
        whole = task.read(data)
        some = part(whole, 20, 100) if quick else whole
        yield study(some, parse_all(task.systems), (MEASURE, RECALL), settings)


def gain(record: Mapping[str, Any]) -> tuple[float, float, float]:
    """How far the hybrid is ahead of the better leg, and the interval's bounds."""
    model, words, hybrid, _ = record["systems"]
    better = max((model, words), key=lambda name: record["systems"][name]["measures"][MEASURE])
    return difference(record, hybrid, better)


def knows(task: Task) -> bool:
    """Whether the task's model was made for the set's language."""
    return find_card(task.systems[0]).reads(SETS[task.data])


def aims(found: Sequence[Mapping[str, Any]]) -> list[Target]:
    """On every set, with the model that a person would take, fusion is above the better leg."""
    return [
        Target(f"hybrid less the better leg, {task.data}, {task.systems[0]}", gain(record)[0], 0.0, digits=4)
        for task, record in zip(TASKS, found, strict=True)
        if task.systems[0] == FIRST.get(SETS[task.data], MODELS[0])
    ]


def _row(task: Task, record: Mapping[str, Any]) -> tuple[str, ...]:
    ahead, low, high = gain(record)
    figures = [system["measures"] for system in record["systems"].values()]
    return (
        record["data"]["name"],
        task.systems[0] if knows(task) else f"{task.systems[0]} (stranger)",
        *(f"{each[MEASURE]:.4f} ({each[RECALL]:.3f})" for each in figures),
        f"{ahead:+.4f} ({low:+.4f} to {high:+.4f})",
    )


def render(around: Mapping[str, Any], found: Sequence[Mapping[str, Any]], figures: Sequence[Target]) -> str:
    """The page."""
    return "\n\n".join(
        (
            "# Fusion",
            described(around),
            "## Targets",
            targets(figures),
            "## Figures",
            f"{MEASURE}, in brackets {RECALL}, whole documents, precision auto, untuned. BM25 and both fusions are the "
            "product's own: words are stemmed by each document's language; hybrid is the default, a convex "
            "combination; reciprocal is reciprocal rank fusion. A stranger is a model that was not made for the "
            "set's language, and weighs little there.",
            table(
                ("data", "model", *LEGS, "hybrid less the better leg, 95 %"),
                [_row(task, record) for task, record in zip(TASKS, found, strict=True)],
            ),
        )
    )


def main() -> None:
    """Measure, print and write."""
    around, found, output = gathered(__doc__, records)
    figures = aims(found)
    page = render(around, found, figures)
    print(page)
    write("fusion", page, {"circumstances": around, "records": found, "targets": judged(figures)}, output)


if __name__ == "__main__":
    main()
