"""The queries on which two systems of a run differ most."""

from dataclasses import dataclass
from pathlib import Path

from beige.errors import UsageError
from beige.evaluate.record import Answered, load_answers


@dataclass(frozen=True)
class Changed:
    """A query that two systems answer differently.

    Attributes:
        difference: the figure of the first less that of the second.
        first: what the first did.
        second: what the second did.
    """

    difference: float
    first: Answered
    second: Answered


def changed(folder: Path, first: str, second: str, measure: str | None = None) -> tuple[str, list[Changed]]:
    """The measure, and the queries that changed, the largest change first, gains and losses together.

    Args:
        folder: of the run.
        first: a system's name.
        second: the other's.
        measure: by which; None for the run's first.

    Raises:
        InputError: there is no run in the folder, or no such system in the run.
        UsageError: the run has no such measure.
    """
    ours, theirs = load_answers(folder, first), load_answers(folder, second)
    known = list(next(iter(ours.values())).figures)
    name = measure or known[0]
    if name not in known:
        raise UsageError(f"the run in {folder} has no measure {name!r}; it has {', '.join(known)}")
    rows = [
        Changed(ours[query].figures[name] - theirs[query].figures[name], ours[query], theirs[query]) for query in ours
    ]
    moved = [row for row in rows if abs(row.difference) > 1e-9]
    return name, sorted(moved, key=lambda row: -abs(row.difference))
