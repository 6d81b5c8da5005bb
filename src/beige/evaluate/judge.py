"""Judgements by a person: the best of several systems, pooled without saying whose they are, graded one by one.

Pooling as in TREC (Spärck Jones and van Rijsbergen 1975); who judges sees neither system nor rank, and the order within
a query is drawn anew from the systems in turn, so that no system gains by coming first.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from beige.errors import InputError
from beige.evaluate.data import Record, Retrieval
from beige.evaluate.measures import Run, rank

DEPTH = 10

KEYS: Mapping[str, int | None] = {"y": 1, "n": 0, **{str(grade): grade for grade in range(10)}, "s": None}
"""What may be answered: yes, no, a grade, or s to leave the document unjudged."""

BACK, QUIT = "u", "q"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the judge.

    Attributes:
        number: of this question, from 1.
        total: how many there are.
        query: the query's text.
        record: the document.
    """

    number: int
    total: int
    query: str
    record: Record


def pooled(runs: Sequence[Run], query: str, depth: int, chance: random.Random) -> list[str]:
    """The best documents of all systems: the next one of each in turn, the systems' order drawn anew each time."""
    ranked = [rank(run.get(query, {}))[:depth] for run in runs]
    pool: dict[str, None] = {}
    for place in range(depth):
        row = [documents[place] for documents in ranked if place < len(documents)]
        chance.shuffle(row)
        pool.update(dict.fromkeys(row))
    return list(pool)


def judge(
    data: Retrieval,
    runs: Sequence[Run],
    path: Path,
    ask: Callable[[Question], str],
    *,
    depth: int = DEPTH,
    seed: int = 0,
) -> int:
    """Ask for every pooled document that is not judged yet, and write each answer at once.

    Args:
        data: with the judgements that there are.
        runs: of the systems.
        path: of the judgements' file, which is made where there is none.
        ask: shows a question and gives a key of `KEYS`, `BACK` or `QUIT`; anything else is asked again.
        depth: how many of each system's best are pooled.
        seed: of the order.

    Returns:
        How many judgements were added.

    Raises:
        InputError: the file cannot be written.
    """
    chance = random.Random(seed)
    waiting = [
        (query, document)
        for query in data.queries
        for document in pooled(runs, query, depth, chance)
        if document not in data.judgements.get(query, {})
    ]
    given: dict[int, int] = {}
    place = 0
    while place < len(waiting):
        query, document = waiting[place]
        key = ask(Question(place + 1, len(waiting), data.queries[query], data.documents[document])).strip().lower()
        if key == QUIT:
            break
        if key == BACK:
            place = max(0, place - 1)
            given.pop(place, None)
        elif key in KEYS:
            grade = KEYS[key]
            given.pop(place, None)
            if grade is not None:
                given[place] = grade
            place += 1
        else:
            continue
        _write(path, data, [(*waiting[number], grade) for number, grade in sorted(given.items())])
    return len(given)


def _write(path: Path, data: Retrieval, added: Sequence[tuple[str, str, int]]) -> None:
    """The judgements that there were and those that were added, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_text("".join(_rows(data, added)), "utf-8")
        new.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def _rows(data: Retrieval, added: Sequence[tuple[str, str, int]]) -> Iterator[str]:
    yield "query-id\tcorpus-id\tscore\n"
    for query, grades in data.judgements.items():
        for document, grade in grades.items():
            yield f"{query}\t{document}\t{grade}\n"
    for query, document, grade in added:
        yield f"{query}\t{document}\t{grade}\n"
