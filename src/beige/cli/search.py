"""`beige search`: ask an index."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import typer

from beige.cli._terminal import Json, Where, emit, out

if TYPE_CHECKING:
    from rich.text import Text

    from beige.search import Hit

EXCERPT = 420
"""Characters of a passage that are shown in a terminal."""

_CONTROLS = {
    code: " " if chr(code).isspace() else "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}
"""What a document could command a terminal with; one character for each, so that highlights keep their place."""


def run(
    query: str = typer.Argument(metavar="QUERY", help="A question, or some words."),
    index: str | None = Where,
    limit: int = typer.Option(10, "--limit", "-n", help="The most hits, from 1 to 1000."),
    legs: str = typer.Option("dense,bm25", help="What to search: dense (by meaning), bm25 (by words), or both."),
    as_json: bool = Json,
) -> None:
    """Search an index by meaning and by words together; best hits first."""
    from beige.documents.walk import from_here
    from beige.index import Index
    from beige.search import Searcher

    query = query.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # an argument is any bytes
    with Index.open(index) as opened, Searcher(opened) as searcher:
        found = searcher.search(query, limit, legs=[leg.strip() for leg in legs.split(",") if leg.strip()])
        hits = [replace(hit, source=from_here(hit.source, opened.base)) for hit in found]
    if as_json:
        emit({"query": query, "hits": [_as_json(hit) for hit in hits]})
    else:
        _show(hits)


def _as_json(hit: "Hit") -> dict[str, object]:
    return {
        "score": hit.score,
        "source": hit.source,
        "locator": asdict(hit.locator),
        "text": hit.text,
        "legs": {leg: asdict(score) for leg, score in hit.legs.items()},
    }


def _show(hits: Sequence["Hit"]) -> None:
    console = out()
    if not hits:
        console.print("Nothing found.")
    for hit in hits:
        console.print(_heading(hit), soft_wrap=True)
        console.print(_passage(hit))
        console.print()


def _heading(hit: "Hit") -> "Text":
    from rich.style import Style
    from rich.text import Text

    file = Path(hit.source.rpartition("#")[0] if hit.media == "record" else hit.source).absolute()
    line = Text.assemble(
        (f"{hit.score:.3f}", "bold green"),
        "  ",
        ((hit.source + _place(hit)).translate(_CONTROLS), Style(bold=True, link=f"file://{quote(str(file))}")),
    )
    if hit.locator.headings:
        line.append("  " + " › ".join(hit.locator.headings).translate(_CONTROLS), "dim")
    return line


def _place(hit: "Hit") -> str:
    """`:12-15` for lines of the file itself, ` p. 7` where the format has pages, else nothing."""
    from beige.documents.chunk import OWN_TEXT

    locator = hit.locator
    if locator.page is not None:
        return f" p. {locator.page}"
    if hit.media not in OWN_TEXT:
        return ""
    last = f"-{locator.line_end}" if locator.line_end != locator.line_start else ""
    return f":{locator.line_start}{last}"


def _passage(hit: "Hit") -> "Text":
    from rich.text import Text

    from beige.search.highlight import excerpt

    start, end = excerpt(hit.text, hit.highlights, EXCERPT)
    passage = Text(hit.text.translate(_CONTROLS))
    for first, last in hit.highlights:
        passage.stylize("bold yellow", first, last)
    shown = Text("…" if start else "") + passage[start:end] + Text("…" if end < len(hit.text) else "")
    return Text("\n").join(line for line in shown.split("\n") if line.plain.strip())
