"""Tasks made of other data: a part of a set, its judged documents alone, other languages' documents."""

import dataclasses
import json
import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from beige.errors import InputError, UsageError
from beige.evaluate.data import Pairs, Record, Retrieval


def part(task: Retrieval, queries: int | None = None, documents: int | None = None) -> Retrieval:
    """Fewer queries and documents, drawn at random, the same in every run; the name says so.

    Documents that judgements of the kept queries name are all kept, so that every answer can be found; what is left
    out are the distractors, which makes the task easier than the whole.

    Args:
        task: the whole.
        queries: the most queries; None for all.
        documents: the most documents, unless the judged ones are more; None for all.

    Raises:
        UsageError: a number below 1.
    """
    for name, number in (("queries", queries), ("documents", documents)):
        if number is not None and number < 1:
            raise UsageError(f"a part needs at least one of the {name}, not {number}")
    chance = random.Random(0)
    asked = _drawn(list(task.queries), queries, chance)
    judged = {document for query in asked for document in task.judgements[query]}
    needed = [key for key in task.documents if task.sources.get(key, key) in judged]
    others = [key for key in task.documents if task.sources.get(key, key) not in judged]
    kept = set(needed) | set(_drawn(others, None if documents is None else max(0, documents - len(needed)), chance))
    said = [
        f"{len(part)} of {len(whole)} {name}"
        for name, part, whole in (("queries", asked, task.queries), ("documents", kept, task.documents))
        if len(part) < len(whole)
    ]
    if not said:
        return task
    return dataclasses.replace(
        task,
        name=f"{task.name} ({', '.join(said)})",
        documents={key: record for key, record in task.documents.items() if key in kept},
        queries={key: task.queries[key] for key in asked},
        judgements={key: task.judgements[key] for key in asked},
        candidates={key: some for key, some in task.candidates.items() if key in asked},
    )


def rerank_set(task: Retrieval) -> Retrieval:
    """For each query, only the documents that were judged for it are ranked: a set for rerankers.

    Raises:
        InputError: a judged document is missing from the corpus.
    """
    for query, grades in task.judgements.items():
        lacking = [document for document in grades if document not in task.documents]
        if lacking:
            raise InputError(
                f"{task.name}: query {query!r} has the judged document {lacking[0]!r}, which the corpus lacks, "
                "so that its candidates cannot be ranked"
            )
    return dataclasses.replace(
        task,
        name=f"{task.name} (judged documents alone)",
        candidates={query: tuple(grades) for query, grades in task.judgements.items()},
    )


def pool(task: Retrieval, others: Sequence[Retrieval]) -> Retrieval:
    """The task's queries, asked of the others' documents all in one pool: a cross-lingual task.

    Queries of one id are the same question in every set; each set's judgements name its own documents.

    Raises:
        InputError: two sets have different documents of one id, or none of the task's queries is judged in the pool.
    """
    documents: dict[str, Record] = {}
    for other in others:
        for key, record in other.documents.items():
            if documents.setdefault(key, record) != record:
                raise InputError(f"{other.name} and an earlier set of the pool have different documents {key!r}")
    judgements = {
        query: {document: grade for other in others for document, grade in other.judgements.get(query, {}).items()}
        for query in task.queries
    }
    judged = {query: grades for query, grades in judgements.items() if grades}
    if not judged:
        raise InputError(f"none of the queries of {task.name} is judged in {', '.join(o.name for o in others)}")
    remarks = [*task.remarks, *(remark for other in others for remark in other.remarks if other is not task)]
    if len(judged) < len(task.queries):
        remarks.append(
            f"{len(task.queries) - len(judged)} of {len(task.queries)} queries have no judgement in the pool"
        )
    return Retrieval(
        name=f"{task.name} on {' + '.join(other.name for other in others)}",
        documents=documents,
        queries={query: task.queries[query] for query in judged},
        judgements=judged,
        remarks=tuple(dict.fromkeys(remarks)),
    )


def fingerprint(data: Retrieval | Pairs) -> str:
    """Identifies everything that a figure depends on: texts, ids and judgements; 16 hex digits."""
    digest = blake2b(digest_size=8)
    for row in _content(data):
        digest.update(json.dumps(row, ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()


def _content(data: Retrieval | Pairs) -> Sequence[Any]:
    if isinstance(data, Pairs):
        return [*zip(data.first, data.second, data.scores.tolist(), strict=True)]
    return [
        *((key, record.title, record.text, data.sources.get(key)) for key, record in data.documents.items()),
        *((key, text, sorted(data.judgements[key].items())) for key, text in data.queries.items()),
        *data.candidates.items(),
    ]


def _drawn(keys: list[str], number: int | None, chance: random.Random) -> list[str]:
    """Some of the keys in their order."""
    if number is None or number >= len(keys):
        return keys
    kept = set(chance.sample(range(len(keys)), number))
    return [key for place, key in enumerate(keys) if place in kept]
