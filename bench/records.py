"""Runs of `beige evaluate` that are kept in docs: the data, the vectors of a run that was cut, the tables."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import beige
from beige.environment import home
from beige.evaluate.cache import Cache
from beige.evaluate.data import Retrieval, read_retrieval
from beige.evaluate.report.findings import ordered
from beige.evaluate.run import Settings
from beige.evaluate.tasks import pool
from bench.machine import circumstances
from bench.report import FOLDER
from bench.texts import DATA

MEASURE, RECALL = "nDCG@10", "R@100"


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
    systems: tuple[str, ...]
    split: str = "test"
    documents: tuple[str, ...] = ()

    def read(self, data: Path) -> Retrieval:
        """The queries and documents, below the data sets' folder."""
        own = read_retrieval(data / "retrieval" / self.data, self.split)
        others = [read_retrieval(data / "retrieval" / name, self.split) for name in self.documents]
        return pool(own, others) if others else own


def workplace() -> Path:
    """Where a run keeps its vectors, so that one that was cut goes on; where other code makes them, another place."""
    root = Path(beige.__file__).parent
    digest = blake2b(digest_size=8)
    for file in sorted((*root.glob("engines/*.py"), *root.glob("models/*.py"), root / "embedder.py")):
        digest.update(file.read_bytes())
    return home() / "evaluations" / f"bench-{digest.hexdigest()}"


def kept() -> Cache:
    """The vectors of an earlier run of the same code."""
    return Cache(workplace() / "cache.sqlite")


def gathered(
    description: str | None, records: Callable[[Path, Settings, bool], Iterable[dict[str, Any]]]
) -> tuple[dict[str, Any], list[dict[str, Any]], Path]:
    """What a program that measures records was asked for on its command line: circumstances, records, output folder.

    Args:
        description: the program's.
        records: makes them from the data sets' folder; the last argument asks for few queries and documents.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--quick", action="store_true", help="few queries and documents, to see that it runs")
    options = parser.parse_args()
    around = circumstances()
    with kept() as cache:
        return around, list(records(options.data, Settings(cache, tell=told), options.quick)), options.output


def told(doing: str, done: int, total: int) -> None:
    """Progress in lines, for a log."""
    if done == total:
        print(f"{doing}: {total}", file=sys.stderr, flush=True)


def best(record: Mapping[str, Any]) -> set[str]:
    """The system that is ahead by its first measure, and those that the data cannot tell from it."""
    ahead, *others = ordered(record)
    measure = next(iter(record["systems"][ahead]["measures"]))
    worse = {
        name
        for row in record["comparisons"]
        if row["significant"] and row["measure"] == measure and ahead in (row["first"], row["second"])
        for name in (row["first"], row["second"])
    }
    return {ahead, *(name for name in others if name not in worse)}


def rows(record: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A table's rows: system, first measure (the best bold), its interval, the other measures."""
    bold = best(record)
    for name, system in record["systems"].items():
        (measure, figure), *others = system["measures"].items()
        low, high = system["intervals"][measure]
        yield (
            name + (" *" if system["contaminated"] else ""),
            f"**{figure:.4f}**" if name in bold else f"{figure:.4f}",
            f"{low:.3f} to {high:.3f}",
            *(f"{other:.3f}" for _, other in others),
        )


def difference(record: Mapping[str, Any], first: str, second: str) -> tuple[float, float, float]:
    """How far the first system is ahead of the second by the first measure, and the interval's bounds."""
    for row in record["comparisons"]:
        if {row["first"], row["second"]} == {first, second}:
            low, high = row["interval"]
            return (row["difference"], low, high) if row["first"] == first else (-row["difference"], -high, -low)
    raise KeyError(f"{first} and {second} were not compared")


def size(record: Mapping[str, Any]) -> str:
    """How large the data is, and which it is."""
    data = record["data"]
    return f"{data['queries']:,} queries, {data['documents']:,} documents; fingerprint {data['fingerprint']}."
