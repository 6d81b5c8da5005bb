"""How hits of one document come together: neighbours joined into longer passages, documents grouped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from beige.index.store import Passage


@dataclass(frozen=True, slots=True)
class Bundle:
    """What becomes one hit.

    Attributes:
        best: the chunk that came first.
        passage: that chunk, or the passage that it and its neighbours make.
        chunks: how many those are.
        others: bundles of the same document that come later.
    """

    best: Passage
    passage: Passage
    chunks: int = 1
    others: tuple["Bundle", ...] = ()


def fold(ordered: Sequence[Passage], limit: int, *, join: bool, group: bool) -> list[Bundle]:
    """Passages as bundles, in the order of each one's best.

    Passages are taken from the first on, and go to the bundle that they belong to, until one would begin another
    bundle than the `limit` first.

    Args:
        ordered: best first.
        limit: the most bundles.
        join: whether chunks that follow each other in a document become one passage.
        group: whether bundles of the same document become one, the best first and the others in it.
    """
    pieces: list[list[Passage]] = []
    by_place: dict[tuple[str, int], list[Passage]] = {}
    sources: set[str] = set()
    for passage in ordered:
        before, after = (passage.source, passage.position - 1), (passage.source, passage.position + 1)
        near = [by_place[place] for place in (before, after) if join and place in by_place]
        if near:
            piece = min(near, key=pieces.index)
            for other in near:
                if other is not piece:
                    pieces.remove(other)
                    piece.extend(other)
                    by_place |= {(chunk.source, chunk.position): piece for chunk in other}
            piece.append(passage)
        else:
            begins = passage.source not in sources if group else True
            if begins and (len(sources) if group else len(pieces)) == limit:
                break
            pieces.append(piece := [passage])
            sources.add(passage.source)
        by_place[passage.source, passage.position] = piece
    bundles = [Bundle(piece[0], joined(piece), len(piece)) for piece in pieces]
    return _grouped(bundles) if group else bundles


def joined(chunks: Sequence[Passage]) -> Passage:
    """Neighbouring chunks of a document as one passage, with a locator that spans them all.

    Locators say which characters each has: what two share is taken once. Of what stands between two, which is
    whitespace, the index keeps only how long it is and how many lines end in it: so many line ends stand for it, then
    spaces, so that every other character keeps its place.

    Args:
        chunks: of one document, their positions without a gap, in any order.
    """
    first, *rest = sorted(chunks, key=lambda chunk: chunk.position)
    text, locator = first.text, first.locator
    for chunk in rest:
        here = chunk.locator
        gap = here.start - locator.end
        lines = max(0, min(gap, here.line_start - locator.line_end))
        text += "\n" * lines + " " * (gap - lines) + chunk.text[max(0, -gap) :]
        locator = replace(
            locator,
            end=max(locator.end, here.end),
            line_end=max(locator.line_end, here.line_end),
            headings=_shared(locator.headings, here.headings),
        )
    return replace(first, text=text, locator=locator)


def _shared(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """The beginning that two heading paths share."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return first[:count]


def _grouped(bundles: Sequence[Bundle]) -> list[Bundle]:
    by_source: dict[str, list[Bundle]] = {}
    for bundle in bundles:
        by_source.setdefault(bundle.best.source, []).append(bundle)
    return [replace(first, others=tuple(others)) for first, *others in by_source.values()]
