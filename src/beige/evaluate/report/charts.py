"""Drawings of a report, as SVG that takes its colours from the page's style."""

import math
from collections.abc import Callable, Sequence
from html import escape

from beige.evaluate.report.findings import Axis, Point

WIDTH, HEIGHT = 420, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 14, 44
_LINE, _BESIDE = 13, 24  # between two labels, up and across

Scale = Callable[[float], float]


def scatter(points: Sequence[Point], axis: Axis, measure: str) -> str:
    """Quality against a cost, with intervals, and the Pareto front as a line; every point carries its number.

    Systems' names are too long to stand beside points that lie close together.
    """
    x, x_ticks = _across([point.x for point in points])
    y, y_ticks = _up([bound for point in points for bound in (point.low, point.high)])
    front = sorted((point for point in points if point.front), key=lambda point: point.x)
    labels = _apart([(x(point.x), y(point.y)) for point in points])
    said = escape(f"{measure} against {axis.label.lower()} in {axis.unit}")
    return "".join(
        (
            f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">',
            *(_row(value, y(value)) for value in y_ticks),
            *(_column(value, x(value)) for value in x_ticks),
            f'<text class="label" x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
            f"{escape(axis.unit)}</text>",
            f'<polyline class="front" points="{" ".join(f"{x(at.x):.1f},{y(at.y):.1f}" for at in front)}"/>',
            *(
                _mark(
                    point, x(point.x), y, label, f"{point.name}: {measure} {point.y:.4f}, {_short(point.x)} {axis.unit}"
                )
                for point, label in zip(points, labels, strict=True)
            ),
            "</svg>",
        )
    )


def _row(value: float, height: float) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{height + 3.5:.1f}" text-anchor="end">{value:.2f}</text>'
    )


def _column(value: float, across: float) -> str:
    return (
        f'<line class="grid" x1="{across:.1f}" x2="{across:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
        f'<text class="tick" x="{across:.1f}" y="{HEIGHT - _BOTTOM + 14}" text-anchor="middle">{_short(value)}</text>'
    )


def _mark(point: Point, across: float, y: Scale, label: float, said: str) -> str:
    """A point with its interval and its number."""
    return (
        f'<line class="bar" x1="{across:.1f}" x2="{across:.1f}" y1="{y(point.high):.1f}" y2="{y(point.low):.1f}"/>'
        f'<circle class="{"point on" if point.front else "point"}" cx="{across:.1f}" cy="{y(point.y):.1f}" r="4.5">'
        f"<title>{escape(said)}</title></circle>"
        f'<text class="name" x="{across + 8:.1f}" y="{label + 4:.1f}">{point.number}</text>'
    )


def whisker(value: float, interval: Sequence[float], reach: float) -> str:
    """A difference and its interval around zero, on a scale from -reach to reach, as wide as a table's cell."""
    (low, high), width, height = interval, 160, 18
    place: Scale = lambda number: width / 2 + number / reach * (width / 2 - 4)  # noqa: E731
    sure = low > 0 or high < 0
    return (
        f'<svg class="whisker" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<line class="zero" x1="{width / 2}" x2="{width / 2}" y1="0" y2="{height}"/>'
        f'<line class="bar" x1="{place(low):.1f}" x2="{place(high):.1f}" y1="{height / 2}" y2="{height / 2}"/>'
        f'<circle class="{"point on" if sure else "point"}" cx="{place(value):.1f}" cy="{height / 2}" r="4"/></svg>'
    )


def _across(values: Sequence[float]) -> tuple[Scale, list[float]]:
    """From left to right: by logarithm, since costs differ by orders of magnitude."""
    low, high = math.log10(min(values)), math.log10(max(values))
    pad = max((high - low) * 0.12, 0.15)
    low, high = low - pad, high + pad
    ticks = [10.0**power * step for power in range(math.floor(low), math.ceil(high) + 1) for step in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= math.log10(tick) <= high]
    if len(inside) > 6:
        inside = [tick for tick in inside if math.log10(tick).is_integer()]
    span = WIDTH - _LEFT - _RIGHT
    return lambda value: _LEFT + (math.log10(value) - low) / (high - low) * span, inside


def _up(values: Sequence[float]) -> tuple[Scale, list[float]]:
    """From bottom to top, over what the intervals span."""
    low, high = min(values), max(values)
    pad = max((high - low) * 0.08, 0.005)
    low, high = low - pad, high + pad
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if (high - low) / step <= 6)
    ticks = [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    span = HEIGHT - _TOP - _BOTTOM
    return lambda value: HEIGHT - _BOTTOM - (value - low) / (high - low) * span, ticks


def _apart(places: Sequence[tuple[float, float]]) -> list[float]:
    """The heights of labels at these places: down where they would lie on one beside, up where the frame ends."""
    placed: dict[int, float] = {}
    for number in sorted(range(len(places)), key=lambda number: places[number][1]):
        across, height = places[number]
        beside = [other for other in placed if abs(places[other][0] - across) < _BESIDE]
        height = max([height, *(placed[other] + _LINE for other in beside)])
        placed[number] = height
        over = height - (HEIGHT - _BOTTOM - 4)
        if over > 0:
            placed |= {other: placed[other] - over for other in (*beside, number)}
    return [placed[number] for number in range(len(places))]


def _short(value: float) -> str:
    """A number in as few characters as a tick has room for."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"
