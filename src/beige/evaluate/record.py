"""A run's record: everything that was measured, as one JSON document, and each system's answers query by query.

The record is what `--json` prints and what the pages are made of; a run's folder holds both.
"""

import itertools
import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beige.errors import InputError
from beige.evaluate.contamination import contamination
from beige.evaluate.data import Pairs, Retrieval
from beige.evaluate.machine import machine
from beige.evaluate.prices import Prices
from beige.evaluate.run import Result
from beige.evaluate.significance import Comparison
from beige.evaluate.tasks import fingerprint

RECORD = "report.json"
QUERIES = "queries"

SHOWN = 10
"""Documents of each query's ranking that are kept with their texts."""

_EXCERPT = 400  # characters


@dataclass(frozen=True)
class Answered:
    """What one system did with one query.

    Attributes:
        query: its id; of pairs, the place from 0.
        text: the query, or both sentences.
        figures: by measure.
        hits: the best documents: id, grade (None where nobody judged), beginning of the text.
        relevant: the relevant documents, likewise, with the rank that they were found at; None where they were not.
    """

    query: str
    text: str
    figures: Mapping[str, float]
    hits: tuple[Mapping[str, Any], ...]
    relevant: tuple[Mapping[str, Any], ...]


def record(
    data: Retrieval | Pairs, results: Sequence[Result], comparisons: Iterable[Comparison], prices: Prices
) -> dict[str, Any]:
    """The document: `{"data", "systems": {NAME: {"measures", "cost", …}}, "comparisons": […], …}`."""
    return {
        "data": _data(data),
        "systems": {result.system.name: _system(result, data) for result in results},
        "comparisons": [row_of(comparison) for comparison in comparisons],
        **circumstances(prices),
    }


def circumstances(prices: Prices) -> dict[str, Any]:
    """What a record says of how it was made."""
    from beige import __version__

    return {
        "command": shlex.join(["beige", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "beige": __version__,
        "python": sys.version.partition(" ")[0],
        "machine": machine(),
        "prices": prices.date,
    }


def answered(result: Result, data: Retrieval | Pairs) -> Iterable[Answered]:
    """Query by query, what a system did."""
    measures = list(result.figures)
    for query in result.figures[measures[0]]:
        figures = {measure: result.figures[measure][query] for measure in measures}
        if isinstance(data, Pairs):
            place = int(query)
            yield Answered(query, f"{data.first[place]} | {data.second[place]}", figures, (), ())
            continue
        grades = data.judgements[query]
        ranked = list(result.ranked[query])
        ranks = {document: rank for rank, document in enumerate(ranked, 1)}
        yield Answered(
            query,
            data.queries[query],
            figures,
            tuple(
                {"document": document, "grade": grades.get(document), "text": _excerpt(data, document)}
                for document in ranked[:SHOWN]
            ),
            tuple(
                {"document": document, "grade": grade, "text": _excerpt(data, document), "rank": ranks.get(document)}
                for document, grade in grades.items()
                if grade > 0
            ),
        )


def save(folder: Path, document: Mapping[str, Any], answers: Mapping[str, Iterable[Answered]]) -> None:
    """Write the record and every system's answers into a folder, made where there is none.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        (folder / QUERIES).mkdir(parents=True, exist_ok=True)
        for system, rows in answers.items():
            lines = (json.dumps(asdict(row), ensure_ascii=False) for row in rows)
            _write(_path(folder, system), "".join(line + "\n" for line in lines))
        _write(folder / RECORD, json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error


def load(folder: Path) -> dict[str, Any]:
    """The record of a run's folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    try:
        document = json.loads((folder / RECORD).read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no run: make one with beige evaluate DATA --output {folder}") from error
    except ValueError as error:
        raise InputError(f"{folder / RECORD} is damaged: make the run again") from error
    if not isinstance(document, dict):
        raise InputError(f"{folder / RECORD} is damaged: make the run again")
    return document


def load_answers(folder: Path, system: str) -> dict[str, Answered]:
    """A system's answers by query.

    Raises:
        InputError: the run has no such system.
    """
    known = load(folder)["systems"]
    if system not in known:
        raise InputError(f"the run in {folder} has no system {system!r}; it has {', '.join(known)}")
    try:
        lines = _path(folder, system).read_text("utf-8", errors="surrogatepass").split("\n")
    except FileNotFoundError as error:
        raise InputError(f"the run in {folder} keeps no answers by query: mteb's tasks give none") from error
    rows = [json.loads(line) for line in lines if line]
    return {
        row["query"]: Answered(**{**row, "hits": tuple(row["hits"]), "relevant": tuple(row["relevant"])})
        for row in rows
    }


def slug(name: str) -> str:
    """A file's name made of any other name."""
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", name).strip("-.") or "unnamed"


def _path(folder: Path, system: str) -> Path:
    from hashlib import blake2b

    # Two systems may be spelled alike but for a character that no file's name may have.
    return folder / QUERIES / f"{slug(system)[:80]}-{blake2b(system.encode(), digest_size=4).hexdigest()}.jsonl"


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, "utf-8", errors="surrogatepass")
    new.replace(path)


def _data(data: Retrieval | Pairs) -> dict[str, Any]:
    if isinstance(data, Pairs):
        return {"name": data.name, "kind": "pairs", "fingerprint": fingerprint(data), "pairs": len(data), "remarks": []}
    return {
        "name": data.name,
        "kind": "retrieval",
        "fingerprint": fingerprint(data),
        "documents": len(data.documents),
        "queries": len(data.queries),
        "judgements": sum(map(len, data.judgements.values())),
        "remarks": list(data.remarks),
    }


def _system(result: Result, data: Retrieval | Pairs) -> dict[str, Any]:
    marks = contamination(result.system, data.name)
    return {
        "measures": {measure: result.mean(measure) for measure in result.figures},
        "intervals": {measure: [interval.low, interval.high] for measure, interval in result.intervals.items()},
        "spread": {measure: _spread(list(figures.values())) for measure, figures in result.figures.items()},
        "cost": asdict(result.cost),
        "remarks": [*marks, *result.remarks],
        "contaminated": bool(marks),
    }


SPREAD = (0.0, 0.25, 0.5, 0.75, 1.0)


def _spread(figures: Sequence[float]) -> list[int]:
    """How many queries score 0, up to each quarter, and the full 1: six counts."""
    inner = [sum(low < figure <= high and figure < 1 for figure in figures) for low, high in itertools.pairwise(SPREAD)]
    return [sum(figure <= 0 for figure in figures), *inner, sum(figure >= 1 for figure in figures)]


def row_of(comparison: Comparison) -> dict[str, Any]:
    """A comparison as a record holds it."""
    row = asdict(comparison)
    row["interval"] = [comparison.interval.low, comparison.interval.high]
    return row | {"significant": comparison.significant}


def _excerpt(data: Retrieval, document: str) -> str:
    """The beginning of a document's text, or of a source's first passage."""
    record = data.documents.get(document)
    if record is None:
        key = next((key for key, source in data.sources.items() if source == document), None)
        record = None if key is None else data.documents[key]
    return "" if record is None else record.whole[:_EXCERPT]
