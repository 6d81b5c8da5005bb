"""A record as one page: everything inside it, nothing fetched from elsewhere."""

from importlib import resources
from typing import Any

from beige.errors import MissingExtraError
from beige.evaluate.report.charts import scatter, whisker
from beige.evaluate.report.findings import AXES, Record, columns, measure_of, ordered, points, tasks, verdict
from beige.evaluate.report.markdown import by_task, costs, facts, figure, probability, remarks, size, title

CLASSES = ("0", "up to ¼", "up to ½", "up to ¾", "below 1", "1")
"""What the counts of a record's spread are of."""


def check() -> None:
    """See that a page can be made, before a long run.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the HTML report", "evaluate") from error


def html(record: Record) -> str:
    """The page.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    check()
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    measure = measure_of(record)
    source = resources.files(__package__).joinpath("page.html").read_text("utf-8")
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(source)
    plots = [
        (axis.label, Markup(scatter(found, axis, measure)))
        for axis in AXES
        if len(found := points(record, axis)) > 1 and len({point.x for point in found}) > 1
    ]
    return template.render(
        title=title(record),
        size=size(record),
        verdict=verdict(record),
        measures=columns(record),
        measure=measure,
        systems=[(name, record["systems"][name]) for name in ordered(record)],
        costs=costs(record),
        figure=figure,
        plots=plots,
        classes=CLASSES,
        kind=record["data"]["kind"],
        tasks=by_task(record, tasks(record)),
        differences=_differences(record, Markup),
        probability=probability,
        remarks=remarks(record),
        facts=facts(record),
        record=record,
    )


def _differences(record: Record, safe: Any) -> list[dict[str, Any]]:
    """The comparisons on the first measure, each with its drawing, all on one scale."""
    measure = measure_of(record)
    rows = [row for row in record["comparisons"] if row["measure"] == measure]
    reach = max((abs(bound) for row in rows for bound in row["interval"]), default=0) or 1.0
    return [dict(row, drawing=safe(whisker(row["difference"], row["interval"], reach))) for row in rows]
