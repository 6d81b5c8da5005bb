"""What a record says: which system is best, which ones cannot be told from it, and which ones are worth their cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Axis:
    """A kind of cost: the name of its figure in a record, what a reader calls it, its unit."""

    cost: str
    label: str
    unit: str


AXES = (
    Axis("latency_p50_ms", "Time for a query", "ms, median"),
    Axis("bytes_per_vector", "Memory", "bytes a vector"),
    Axis("dollars_per_million_tokens", "Price", "$ a million tokens"),
    Axis("tokens_per_second", "Indexing speed", "tokens a second"),
)
"""What quality is plotted against; more is better of the speed alone."""

BETTER_HIGH = ("tokens_per_second",)


@dataclass(frozen=True, slots=True)
class Point:
    """A system between its cost and its quality.

    Attributes:
        number: its place among all systems, from 1, best first.
        name: of the system.
        x: cost.
        y: quality.
        low: of the quality's interval.
        high: of the quality's interval.
        front: whether no other system is at least as good at no more cost.
    """

    number: int
    name: str
    x: float
    y: float
    low: float
    high: float
    front: bool


def measure_of(record: Record) -> str:
    """The first measure: the one that systems are ordered by."""
    return str(next(iter(next(iter(record["systems"].values()))["measures"])))


def ordered(record: Record) -> list[str]:
    """The systems' names, best first."""
    measure = measure_of(record)
    return sorted(record["systems"], key=lambda name: -record["systems"][name]["measures"][measure])


def columns(record: Record) -> list[str]:
    """The measures that stand beside each other in a table; of several tasks their mean alone."""
    measures = list(next(iter(record["systems"].values()))["measures"])
    return measures[:1] if tasks(record) else measures


def tasks(record: Record) -> list[str]:
    """The tasks that the first measure is the mean of; none where it is a figure of its own."""
    several = record["data"].get("tasks", [])
    return list(several) if len(several) > 1 else []


def verdict(record: Record) -> str:
    """One or two sentences: the best system, and those that the data cannot tell from it."""
    measure, names = measure_of(record), ordered(record)
    best = names[0]
    figure = f"{record['systems'][best]['measures'][measure]:.4f}"
    if len(names) == 1:
        return f"{best} reaches {measure} {figure}."
    if not record["comparisons"]:
        return f"{best} is ahead with {measure} {figure}; whether that is chance could not be tested."
    equal = [name for name in names[1:] if not _differ(record, measure, best, name)]
    if not equal:
        return f"{best} is best with {measure} {figure}, and the lead over every other system is significant."
    others = equal[0] if len(equal) == 1 else f"{', '.join(equal[:-1])} and {equal[-1]}"
    return f"{best} is ahead with {measure} {figure}, but the data cannot tell it from {others}."


def points(record: Record, axis: Axis) -> list[Point]:
    """The systems that have this cost, which is above zero."""
    measure = measure_of(record)
    systems = [(number, name, record["systems"][name]) for number, name in enumerate(ordered(record), 1)]
    drawn = [row for row in systems if row[-1]["cost"][axis.cost]]
    places = [(float(system["cost"][axis.cost]), system["measures"][measure]) for *_, system in drawn]
    front = pareto([(-x if axis.cost in BETTER_HIGH else x, y) for x, y in places])
    return [
        Point(number, name, x, y, *_bounds(system["intervals"][measure]), kept)
        for (number, name, system), (x, y), kept in zip(drawn, places, front, strict=True)
    ]


def _bounds(interval: Sequence[float]) -> tuple[float, float]:
    low, high = interval
    return low, high


def pareto(places: Sequence[tuple[float, float]]) -> list[bool]:
    """For each (cost, quality), whether no other place is as cheap and as good, and better in one of both."""
    return [
        not any(
            other_cost <= cost and other_quality >= quality and (other_cost, other_quality) != (cost, quality)
            for other_cost, other_quality in places
        )
        for cost, quality in places
    ]


def _differ(record: Record, measure: str, first: str, second: str) -> bool:
    return any(
        row["significant"]
        for row in record["comparisons"]
        if row["measure"] == measure and {row["first"], row["second"]} == {first, second}
    )
