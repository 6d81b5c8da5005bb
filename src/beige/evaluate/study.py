"""Several systems on one data set, compared, and kept in a folder: what `beige evaluate DATA` does."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from beige.environment import home
from beige.errors import InputError, UsageError
from beige.evaluate.data import Pairs, Retrieval, read_pairs, read_retrieval, splits
from beige.evaluate.record import RECORD, Answered, answered, record, save, slug
from beige.evaluate.report.html import check as check_html
from beige.evaluate.report.html import html
from beige.evaluate.report.markdown import markdown
from beige.evaluate.run import Settings, comparisons, measures_of, open_encoder, run, searched_elsewhere
from beige.evaluate.systems import System
from beige.evaluate.tasks import fingerprint
from beige.models.checkpoint import open_checkpoint

PAGES = {"report.md": markdown, "report.html": html}
"""What a run's folder holds beside its record, and what makes it."""


def read(path: Path, split: str | None = None) -> Retrieval | Pairs:
    """A BEIR folder, or a CSV file of pairs of sentences.

    Args:
        path: of the folder or the file.
        split: which of a folder's judgements; None for "test", or the only ones.

    Raises:
        InputError: there is nothing at the path, or it cannot be read.
        UsageError: a split of a file, or none where there are several and none is "test".
    """
    if path.is_dir():
        names = splits(path)
        if split is None and "test" not in names and len(names) > 1:
            raise UsageError(f"{path} has several judgements: choose one with --split: {', '.join(names)}")
        return read_retrieval(path, split or ("test" if "test" in names or not names else names[0]))
    if not path.exists():
        raise InputError(f"there is no data at {path}: give a BEIR folder, or a CSV file of sentence pairs")
    if split is not None:
        raise UsageError(f"{path} is a file of pairs, which has no --split")
    return read_pairs(path)


def study(
    data: Retrieval | Pairs,
    systems: Sequence[System],
    measures: Sequence[str],
    settings: Settings,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Measure the systems, compare them, write the folder.

    Args:
        data: on what.
        systems: what, in the order of the comparisons.
        measures: by name; none for the usual ones.
        settings: with what.
        folder: where the record, the answers and the pages go; None for a folder of the cache, without pages.

    Returns:
        The record, see `beige.evaluate.record`.

    Raises:
        BeigeError: of anything that is in the way; what was computed or paid for until then is kept.
    """
    names = measures_of(data, measures)
    if folder is not None:
        check_html()
    check(systems, settings)
    results = [run(system, data, names, settings) for system in systems]
    document = record(data, results, comparisons(results, names), settings.prices)
    answers = {result.system.name: answered(result, data) for result in results}
    if folder is None:
        save(default_folder(data), document, answers)
    else:
        publish(folder, document, answers)
    return document


def check(systems: Sequence[System], settings: Settings) -> None:
    """See that every key and every model is there, before the first system runs for an hour.

    Raises:
        BeigeError: something is missing, and cannot be pulled.
    """
    with ExitStack() as stack:
        for system in systems:
            if system.model is not None and (system.model.runner != "index" or settings.index is None):
                open_encoder(system.model, settings, stack)
            if system.rerank is not None and not searched_elsewhere(system, settings):
                open_checkpoint(system.rerank)


def publish(folder: Path, document: Mapping[str, Any], answers: Mapping[str, Iterable[Answered]]) -> None:
    """Write a run's record, its answers and its pages into a folder.

    Raises:
        InputError: the folder cannot be written.
        MissingExtraError: what makes the pages is not installed.
    """
    save(folder, document, answers)
    for name, page in PAGES.items():
        (folder / name).write_text(page(document), "utf-8", errors="replace")


def cache_file() -> Path:
    """Where vectors and scores are kept between runs."""
    return home() / "evaluations" / "cache.sqlite"


def default_folder(data: Retrieval | Pairs) -> Path:
    """Where a run is kept when nobody says where: one folder for each data set as it is."""
    return home() / "evaluations" / f"{slug(data.name)}-{fingerprint(data)}"


def last_folder() -> Path:
    """The folder of the last run that was kept by default.

    Raises:
        InputError: there is none.
    """
    records = sorted((home() / "evaluations").glob(f"*/{RECORD}"), key=lambda path: path.stat().st_mtime)
    if not records:
        raise InputError("no run is kept yet: make one with beige evaluate DATA, or name its folder with --run")
    return records[-1].parent
