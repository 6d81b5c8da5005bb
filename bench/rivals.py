"""What a newcomer asks: which model, with or without BM25, on which data. `python -m bench.rivals`.

Written to docs/measurements/rivals.md; vectors are kept between runs, so that a broken one goes on where it stopped.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from beige.evaluate.run import Settings
from beige.evaluate.study import study
from beige.evaluate.systems import parse_all
from beige.evaluate.tasks import part
from bench.records import MEASURE, RECALL, Task, gathered, rows, size
from bench.report import described, table, write

ENGLISH = (
    "bm25",
    "bge-small-en-v1.5",
    "bge-small-en-v1.5,instruction=none",
    "bge-small-en-v1.5+bm25",
    "bge-small-en-v1.5+bm25,instruction=none",
    "e5-small-v2",
    "e5-small-v2+bm25",
    "all-MiniLM-L6-v2",
    "all-MiniLM-L6-v2+bm25",
)
CHINESE = (
    "bm25",
    "bge-small-zh-v1.5",
    "bge-small-zh-v1.5,instruction=none",
    "bge-small-zh-v1.5+bm25",
    "bge-small-zh-v1.5+bm25,instruction=none",
)
TASKS = (
    Task("scifact", ENGLISH),
    Task("cranfield", ENGLISH, split="test_without_minus1"),
    Task("xquad_r-en", ENGLISH),
    Task("xquad_r-de", ENGLISH, documents=("xquad_r-en",)),
    Task("xquad_r-en", ENGLISH, documents=tuple(f"xquad_r-{language}" for language in ("ar", "de", "en", "es", "zh"))),
    Task("cmrc2018-dev", CHINESE),
)

INTRODUCTION = f"""\
{MEASURE} with its 95 % interval over the queries, whole documents, all figures by `beige evaluate`. Bold: the best of
each set, and what the data cannot tell from it (paired randomisation test after Holm's correction). A star: the model's
card lists the data among its training data. `+bm25` is the hybrid as a search fuses it, untuned; `instruction=none` is
the model without what it puts before a query. The models are English, or Chinese where the data is: across languages
they show what one may expect of such a model, not what a multilingual one can do."""


def records(data: Path, settings: Settings, quick: bool) -> Iterator[dict[str, Any]]:
    """The record of each task; a quick run takes few queries and documents."""
    for task in TASKS:
        whole = task.read(data)
        some = part(whole, 20, 100) if quick else whole
        yield study(some, parse_all(task.systems), (MEASURE, RECALL), settings)


def render(around: Mapping[str, Any], records: list[dict[str, Any]]) -> str:
    """The page."""
    parts = ["# Models beside each other", INTRODUCTION]
    for record in records:
        parts += [
            f"## {record['data']['name']}",
            size(record),
            table(("system", MEASURE, "95 %", RECALL), rows(record)),
            "\n".join(f"- {remark}" for remark in _remarks(record)),
        ]
    return "\n\n".join(part for part in (*parts, "## How", described(around)) if part)


def _remarks(record: Mapping[str, Any]) -> list[str]:
    return [
        *record["data"]["remarks"],
        *(f"{name}: {remark}" for name, system in record["systems"].items() for remark in system["remarks"]),
    ]


def main() -> None:
    """Measure, print and write."""
    around, found, output = gathered(__doc__, records)
    page = render(around, found)
    print(page)
    write("rivals", page, {"circumstances": around, "records": found}, output)


if __name__ == "__main__":
    main()
