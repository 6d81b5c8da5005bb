"""What `beige evaluate` and the commands below it share: options, settings, progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from beige.cli._terminal import progress

if TYPE_CHECKING:
    from rich.progress import TaskID

    from beige.evaluate.run import Report, Settings

SYSTEMS = typer.Option(
    [],
    "--system",
    help="What to measure, several times: MODEL, bm25, MODEL+bm25,rerank=MODEL, openai:MODEL, http://host/v1#MODEL.",
)
PRICES = typer.Option([], "--price", metavar="MODEL=DOLLARS", help="For a million tokens, in place of the list price.")
MAX_COST = typer.Option(1.0, min=0, help="Dollars that this run may spend on providers.")
LANGUAGE = typer.Option("auto", help="Of the words that bm25 stems; auto: each document's own.")
SPLIT = typer.Option(None, help="Which judgements of the folder: qrels/SPLIT.tsv.")

DEFAULTS = {
    "retrieval": ("bm25", "bge-small-en-v1.5", "bge-small-en-v1.5+bm25"),
    "index": ("dense", "bm25", "dense+bm25"),
    "pairs": ("bge-small-en-v1.5",),
    "mteb": ("bge-small-en-v1.5",),
}
"""The systems that are measured when none is named, by kind of data."""


@contextmanager
def settings(price: list[str], max_cost: float, language: str) -> "Iterator[Settings]":
    """What a run may use, with the cache open and a progress bar on stderr."""
    from beige.evaluate.cache import Cache
    from beige.evaluate.prices import Budget, prices
    from beige.evaluate.run import Settings
    from beige.evaluate.study import cache_file

    table = prices(dict(map(_priced, price)))
    with Cache(cache_file()) as cache, _watching() as tell:
        yield Settings(cache, table, Budget(max_cost), language, tell=tell)


@contextmanager
def _watching() -> "Iterator[Report]":
    """A progress bar with the time left, for one thing after the other."""
    with progress("") as bar:
        tasks: dict[str, TaskID] = {}

        def tell(doing: str, done: int, total: int) -> None:
            if doing not in tasks:
                for task in tasks.values():
                    bar.update(task, visible=False)
                tasks[doing] = bar.add_task(doing)
            bar.update(tasks[doing], completed=done, total=total)

        yield tell


def _priced(text: str) -> tuple[str, float]:
    from beige.errors import UsageError

    name, _, dollars = text.rpartition("=")
    try:
        return name, float(dollars)
    except ValueError as error:
        raise UsageError(f"--price {text}: write MODEL=DOLLARS for a million tokens") from error
