"""Options that several commands take, and how what they say is read."""

import re

import typer

Json = typer.Option(
    False, "--json", help="One JSON document (or JSON lines) on stdout; everything else goes to stderr."
)

Where = typer.Option(
    None,
    "--index",
    metavar="DIR|URL",
    help="The index: a folder, a collection, qdrant+http://HOST:6333/NAME, or a Beige server, http://HOST:8000. "
    "Without it BEIGE_INDEX, else .beige in this folder.",
)

Model = typer.Option(
    None, "--model", help="A name from `beige models`, or a folder. Without it the index's own, else bge-small-en-v1.5."
)
Legs = typer.Option(
    None,
    "--legs",
    help="What to search by, with commas between: bm25, outputs of the model (dense, sparse, multi, or multi/2 for "
    "half of the token vectors), NAME=OUTPUT:MODEL of another model. Without it the index's own, else words and what "
    "the model gives one vector of.",
)
Precision = typer.Option("auto", "--precision", help="fp32, bf16, int8, or auto: the fastest that keeps the vectors.")
Language = typer.Option(
    None,
    "--language",
    help="Whose word endings BM25 ignores: english, de, ..., or auto: each document's own language. Without it the "
    "index's own, else auto.",
)
Ttl = typer.Option(
    None,
    "--ttl",
    metavar="TIME",
    help="How long these documents are found, from now: 90s, 15m, 12h, 30d, 8w, never. Without it each keeps its time.",
)
Verbose = typer.Option(False, "--verbose", "-v", help="Print each source on stderr once it is committed.")


def names(listed: str) -> list[str]:
    """What an option lists with commas between."""
    return [name.strip() for name in listed.split(",") if name.strip()]


def seconds(option: str, duration: str) -> float:
    """What an option says of a time: `300ms`, `2s`.

    Raises:
        UsageError: it is none.
    """
    from beige.errors import UsageError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s)", duration.strip())
    if found is None:
        raise UsageError(f"{option} must be a time such as 300ms or 2s, not {duration!r}")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)
