"""How measurements are written down: a Markdown page for people and a JSON file of the same for programs."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.environments import ROOT

FOLDER = ROOT / "docs" / "measurements"


@dataclass(frozen=True)
class Target:
    """A figure to reach.

    Attributes:
        what: in a few words.
        figure: measured; NaN where it could not be.
        low: the least that will do.
        high: the most that will do.
        digits: after the point.
        unit: behind the figure.
    """

    what: str
    figure: float
    low: float = -math.inf
    high: float = math.inf
    digits: int = 2
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether it will do; NaN will not."""
        return self.low <= self.figure <= self.high

    @property
    def wanted(self) -> str:
        """The bounds as people write them."""
        if math.isinf(self.high):
            return f">= {self.low:g}{self.unit}"
        if math.isinf(self.low):
            return f"<= {self.high:g}{self.unit}"
        middle, width = (self.low + self.high) / 2, (self.high - self.low) / 2
        return f"{middle:g} +- {width:.3g}{self.unit}"

    def row(self) -> tuple[str, str, str, str]:
        """A row of the table of targets."""
        shown = "-" if math.isnan(self.figure) else f"{self.figure:.{self.digits}f}{self.unit}"
        verdict = "not measured" if math.isnan(self.figure) else "reached" if self.reached else "**missed**"
        return self.what, shown, self.wanted, verdict


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    right = [bool(cells) and all(_numeric(row[at]) for row in cells) for at in range(len(heads))]
    rule = ["---:" if at_right else "---" for at_right in right]
    return "\n".join("| " + " | ".join(row) + " |" for row in [list(heads), rule, *cells])


def targets(figures: Sequence[Target]) -> str:
    """The table of figures beside what they should be."""
    return table(("what", "measured", "wanted", ""), [figure.row() for figure in figures])


def judged(figures: Sequence[Target]) -> list[dict[str, Any]]:
    """The figures and whether each will do, for JSON."""
    return [{**vars(figure), "reached": figure.reached} for figure in figures]


def described(circumstances: Mapping[str, Any]) -> str:
    """Version, machine, date and command in a few lines."""
    machine = circumstances["machine"]
    return "\n".join(
        (
            f"Beige {circumstances['beige']} ({circumstances['commit']}), {circumstances['date']}, "
            f"Python {circumstances['python']}, `{circumstances['command']}`.",
            "",
            f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB, "
            f"{machine['system']}; it can do {', '.join(machine['capabilities']) or 'nothing of note'}. "
            f"Load average at the start: {circumstances['load']:.1f}.",
        )
    )


def write(name: str, page: str, values: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Write `NAME.md` and `NAME.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(page.rstrip() + "\n", encoding="utf-8")
    text = json.dumps(_finite(values), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _numeric(cell: str) -> bool:
    return cell in {"", "-"} or cell.lstrip("-+*")[:1].isdigit()


def _finite(value: Any) -> Any:
    """The value with None for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
