"""A record as Markdown, for a repository or a ticket."""

from collections.abc import Iterable, Sequence
from typing import Any

from beige.evaluate.report.findings import Record, columns, measure_of, ordered, tasks, verdict

COSTS = (
    ("precision", "computes in", "{}"),
    ("tokens_per_second", "tokens/s", "{:,.0f}"),
    ("latency_p50_ms", "query p50, ms", "{:.1f}"),
    ("latency_p95_ms", "p95, ms", "{:.1f}"),
    ("bytes_per_vector", "bytes a vector", "{:,}"),
    ("dollars_per_million_tokens", "$ / 1M tokens", "{:.3g}"),
)
"""The costs that tables may show: the figure's name, the column's, and how it is written."""


def costs(record: Record) -> list[tuple[str, str, str]]:
    """Those of `COSTS` that arise for any system of a run."""
    return [cost for cost in COSTS if any(system["cost"][cost[0]] is not None for system in record["systems"].values())]


def title(record: Record) -> str:
    """What was measured, partial or whole."""
    return f"Evaluation on {record['data']['name']}"


def size(record: Record) -> str:
    """How large the data is, in words."""
    data = record["data"]
    if data["kind"] == "mteb":
        return f"{len(data['tasks'])} tasks of mteb, each by its main score"
    if data["kind"] == "pairs":
        return f"{data['pairs']:,} pairs of sentences"
    return f"{data['queries']:,} queries, {data['documents']:,} documents, {data['judgements']:,} judgements"


def facts(record: Record) -> dict[str, str]:
    """How it was measured, by name."""
    machine = record["machine"]
    return {
        "Command": record["command"],
        "Date": record["date"],
        "Versions": f"Beige {record['beige']}, Python {record['python']}",
        "Machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB",
        "System": machine["system"],
        "It can do": ", ".join(machine["capabilities"]) or "nothing of note",
        "Data": f"{record['data']['name']}, fingerprint {record['data']['fingerprint']}: {size(record)}",
        "Prices": f"list prices of {record['prices']}, unless said otherwise on the command line",
    }


def remarks(record: Record) -> list[str]:
    """What a reader has to know: of the data, then of the systems, each thing once."""
    said: dict[str, list[str]] = {}
    for name in ordered(record):
        for remark in record["systems"][name]["remarks"]:
            said.setdefault(remark, []).append(name)
    return [*record["data"]["remarks"], *(f"{_these(names)}: {remark}" for remark, names in said.items())]


def _these(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} more"


def figure(value: Any, form: str) -> str:
    """A cost as a table shows it."""
    return "–" if value is None else form.format(value)


def interval(bounds: Sequence[float] | None) -> str:
    """An interval as a table shows it."""
    return "–" if bounds is None else "{:.3f} – {:.3f}".format(*bounds)


def by_task(record: Record, several: Sequence[str]) -> list[list[str]]:
    """Each task with every system's score, the systems best first."""
    systems = [record["systems"][name]["measures"] for name in ordered(record)]
    return [[task, *(f"{measures[task]:.4f}" for measures in systems)] for task in several]


def markdown(record: Record) -> str:
    """The whole page."""
    measures, first, shown = columns(record), measure_of(record), costs(record)
    rows = [
        [
            f"{name} *" if (system := record["systems"][name])["contaminated"] else name,
            *(f"{system['measures'][measure]:.4f}" for measure in measures),
            interval(system["intervals"].get(first)),
            *(figure(system["cost"][cost], form) for cost, _, form in shown),
        ]
        for name in ordered(record)
    ]
    lines = [
        f"# {title(record)}",
        "",
        verdict(record),
        "",
        *_table(["system", *measures, f"{first}, 95 %", *(label for _, label, _ in shown)], rows),
    ]
    if any(system["contaminated"] for system in record["systems"].values()):
        lines += ["", "\\* has, by its own card, seen this data in training."]
    if several := tasks(record):
        lines += ["", "## Task by task", "", *_table(["task", *ordered(record)], by_task(record, several))]
    if record["comparisons"]:
        lines += ["", "## Differences", "", *_table(*_differences(record))]
    if found := remarks(record):
        lines += ["", "## Remarks", "", *(f"- {remark}" for remark in found)]
    lines += ["", "## How it was measured", "", *(f"- {name}: {value}" for name, value in facts(record).items())]
    return "\n".join(lines) + "\n"


def _differences(record: Record) -> tuple[list[str], list[list[str]]]:
    header = ["measure", "first", "second", "difference", "95 %", "p (Holm)", "wins / ties / losses"]
    rows = [
        [
            row["measure"],
            row["first"],
            row["second"],
            f"{row['difference']:+.4f}" + (" *" if row["significant"] else ""),
            "{:+.4f} – {:+.4f}".format(*row["interval"]),
            probability(row["adjusted"]),
            f"{row['wins']} / {row['ties']} / {row['losses']}",
        ]
        for row in record["comparisons"]
    ]
    return header, rows


def probability(p: float) -> str:
    """A p as one writes it."""
    return "< .001" if p < 0.001 else f"{p:.3f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    return [lines[0], f"|{'---|' * len(header)}", *lines[1:]]
