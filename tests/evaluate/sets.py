"""Small data sets."""

import json
import random
from collections.abc import Mapping
from pathlib import Path

WORDS = "light speed water stone river mountain paper engine wing flow heat plate pressure boundary layer".split()


def write(folder: Path, documents: int = 60, queries: int = 20, seed: int = 0) -> Path:
    """A BEIR folder of documents made of ten words each; a query has four words of the document that answers it."""
    chance = random.Random(seed)
    texts = {f"d{number}": " ".join(chance.choices(WORDS, k=10)) for number in range(documents)}
    asked = {f"q{number}": f"d{number}" for number in range(queries)}
    return write_set(
        folder,
        {key: ("", text) for key, text in texts.items()},
        {query: " ".join(chance.sample(texts[document].split(), 4)) for query, document in asked.items()},
        {query: {document: 1} for query, document in asked.items()},
    )


def write_set(
    folder: Path,
    documents: Mapping[str, tuple[str, str]],
    queries: Mapping[str, str],
    judgements: Mapping[str, Mapping[str, int]],
    split: str = "test",
) -> Path:
    """A BEIR folder of titles and texts, queries and grades."""
    (folder / "qrels").mkdir(parents=True)
    rows = ({"_id": key, "title": title, "text": text} for key, (title, text) in documents.items())
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ({"_id": key, "text": text} for key, text in queries.items())
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    grades = (f"{query}\t{key}\t{grade}\n" for query, row in judgements.items() for key, grade in row.items())
    (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(grades))
    return folder
