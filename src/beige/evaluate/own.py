"""An index as a data set: its passages, and a file of queries whose judgements name its documents."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beige.documents.chunk import Chunk
from beige.errors import InputError
from beige.evaluate.data import Record, Retrieval, read_grades, read_rows

if TYPE_CHECKING:
    from beige.index import Index
    from beige.search.any_index import AnyIndex


def of_index(index: "Index | AnyIndex", queries: Path, qrels: Path | None = None) -> Retrieval:
    """An index's passages as documents, and a file of queries whose judgements name the index's sources.

    Args:
        index: open.
        queries: lines `{"_id", "text", "relevant"}`, where `relevant` is a list of sources, or an object of grades by
            source. A source may be shortened to the end of its path, or of a record to its name, as long as one source
            alone ends so. A passage (SOURCE#3, as `beige evaluate sample` names them) stands for its document.
        qrels: lines of query id, source and grade, tab-separated, in place of `relevant`; queries that it does not name
            are left out.

    Raises:
        InputError: a line cannot be read, a source is not in the index or ambiguous, or nothing is relevant.
    """
    passages = {f"{passage.source}#{passage.position}": passage for passage in index.passages()}
    known = {passage.source for passage in passages.values()}
    rows = list(read_rows(queries, full=True))
    if qrels is None:
        given = [(key, name, grade, where) for key, row, where in rows for name, grade in _relevant(row, where).items()]
    else:
        given = list(read_grades(qrels, {key for key, _, _ in rows}))
    judgements: dict[str, dict[str, int]] = {} if qrels else {key: {} for key, _, _ in rows}
    for key, name, grade, where in given:
        source = passages[name].source if name in passages else _source(name, known, where)
        grades = judgements.setdefault(key, {})
        grades[source] = max(grade, grades.get(source, grade))
    texts = {key: row["text"] for key, row, _ in rows if key in judgements}
    if not any(grade > 0 for grades in judgements.values() for grade in grades.values()):
        raise InputError(f"{queries}: no source is relevant to any query")
    barren = sum(not any(grade > 0 for grade in grades.values()) for grades in judgements.values())
    return Retrieval(
        name=f"{index.place.name} by {queries.name}",
        documents={key: Record("", Chunk(at.text, at.locator).embedded_text) for key, at in passages.items()},
        queries=texts,
        judgements=judgements,
        remarks=(f"{barren} of {len(judgements)} queries have no relevant document and score 0",) if barren else (),
        sources={key: passage.source for key, passage in passages.items()},
    )


def _relevant(row: Mapping[str, Any], where: str) -> dict[str, int]:
    relevant = row.get("relevant")
    if isinstance(relevant, list) and all(isinstance(name, str) for name in relevant):
        return dict.fromkeys(relevant, 1)
    if isinstance(relevant, dict) and all(type(grade) is int for grade in relevant.values()):
        return relevant
    raise InputError(f'{where}: "relevant" must be a list of sources, or whole grades by source')


def _source(name: str, known: set[str], where: str) -> str:
    if name in known:
        return name
    ends = [source for source in known if source.endswith(("/" + name, "#" + name))]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise InputError(f"{where}: {len(ends)} sources of the index end with {name!r}: write more of the path")
    raise InputError(f"{where}: the index has no source {name!r} (beige status lists them)")
