"""Hits as a terminal shows them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from rich.console import Group
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from beige.cli._terminal import facts, out
from beige.documents.chunk import OWN_TEXT
from beige.search import Hit, Request, Results
from beige.search.highlight import excerpt
from beige.search.hit import LegScore

EXCERPT = 420
"""Characters of a passage that are shown in a terminal."""

WORDS = 6
"""Matched words of a leg that are shown in a terminal."""

VALUES = 20
"""Values of a facet that are shown in a terminal."""

_CONTROLS = {
    code: " " if chr(code).isspace() else "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}
"""What a document could command a terminal with; one character for each, so that highlights keep their place."""


def show_facets(counts: Mapping[str, Mapping[str, int]]) -> None:
    """Print the most frequent values of each field."""
    rows = {}
    for field, values in counts.items():
        shown = [f"{value} {count:,}".translate(_CONTROLS) for value, count in list(values.items())[:VALUES]]
        more = len(values) - len(shown)
        rows[field.translate(_CONTROLS)] = ", ".join(shown) + (f", and {more:,} more" if more else "")
    if rows:
        facts(rows)


def show(found: Results, request: Request) -> None:
    """Print hits, best first."""
    console = out()
    if found.nothing_relevant:
        console.print(
            f"Nothing relevant found: the best of {found.irrelevant:,} candidates has a relevance of "
            f"{found.best_relevance:.2f}, and {request.min_relevance:g} was asked for."
        )
    elif not found.hits:
        console.print("Nothing found.")
    for hit in found.hits:
        console.print(_heading(hit), soft_wrap=True)
        console.print(_passage(hit))
        if request.explain:
            console.print(Padding(_explanation(hit), (0, 0, 0, 2)))
        for other in hit.others:
            console.print(Text("  + ", "dim") + _heading(other), soft_wrap=True)
        console.print()


def _heading(hit: Hit) -> Text:
    file = Path(hit.source.rpartition("#")[0] if hit.media == "record" else hit.source).absolute()
    here = not hit.given and file.exists()  # a server's files are elsewhere
    link = f"file://{quote(str(file))}" if here else None
    line = Text.assemble(
        (f"{hit.score:.3f}", "bold green"),
        "  ",
        ((hit.source + _place(hit)).translate(_CONTROLS), Style(bold=True, link=link)),
    )
    if hit.locator.headings:
        line.append("  " + " › ".join(hit.locator.headings).translate(_CONTROLS), "dim")
    return line


def _place(hit: Hit) -> str:
    """`:12-15` for lines of the file itself, ` p. 7` where the format has pages, else nothing."""
    locator = hit.locator
    if locator.page is not None:
        return f" p. {locator.page}"
    if hit.media not in OWN_TEXT:
        return ""
    last = f"-{locator.line_end}" if locator.line_end != locator.line_start else ""
    return f":{locator.line_start}{last}"


def _passage(hit: Hit) -> Text:
    start, end = excerpt(hit.text, hit.highlights, EXCERPT)
    passage = Text(hit.text.translate(_CONTROLS))
    for sentence in hit.sentences:
        passage.stylize("underline", sentence.start, sentence.end)
    for first, last in hit.highlights:
        passage.stylize("bold yellow", first, last)
    shown = Text("…" if start else "") + passage[start:end] + Text("…" if end < len(hit.text) else "")
    return Text("\n").join(line for line in shown.split("\n") if line.plain.strip())


def _explanation(hit: Hit) -> Group:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    for _ in range(2):
        grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for row in _rows(hit):
        grid.add_row(*row)
    return Group(grid)


def _rows(hit: Hit) -> Iterator[tuple[str, str, str, str, Text]]:
    """What each stage says of a hit: its name, rank, score, weight, and remarks."""
    for leg, score in hit.legs.items():
        rank = f"#{score.rank}" if score.rank is not None else "-"
        yield leg, rank, f"{score.score:.3f}", "" if score.weight == 1 else f"× {score.weight:.2f}", _remarks(score)
    yield "fused", f"#{hit.rank}", f"{hit.score:.3f}", "", Text(_joined(hit), "dim")
    if hit.reranked is not None:
        if hit.reranked.rank is None:
            yield "reranked", "-", "-", "", Text("not read", "dim")
        else:
            yield "reranked", f"#{hit.reranked.rank}", f"{hit.reranked.score:.3f}", "", Text("")
    if hit.relevance is not None:
        yield "relevance", "", f"{hit.relevance:.3f}", "", Text("")
    for sentence in hit.sentences:
        place = f"{sentence.document_start}-{sentence.document_end}"
        said = " ".join(hit.text[sentence.start : sentence.end].translate(_CONTROLS).split())
        yield "says", "", "", "", Text.assemble(said, (f"  {place}", "dim"))


def _remarks(score: LegScore) -> Text:
    """Why a leg weighs less than usual, else the words that it found."""
    return Text("its model was not made for this language", "dim") if score.trust < 1 else _words(score)


def _words(score: LegScore) -> Text:
    shown = [
        f"{matched.word.translate(_CONTROLS)} {matched.share:.0%}".replace("%", " %") for matched in score.words[:WORDS]
    ]
    if len(score.words) > WORDS:
        shown.append(f"and {len(score.words) - WORDS} more")
    return Text(", ".join(shown))


def _joined(hit: Hit) -> str:
    return f"joined of {hit.chunks} chunks; ranks and scores are the best one's" if hit.chunks > 1 else ""
