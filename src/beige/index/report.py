"""What indexing tells: each change as it becomes durable, and the sum of them."""

from dataclasses import dataclass, field
from typing import Literal

from beige.documents.chunk import Failure

Kind = Literal["added", "updated", "unchanged", "removed", "failed"]
KINDS: tuple[Kind, ...] = ("added", "updated", "unchanged", "removed", "failed")


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a document.

    Attributes:
        kind: "added", "updated" and "removed" are durable when this is told.
        source: the document's name.
        chunks: how many were stored.
        tokens: how many were embedded for it in this run.
        cut: how many of its chunks were longer than the model reads.
        reason: why it failed.
    """

    kind: Kind
    source: str
    chunks: int = 0
    tokens: int = 0
    cut: int = 0
    reason: str = ""


@dataclass(slots=True)
class Report:
    """What a run did.

    Attributes:
        documents: how many became what.
        chunks: of the documents added and updated.
        tokens: embedded.
        cut: chunks that were longer than the model reads.
        seconds: the whole run.
        failures: what could not be read, and why.
        notices: sentences on what was found damaged in the index, and what was done about it.
    """

    documents: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    chunks: int = 0
    tokens: int = 0
    cut: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def include(self, other: "Report") -> None:
        """Add what another run did."""
        for kind, number in other.documents.items():
            self.documents[kind] += number
        self.chunks += other.chunks
        self.tokens += other.tokens
        self.cut += other.cut
        self.seconds += other.seconds
        self.failures += other.failures
        self.notices += other.notices

    def count(self, change: Change) -> None:
        """Add a change to the sums."""
        self.documents[change.kind] += 1
        self.chunks += change.chunks
        self.tokens += change.tokens
        self.cut += change.cut
        if change.kind == "failed":
            self.failures.append(Failure(change.source, change.reason))


def silent(_: object) -> None:
    """Take what is told and say it to nobody."""
