"""What a newcomer asks: which model, with or without BM25, on which data. `python -m bench.rivals`.

Written to docs/measurements/rivals.md; vectors are kept between runs, so that a broken one goes on where it stopped.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beige.evaluate.cache import Cache
from beige.evaluate.data import Retrieval, read_retrieval
from beige.evaluate.run import Settings
from beige.evaluate.study import cache_file, study
from beige.evaluate.systems import parse_all
from beige.evaluate.tasks import part, pool
from bench.machine import circumstances
from bench.report import FOLDER, Target, described, table, targets, write
from bench.texts import DATA

MEASURE = "nDCG@10"
ENGLISH = (
    "bm25",
    "bge-small-en-v1.5",
    "bge-small-en-v1.5,instruction=none",
    "bge-small-en-v1.5+bm25",
    "e5-small-v2",
    "e5-small-v2+bm25",
    "all-MiniLM-L6-v2",
    "all-MiniLM-L6-v2+bm25",
)
CHINESE = ("bm25", "bge-small-zh-v1.5", "bge-small-zh-v1.5,instruction=none", "bge-small-zh-v1.5+bm25")
CROSS = tuple(system for system in ENGLISH if "bm25" not in system)  # two languages share no words


@dataclass(frozen=True)
class Task:
    """A data set, and the systems that are measured on it.

    Attributes:
        data: the folder of the queries.
        systems: by their spelling.
        split: of the judgements.
        documents: the folders whose documents are pooled; empty for the queries' own.
    """

    data: str
    systems: tuple[str, ...] = ENGLISH
    split: str = "test"
    documents: tuple[str, ...] = ()


TASKS = (
    Task("scifact"),
    Task("cranfield", split="test_without_minus1"),
    Task("xquad_r-en"),
    Task("xquad_r-de", CROSS, documents=("xquad_r-en",)),
    Task("xquad_r-en", CROSS, documents=tuple(f"xquad_r-{language}" for language in ("ar", "de", "en", "es", "zh"))),
    Task("cmrc2018-dev", CHINESE),
)

INTRODUCTION = f"""\
{MEASURE} with its 95 % interval over the queries, whole documents, all figures by `beige evaluate`. Bold: the best of
each set, and what the data cannot tell from it (paired randomisation test after Holm's correction). A star: the model's
card lists the data among its training data. `+bm25` is the hybrid as a search fuses it, untuned. BM25 is left out where
queries and documents have no language in common."""

WANTED = {
    ("scifact/test", "bge-small-en-v1.5"): (0.71275, 0.002),
    ("scifact/test", "all-MiniLM-L6-v2"): (0.6451, 0.002),
}
"""Published figures by data set and system, and how near they should be reproduced."""


def records(data: Path, settings: Settings, quick: bool) -> Iterator[dict[str, Any]]:
    """The record of each task; a quick run takes few queries and documents."""
    for task in TASKS:
        whole = read(data, task)
        some = part(whole, 20, 100) if quick else whole
        yield study(some, parse_all(task.systems), (MEASURE, "R@100"), settings)


def read(data: Path, task: Task) -> Retrieval:
    """The task's queries and documents."""
    own = read_retrieval(data / "retrieval" / task.data, task.split)
    others = [read_retrieval(data / "retrieval" / name, task.split) for name in task.documents]
    return pool(own, others) if others else own


def aims(records: list[dict[str, Any]]) -> list[Target]:
    """Published figures beside ours."""
    found = {
        (record["data"]["name"], name): system["measures"][MEASURE]
        for record in records
        for name, system in record["systems"].items()
    }
    return [
        Target(f"{data}, {system}: {MEASURE}", found[data, system], figure - near, figure + near, digits=4)
        for (data, system), (figure, near) in WANTED.items()
        if (data, system) in found
    ]


def render(around: Mapping[str, Any], records: list[dict[str, Any]]) -> str:
    """The page."""
    parts = [
        "# Models beside each other",
        INTRODUCTION,
        targets(aims(records)),
    ]
    for record in records:
        data = record["data"]
        parts += [
            f"## {data['name']}",
            f"{data['queries']:,} queries, {data['documents']:,} documents; fingerprint {data['fingerprint']}.",
            table(("system", MEASURE, "95 %", "R@100"), _rows(record)),
            "\n".join(f"- {remark}" for remark in _remarks(record)),
        ]
    return "\n\n".join(part for part in (*parts, "## How", described(around)) if part)


def _rows(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    systems = record["systems"]
    best = max(systems, key=lambda name: systems[name]["measures"][MEASURE])
    worse = {
        name
        for row in record["comparisons"]
        if row["significant"] and row["measure"] == MEASURE and best in (row["first"], row["second"])
        for name in (row["first"], row["second"])
    } - {best}
    for name, system in systems.items():
        figure = f"{system['measures'][MEASURE]:.4f}"
        low, high = system["intervals"][MEASURE]
        yield (
            name + (" *" if system["contaminated"] else ""),
            figure if name in worse else f"**{figure}**",
            f"{low:.3f} to {high:.3f}",
            f"{system['measures']['R@100']:.3f}",
        )


def _remarks(record: Mapping[str, Any]) -> list[str]:
    return [
        *record["data"]["remarks"],
        *(f"{name}: {remark}" for name, system in record["systems"].items() for remark in system["remarks"]),
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--quick", action="store_true", help="few queries and documents, to see that it runs")
    options = parser.parse_args()
    around = circumstances()
    found = []
    with Cache(cache_file()) as cache:
        for record in records(options.data, Settings(cache), options.quick):
            found.append(record)
            print(record["data"]["name"], {name: s["measures"] for name, s in record["systems"].items()}, flush=True)
    page = render(around, found)
    print(page)
    write("rivals", page, {"circumstances": around, "records": found}, options.output)


if __name__ == "__main__":
    main()
