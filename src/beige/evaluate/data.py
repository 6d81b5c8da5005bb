"""Data sets: BEIR folders (documents, queries, judgements) and pairs of sentences with a score.

A line that cannot be taken is an error that names the file and the line. What is odd but usable, such as a judgement of
a document that the corpus lacks, is kept and counted in `Retrieval.remarks`: nothing is dropped in silence.
"""

import csv
import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beige.errors import InputError

REMARKS = "remarks.txt"

Judgements = Mapping[str, Mapping[str, int]]
"""Grades by query id and document id. Above 0 is relevant; 0 and below are judged and not relevant."""


@dataclass(frozen=True, slots=True)
class Record:
    """A document of a corpus."""

    title: str
    text: str

    @property
    def whole(self) -> str:
        """Title and text as BEIR's models see them: joined by a space, without space around."""
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, eq=False)
class Retrieval:
    """A retrieval task.

    Attributes:
        name: the folder's name and the judgements' ("scifact/test").
        documents: records by document id, in the order of the file.
        queries: texts by query id, those with judgements, in the order of the file.
        judgements: grades by query id and document id; the same queries.
        remarks: what is odd about the data, one sentence each, with counts.
        candidates: by query id, the only documents that are ranked; empty where all are.
        sources: by document id, where the documents are passages, what the judgements name; empty where it is the
            document itself.
    """

    name: str
    documents: Mapping[str, Record]
    queries: Mapping[str, str]
    judgements: Judgements
    remarks: tuple[str, ...] = ()
    candidates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of sentences and how alike people find them (STS).

    Attributes:
        name: the file's name.
        first: n sentences.
        second: n sentences.
        scores: float64, (n,); higher is more alike.
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: NDArray[np.float64]  # (n,)

    def __len__(self) -> int:
        return len(self.first)


def splits(folder: Path) -> tuple[str, ...]:
    """The names of a BEIR folder's judgements (`qrels/NAME.tsv`), sorted."""
    return tuple(sorted(path.stem for path in (folder / "qrels").glob("*.tsv")))


def read_retrieval(folder: Path, split: str = "test") -> Retrieval:
    """Read a BEIR folder: `corpus.jsonl`, `queries.jsonl` and `qrels/SPLIT.tsv`.

    Args:
        folder: holds lines `{"_id", "title", "text"}`, lines `{"_id", "text"}`, and tab-separated rows query id,
            document id, whole grade, below a header.
        split: which judgements.

    Raises:
        InputError: a file is missing; a line cannot be read, repeats an id or lacks a text; a judgement names an
            unknown query; no judgement names a known document, or none is above 0.
    """
    names = splits(folder)
    if split not in names:
        known = f"it has {', '.join(names)}" if names else "it has no qrels/*.tsv"
        raise InputError(f"{folder} has no judgements {split!r}: {known}")
    documents, queries = _documents(folder), _queries(folder)
    judgements, remarks = _judgements(folder / "qrels" / f"{split}.tsv", documents, queries)
    remarks = (*_said(folder), *remarks)
    blank = sum(not record.whole for record in documents.values())
    if blank:
        remarks = (*remarks, f"{blank} of {len(documents)} documents have neither title nor text")
    asked = {key: text for key, text in queries.items() if key in judgements}
    ordered = {key: judgements[key] for key in asked}
    return Retrieval(f"{folder.resolve().name}/{split}", documents, asked, ordered, remarks)


def read_unjudged(folder: Path, split: str) -> Retrieval:
    """Read a BEIR folder whose judgements are still to be made: all its queries, and the judgements that there are.

    Raises:
        InputError: as for `read_retrieval`, but for judgements that are missing.
    """
    documents, queries = _documents(folder), _queries(folder)
    path = folder / "qrels" / f"{split}.tsv"
    judgements = _grades(path, documents, queries)[0] if path.exists() else {}
    every = {key: judgements.get(key, {}) for key in queries}
    return Retrieval(f"{folder.resolve().name}/{split}", documents, queries, every)


def read_pairs(path: Path) -> Pairs:
    """Read a CSV file of sentence, sentence, score; a first row whose third field is no number is a header.

    Raises:
        InputError: the file is missing or empty, or a row has not three fields or no finite score.
    """
    rows: list[tuple[str, str, float]] = []
    reader = csv.reader(_lines(path), strict=True)
    try:
        for number, row in enumerate(reader, 1):
            where = f"{path}, line {reader.line_num}"
            if len(row) != 3:
                raise InputError(f"{where}: {len(row)} fields where sentence, sentence, score are expected")
            score = _number(row[2])
            if score is None and number > 1:
                raise InputError(f"{where}: {row[2]!r} is not a finite score")
            if score is not None:
                rows.append((row[0], row[1], score))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error
    if not rows:
        raise InputError(f"{path} holds no pairs: rows of sentence, sentence, score are expected")
    first, second, scores = zip(*rows, strict=True)
    return Pairs(path.name, first, second, np.array(scores, np.float64))


def _lines(path: Path) -> Iterator[str]:
    """Every line with its end; a byte order mark is no part of the first."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(f"{path}, line {number}: not UTF-8: {error.reason}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _numbered(path: Path) -> Iterator[tuple[str, str]]:
    """The lines that are not blank, without their ends, each with where it stands."""
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield line.rstrip("\r\n"), f"{path}, line {number}"


def read_rows(path: Path, full: bool = False) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Id, object and place of each JSON line; with `full`, an empty text is an error."""
    seen: set[str] = set()
    for line, where in _numbered(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{where}: not JSON: {error.msg} at column {error.colno}") from error
        if not isinstance(row, dict):
            raise InputError(f'{where}: an object with "_id" and "text" is expected')
        key = row.get("_id")
        if isinstance(key, int) and not isinstance(key, bool):
            key = str(key)
        if not isinstance(key, str) or not key:
            raise InputError(f'{where}: "_id" is missing or no string')
        if key in seen:
            raise InputError(f"{where}: the id {key!r} stands on an earlier line too")
        if full and not str(row.get("text", "")).strip():
            raise InputError(f"{where}: the text of {key!r} is empty")
        seen.add(key)
        yield key, row, where
    if not seen:
        raise InputError(f"{path} is empty")


def read_grades(path: Path, queries: Collection[str]) -> Iterator[tuple[str, str, int, str]]:
    """Query id, document id, grade and place of each tab-separated line, below a header or not.

    Raises:
        InputError: a line cannot be read, names an unknown query, or judges again what was judged before.
    """
    seen: set[tuple[str, str]] = set()
    for position, (line, where) in enumerate(_numbered(path)):
        fields = line.split("\t")
        if len(fields) != 3:
            raise InputError(
                f"{where}: {len(fields)} tab-separated fields where query id, document id, grade are expected"
            )
        query, document, mark = (field.strip() for field in fields)
        grade = _whole(mark)
        if grade is None:
            if position == 0:
                continue  # the header
            raise InputError(f"{where}: the grade {mark!r} is no whole number")
        if query not in queries:
            raise InputError(f"{where}: no query has the id {query!r}")
        if (query, document) in seen:
            raise InputError(f"{where}: query {query!r} and document {document!r} were judged on an earlier line")
        seen.add((query, document))
        yield query, document, grade, where


def _documents(folder: Path) -> dict[str, Record]:
    return {
        key: Record(_text(row, "title", where, needed=False), _text(row, "text", where))
        for key, row, where in read_rows(folder / "corpus.jsonl")
    }


def _queries(folder: Path) -> dict[str, str]:
    return {key: _text(row, "text", where) for key, row, where in read_rows(folder / "queries.jsonl", full=True)}


def _said(folder: Path) -> tuple[str, ...]:
    """What the maker of a data set has to say of it, a line each: `remarks.txt` beside the corpus."""
    path = folder / REMARKS
    return tuple(line for line, _ in _numbered(path)) if path.exists() else ()


def _text(row: dict[str, Any], field: str, where: str, needed: bool = True) -> str:
    value = row.get(field, None if needed else "")
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise InputError(f'{where}: "{field}" is missing or no string')
    return value


def _judgements(
    path: Path, documents: Mapping[str, Record], queries: Mapping[str, str]
) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    """The judgements that are enough to measure by, and what is odd about them."""
    judgements, unknown = _grades(path, documents, queries)
    total = sum(map(len, judgements.values()))
    if not total:
        raise InputError(f"{path} holds no judgements")
    if total == len(unknown):
        raise InputError(f"{path}: no judgement names a document of the corpus; the first unknown id is {unknown[0]}")
    if not any(grade > 0 for grades in judgements.values() for grade in grades.values()):
        raise InputError(f"{path}: no judgement is above 0, so that nothing is relevant")
    remarks = []
    if unknown:
        remarks.append(
            f"{len(unknown)} of {total} judgements name documents that the corpus lacks, the first {unknown[0]}: "
            "they count as relevant documents that nothing can find"
        )
    barren = sum(not any(grade > 0 for grade in grades.values()) for grades in judgements.values())
    if barren:
        remarks.append(f"{barren} of {len(judgements)} queries have no relevant document and score 0")
    return judgements, tuple(remarks)


def _grades(
    path: Path, documents: Mapping[str, Record], queries: Mapping[str, str]
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Every judgement of a file, and the documents that are not in the corpus, each with its line."""
    judgements: dict[str, dict[str, int]] = {}
    unknown: list[str] = []
    for query, document, grade, where in read_grades(path, queries):
        judgements.setdefault(query, {})[document] = grade
        if document not in documents:
            unknown.append(f"{document!r} ({where})")
    return judgements, unknown


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
