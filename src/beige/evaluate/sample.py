"""A first set of queries, drawn from an index, for those who have no judgements yet.

A candidate is a heading, a question, or what a definition defines, found in a passage and then held out of it, so that
the passage is not found by its own words (the inverse cloze task of Lee, Chang and Toutanova 2019,
https://arxiv.org/abs/1906.00300). Such a set ranks systems; it says nothing of how good one is.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from beige.errors import InputError, UsageError
from beige.evaluate.data import REMARKS, Record, Retrieval
from beige.index.store import Passage

SPLIT = "sampled"
CAVEAT = (
    "queries were drawn from the documents themselves: such a set ranks systems, it does not measure how good one is"
)

_WORDS = (3, 24)  # the fewest and the most of a query that spaces its words
_CHARACTERS = (6, 160)  # of any query
_LINE = 2000  # characters of a line that are looked at
_LEFT = 80  # characters that a passage must have without what is held out

_DEFINITION = re.compile(
    r"^(?:An? |The )?(?P<term>\w[\w-]*(?: [\w-]+){0,4}) (?:is|are) (?:an?|the|one of|any|every)\b|"
    r"^(?P<han>[\u4e00-\u9fff\w·-]{2,16})(?:是指|是一种|是一個|是一个)"
)
_BORING = re.compile(r"(?i)^(this|that|these|those|it|he|she|they|there|here|which|what|who|we|you|i|one)\b")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A query and the passage that answers it.

    Attributes:
        kind: "heading", "question", "definition" or "written".
        query: what is asked.
        passage: id of the document.
        record: the passage without what became the query.
    """

    kind: str
    query: str
    passage: str
    record: Record


Write = Callable[[str], str]
"""Writes a question that a passage answers, as a language model does."""


def sample(passages: Iterable[Passage], number: int, write: Write | None = None, seed: int = 0) -> Retrieval:
    """A retrieval task from an index's passages.

    Args:
        passages: all of them; those that give a query are in the task without it, the others as they are.
        number: the most queries; one a passage, and as many of each kind as there are.
        write: writes further queries where the texts give too few; None for none. What it gets stays whole.
        seed: of the choice.

    Raises:
        UsageError: a number below 1.
        InputError: no passage gives a query.
    """
    if number < 1:
        raise UsageError(f"a sample needs at least one query, not {number}")
    stored = {f"{passage.source}#{passage.position}": passage for passage in passages}
    chance = random.Random(seed)
    headings = Counter(heading for passage in stored.values() for heading in set(passage.locator.headings))
    found = [
        candidate
        for key, passage in stored.items()
        for candidate in candidates(key, passage)
        # A heading that other passages keep in their path would be found there, and not in this one.
        if candidate.kind != "heading" or headings[candidate.query] == 1
    ]
    chosen = _drawn(found, number, chance)
    if write is not None:
        chosen += _written(stored, {candidate.passage for candidate in chosen}, number - len(chosen), write, chance)
    if not chosen:
        raise InputError(
            "no passage of the index has a heading, a question or a definition that could be a query: "
            "write some queries yourself and judge them, or name a language model with --llm"
        )
    documents = {key: _record(passage) for key, passage in stored.items()}
    documents |= {candidate.passage: candidate.record for candidate in chosen}
    queries = {f"{number}-{candidate.kind}": candidate for number, candidate in enumerate(chosen, 1)}
    return Retrieval(
        name=SPLIT,
        documents=documents,
        queries={key: candidate.query for key, candidate in queries.items()},
        judgements={key: {candidate.passage: 1} for key, candidate in queries.items()},
        remarks=(CAVEAT,),
    )


def candidates(key: str, passage: Passage) -> Iterator[Candidate]:
    """Every query that a passage gives."""
    record = _record(passage)
    headings = passage.locator.headings
    if headings and _fits(headings[-1]):
        body = "\n".join(line for line in passage.text.splitlines() if line.strip("#* \t") != headings[-1])
        if len(body) >= _LEFT:
            yield Candidate("heading", headings[-1], key, Record(" > ".join(headings[:-1]), body))
    for sentence in _sentences(passage.text):
        rest = passage.text.replace(sentence, " ", 1)
        if rest == passage.text or len(rest) < _LEFT:  # it had a lone surrogate, or was nearly all there is
            continue
        plain = sentence.strip("#*>- \t\n")
        if {"|", "`"} & set(plain):  # a row of a table, code
            continue
        if plain.endswith(("?", "？", "؟")) and _fits(plain):
            yield Candidate("question", plain, key, Record(record.title, rest))
        elif (found := _DEFINITION.match(plain)) and not _BORING.match(plain):
            asked = f"{found['han']}是什么？" if found["han"] else f"What is {found['term']}?"
            yield Candidate("definition", asked, key, Record(record.title, rest))


def save(task: Retrieval, folder: Path) -> None:
    """Write a task as a BEIR folder that does not exist yet.

    Raises:
        UsageError: something stands there already.
        InputError: the folder cannot be written.
    """
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise UsageError(f"{folder} is not empty: name a new folder for the sample")
    try:
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        _lines(
            folder / "corpus.jsonl", ({"_id": k, "title": r.title, "text": r.text} for k, r in task.documents.items())
        )
        _lines(folder / "queries.jsonl", ({"_id": key, "text": text} for key, text in task.queries.items()))
        if task.judgements:
            rows = [(q, d, g) for q, grades in task.judgements.items() for d, g in grades.items()]
            table = "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in rows)
            (folder / "qrels" / f"{SPLIT}.tsv").write_text("query-id\tcorpus-id\tscore\n" + table, "utf-8")
        (folder / REMARKS).write_text("".join(f"{remark}\n" for remark in task.remarks), "utf-8")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error


def _lines(path: Path, rows: Iterable[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        # Escaped, since a lone surrogate of a file's name or text has no UTF-8.
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _record(passage: Passage) -> Record:
    return Record(" > ".join(passage.locator.headings), passage.text)


def _drawn(found: Sequence[Candidate], number: int, chance: random.Random) -> list[Candidate]:
    """One candidate a passage, kinds in turn as long as they last, no query that has several answers."""
    asked = Counter(candidate.query for candidate in found)
    kinds: dict[str, list[Candidate]] = {}
    for candidate in found:
        if asked[candidate.query] == 1:
            kinds.setdefault(candidate.kind, []).append(candidate)
    for waiting in kinds.values():
        chance.shuffle(waiting)
    chosen: list[Candidate] = []
    used: set[str] = set()
    while len(chosen) < number and any(kinds.values()):
        for kind in sorted(kinds):
            while kinds[kind]:
                candidate = kinds[kind].pop()
                if candidate.passage not in used:
                    chosen.append(candidate)
                    used.add(candidate.passage)
                    break
    return chosen[:number]


def _written(
    stored: dict[str, Passage], used: set[str], number: int, write: Write, chance: random.Random
) -> list[Candidate]:
    free = [key for key, passage in stored.items() if key not in used and len(passage.text) >= _LEFT]
    drawn = chance.sample(free, max(0, min(number, len(free))))
    return [Candidate("written", write(stored[key].text), key, _record(stored[key])) for key in drawn]


def _fits(query: str) -> bool:
    """Whether a text is neither too short nor too long for a query; scripts without spaces count characters."""
    words, characters = len(query.split()), len(query)
    spaced = words > 1 or query.isascii()
    return _CHARACTERS[0] <= characters <= _CHARACTERS[1] and (not spaced or _WORDS[0] <= words <= _WORDS[1])


def _sentences(text: str) -> Iterator[str]:
    from sentencex import segment

    for line in text.splitlines():
        # The splitter takes UTF-8 alone, and is quadratic in one long line.
        plain = line[:_LINE].encode("utf-8", "replace").decode("utf-8")
        yield from (stripped for sentence in segment("en", plain) if (stripped := sentence.strip()))
