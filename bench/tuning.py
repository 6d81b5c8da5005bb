"""Whether tuning holds on queries that it never saw: `python -m bench.tuning`, to docs/measurements/tuning.md.

An index of SciFact is tuned on the train queries with `beige tune`, and searched for the test queries before and after.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from beige.cli.tune import spelled
from beige.evaluate.measures import Measure, by_query
from beige.evaluate.own import of_index
from beige.evaluate.significance import bootstrap, randomisation
from beige.index import Index
from beige.search import Searcher
from bench.machine import circumstances
from bench.report import FOLDER, Target, described, judged, targets, write
from bench.texts import DATA

BEIGE = Path(sys.executable).with_name("beige")
NDCG = Measure("nDCG", 10)


def searched(index: Path, data: Path) -> dict[str, float]:
    """nDCG@10 of each test query, as the index is searched; a document counts by its best chunk."""
    with Index.open(index) as opened, Searcher(opened) as searcher:
        task = of_index(opened, data / "queries.jsonl", data / "qrels" / "test.tsv")
        run = {}
        for key, query in task.queries.items():
            sources = dict.fromkeys(hit.source for hit in searcher.search(query, 100))
            run[key] = {source: -float(place) for place, source in enumerate(sources)}
    return by_query(task.judgements, run, [NDCG])[NDCG]


def tuned(index: Path, data: Path) -> Any:
    """What `beige tune` says of the train queries."""
    files: list[str | Path] = ["--queries", data / "queries.jsonl", "--qrels", data / "qrels" / "train.tsv"]
    done = subprocess.run(
        [BEIGE, "tune", *files, "--index", index, "--json"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    around, data = circumstances(), options.data / "retrieval" / "scifact"
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        subprocess.run([BEIGE, "index", data / "corpus.jsonl", "--index", index], check=True)
        before = searched(index, data)
        said = tuned(index, data)
        after = searched(index, data)
        with Index.open(index) as opened:
            choice = opened.manifest.choice
    gain = np.array([after[key] - before[key] for key in before])
    interval, p = bootstrap(gain[None])[0], randomisation(gain[None])[0]
    figures = [Target("gain in nDCG@10 on the test queries", float(gain.mean()), low=0.001, digits=4)]
    page = "\n\n".join(
        (
            "# Tuning",
            described(around),
            "## Target",
            targets(figures),
            "## Figures",
            f"SciFact through an index. On its {said['queries']} train queries `beige tune` says: nDCG@10 "
            f"{said['before']:.4f} as it is searched without tuning, {said['after']:.4f} tuned and held out, gain with "
            f"95 % confidence from {said['interval']['low']:+.4f} to {said['interval']['high']:+.4f}, p = "
            f"{said['p']:.3f}; {'written into the index' if choice else 'not certain enough, nothing was changed'}.",
            f"Chosen: {spelled(choice) if choice else 'nothing'}.",
            f"On the {len(gain)} test queries, which had no part in it: {np.mean(list(before.values())):.4f} before, "
            f"{np.mean(list(after.values())):.4f} after, gain {gain.mean():+.4f}, with 95 % confidence from "
            f"{interval.low:+.4f} to {interval.high:+.4f}, p = {p:.3f}.",
        )
    )
    print(page)
    values = {
        "circumstances": around,
        "train": said,
        "test": {"before": before, "after": after},
        "targets": judged(figures),
    }
    write("tuning", page, values, options.output)


if __name__ == "__main__":
    main()
