"""What is embedded and stored together: steps of a run, or a part of one with a large document."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from beige.documents.chunk import Chunk, Document
from beige.index.files import Step
from beige.index.report import Change


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """A step, or a part of one.

    Attributes:
        document: to be stored; None where one is removed.
        change: what the step is called.
        first: the part's first chunk.
        end: one past its last.
    """

    document: Document | None
    change: Change
    first: int
    end: int

    @property
    def chunks(self) -> Sequence[Chunk]:
        """The chunks of this part."""
        return self.document.chunks[self.first : self.end] if self.document else ()

    @property
    def whole(self) -> bool:
        """Whether it is all of the step."""
        return self.first == 0 and self.last

    @property
    def last(self) -> bool:
        """Whether the step ends with it."""
        return not self.document or self.end == len(self.document.chunks)


def pieces(steps: Sequence[Step], large: int, window: Callable[[], int]) -> Iterator[list[Piece]]:
    """What is embedded together: all of some steps, or one part after another of a large document.

    Args:
        steps: a large document comes alone.
        large: characters of a document past which it is.
        window: gives, for each part, the characters with which it ends.
    """
    (document, change), *others = steps
    if others or document is None or characters(document.chunks) <= large:
        yield [Piece(document, change, 0, len(document.chunks) if document else 0) for document, change in steps]
        return
    first = gathered = 0
    for end, chunk in enumerate(document.chunks, 1):
        gathered += len(chunk.text)
        if gathered >= window() or end == len(document.chunks):
            yield [Piece(document, change, first, end)]
            first, gathered = end, 0


def characters(chunks: Sequence[Chunk]) -> int:
    """Of the texts of all these chunks."""
    return sum(len(chunk.text) for chunk in chunks)
