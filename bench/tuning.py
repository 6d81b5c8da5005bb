"""Whether tuning holds on queries that it never saw: `python -m bench.tuning`, to docs/measurements/tuning.md.

An index of SciFact is tuned on the train queries with `beige tune`, and searched for the test queries before and after.
On every set, half of the queries tune and the other half tell whether they did right; and the signs of gains are turned
around by chance, so that nothing can be gained, and what is written is written by mistake.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beige.cli.tune import spelled
from beige.evaluate.measures import Measure, by_query
from beige.evaluate.own import of_index
from beige.evaluate.significance import bootstrap, randomisation
from beige.evaluate.tuning import Trial, listen
from beige.evaluate.validation import Gains, gathered, held_out, topics
from beige.index import Index
from beige.index.manifest import Choice
from beige.search import Searcher
from bench.machine import circumstances
from bench.report import FOLDER, Target, described, judged, table, targets, write
from bench.texts import DATA

BEIGE = Path(sys.executable).with_name("beige")
NDCG = Measure("nDCG", 10)
FEEDBACK = 0.3
QUERIES = 1000
"""The most queries of a set: of more, every second, third, ... is taken."""

HALVINGS = 20
WORLDS = 200


@dataclass(frozen=True)
class Set:
    """A data set that is tuned on: its folder, its judgements' file, and the model of its index."""

    name: str
    split: str = "test"
    model: str = "bge-small-en-v1.5"


SETS = (
    Set("scifact", "train"),
    Set("cranfield", "test_without_minus1"),
    Set("xquad_r-en"),
    Set("xquad_r-de"),
    Set("cmrc2018-dev", model="bge-small-zh-v1.5"),
)


@dataclass(eq=False)
class Turned(Trial):
    """A trial in which each group's gains are multiplied by 1 or -1, the same for all ways."""

    signs: NDArray[np.int8] | int = field(default=1, kw_only=True)

    def gains(self, way: Choice) -> Gains:
        """See `Trial.gains`."""
        return super().gains(way) * self.signs


def searched(index: Path, data: Path) -> tuple[Gains, NDArray[np.int64]]:
    """nDCG@10 of each test query, as the index is searched, by its best chunk of each document; and its group."""
    with Index.open(index) as opened, Searcher(opened) as searcher:
        task = of_index(opened, data / "queries.jsonl", data / "qrels" / "test.tsv")
        run = {}
        for key, query in task.queries.items():
            sources = dict.fromkeys(hit.source for hit in searcher.search(query, 100))
            run[key] = {source: -float(place) for place, source in enumerate(sources)}
    found = by_query(task.judgements, run, [NDCG])[NDCG]
    return np.array([found[key] for key in task.judgements]), topics(task.judgements)


def tuned(index: Path, data: Path) -> Any:
    """What `beige tune` says of the train queries."""
    files: list[str | Path] = ["--queries", data / "queries.jsonl", "--qrels", data / "qrels" / "train.tsv"]
    done = subprocess.run(
        [BEIGE, "tune", *files, "--index", index, "--json"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def trial(index: Index, data: Path, split: str) -> Turned:
    """What ways of searching give on a set's queries; what is said of documents without a text is left out."""
    known = {passage.source.rpartition("#")[2] for passage in index.store.scan()}
    head, *lines = (data / "qrels" / f"{split}.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    queries = list(dict.fromkeys(row[0] for row in rows))
    some = set(queries[:: -(-len(queries) // QUERIES)])
    kept = ["\t".join(row) for row in rows if row[0] in some and row[1] in known]
    qrels = Path(index.path).with_suffix(".tsv")
    qrels.write_text("\n".join([head, *kept]) + "\n")
    task = of_index(index, data / "queries.jsonl", qrels)
    today = Choice(legs=tuple(leg.name for leg in index.manifest.legs))
    return Turned(index, task, listen(index, task), NDCG, today)


def tries(trial: Turned, some: NDArray[np.int64]) -> tuple[Choice, Gains, bool]:
    """What is chosen by some groups (m,), what it gains held out, (m,), and whether it is written."""
    whole = len(trial.gains(trial.today))

    def among(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        wide = np.zeros(whole, bool)
        wide[some[mask]] = True
        return wide

    held = held_out(lambda mask: trial.gains(trial.surest(among(mask)))[some], len(some))
    choice = trial.surest(among(np.ones(len(some), bool)))
    sure = held.mean() > 0 and bootstrap(held[None])[0].low > 0
    return choice, held, bool(sure and choice != trial.today)


def halves(trial: Turned) -> Iterator[float | None]:
    """What each half of the groups gains by what the other chose, None where nothing was written."""
    count = len(trial.gains(trial.today))
    for seed in range(HALVINGS):
        order = np.random.default_rng(seed).permutation(count)
        choice, _, written = tries(trial, order[: count // 2])
        yield float(trial.gains(choice)[order[count // 2 :]].mean()) if written else None


def mistakes(trial: Turned) -> float:
    """The share of worlds in which something is written, though what is a gain and what a loss is by chance."""
    count = len(trial.gains(trial.today))
    written = 0
    for seed in range(WORLDS):
        trial.signs = 2 * np.random.default_rng(seed).integers(2, size=count, dtype=np.int8) - 1
        written += tries(trial, np.arange(count))[2]
    trial.signs = 1
    return written / WORLDS


def measured(one: Set, data: Path, folder: Path) -> dict[str, Any]:
    """What tuning does on one set."""
    place = folder / one.name
    if not place.exists():
        indexed(one, data, place)
    with Index.open(place) as index:
        asked = trial(index, data / one.name, one.split)
        count = len(asked.gains(asked.today))
        choice, held, written = tries(asked, np.arange(count))
        feedback = asked.gains(replace(asked.today, feedback=FEEDBACK))
        return {
            "set": f"{one.name}/{one.split}",
            "queries": len(asked.heard),
            "groups": count,
            "today": float(asked.figures(asked.today).mean()),
            "feedback": spread(feedback),
            "held_out": spread(held),
            "choice": spelled(choice),
            "written": written,
            "halves": list(halves(asked)),
            "mistakes": mistakes(asked),
        }


def indexed(one: Set, data: Path, place: Path) -> None:
    """Make the index of a set."""
    corpus = data / one.name / "corpus.jsonl"
    subprocess.run([BEIGE, "index", corpus, "--index", place, "--model", one.model], check=True)


def spread(gains: Gains) -> tuple[float, float, float]:
    """The mean, and where it lies with 95 % confidence."""
    interval = bootstrap(gains[None])[0]
    return float(gains.mean()), interval.low, interval.high


def _spelled(gain: Sequence[float]) -> str:
    return "{:+.4f} ({:+.4f} to {:+.4f})".format(*gain)


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    wrote = [gain for gain in one["halves"] if gain is not None]
    return (
        one["set"],
        f"{one['queries']} ({one['groups']})",
        f"{one['today']:.4f}",
        _spelled(one["feedback"]),
        _spelled(one["held_out"]),
        one["choice"] if one["written"] else "nothing",
        f"{len(wrote)} of {HALVINGS}",
        f"{np.mean(wrote):+.4f}, {min(wrote):+.4f}" if wrote else "",
        f"{100 * one['mistakes']:.1f} %",
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--keep", type=Path, help="a folder for the indexes, in which a run that broke finds them")
    options = parser.parse_args()
    around, data = circumstances(), options.data / "retrieval"
    with tempfile.TemporaryDirectory() as folder:
        place = options.keep or Path(folder)
        found = [measured(one, data, place) for one in SETS]
        index = Path(folder) / "tuned"
        shutil.copytree(place / "scifact", index)
        before, groups = searched(index, data / "scifact")
        said = tuned(index, data / "scifact")
        after, _ = searched(index, data / "scifact")
        with Index.open(index) as opened:
            choice = opened.manifest.choice
    gain = gathered(after - before, groups)
    mean, low, high = spread(gain)
    figures = [
        Target("gain in nDCG@10 on the test queries", mean, low=0.001, digits=4),
        *(
            Target(f"written where nothing is to be gained, {one['set']}", one["mistakes"], high=0.05, digits=3)
            for one in found
        ),
    ]
    page = "\n\n".join(
        (
            "# Tuning",
            described(around),
            "## Targets",
            targets(figures),
            "## SciFact",
            f"An index of SciFact. On its {said['queries']} train queries `beige tune` says: nDCG@10 "
            f"{said['before']:.4f} as it is searched without tuning, {said['after']:.4f} tuned and held out, gain with "
            f"95 % confidence from {said['interval']['low']:+.4f} to {said['interval']['high']:+.4f}, p = "
            f"{said['p']:.3f}; {'written into the index' if choice else 'not certain enough, nothing was changed'}.",
            f"Chosen: {spelled(choice) if choice else 'nothing'}.",
            f"On the {len(before)} test queries, which had no part in it: {before.mean():.4f} before, "
            f"{after.mean():.4f} after, gain {mean:+.4f}, with 95 % confidence from {low:+.4f} to "
            f"{high:+.4f}, p = {randomisation(gain[None])[0]:.3f}.",
            "## All sets",
            "Each set through an index of its own; intervals of 95 %, in which queries about one document count "
            f"together (in brackets: how many such groups there are). *Feedback* is {FEEDBACK} beside the usual "
            "weights. *Held out* is the gain that `beige tune` tells, *chosen* what it writes. *Halves*: how often "
            "something is written where half of the groups, drawn by chance, is tuned on, and what it then gains on "
            f"the other half, on average and at the least. *Mistakes*: how often something is written in {WORLDS} "
            "worlds in which each group's gains have their signs turned around by the toss of a coin, the same coin "
            "for all ways, so that no way is better than today's.",
            table(
                ("data", "queries", "today", "feedback", "held out", "chosen", "halves", "their gain", "mistakes"),
                [_row(one) for one in found],
            ),
        )
    )
    print(page)
    values = {
        "circumstances": around,
        "train": said,
        "test": {"before": before.tolist(), "after": after.tolist()},
        "sets": found,
        "targets": judged(figures),
    }
    write("tuning", page, values, options.output)


if __name__ == "__main__":
    main()
