"""What a server was told to do to its index, and how far it is."""

import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from beige.documents.text import Text
from beige.documents.upload import Upload
from beige.index.report import KINDS, Change, Kind

State = Literal["waiting", "running", "done", "failed"]

KEPT = 10_000
"""Jobs that are remembered after their end."""

SHOWN = 100
"""Failures of a job that are told."""

LEAST = 4096
"""Bytes that a job takes at least: many small ones are much too."""

TOLD, TOLD_KEPT = 1000, 100
"""Changes of a job that are told one by one, the first ones; and of how many jobs that ended they are kept."""


@dataclass(eq=False, slots=True)
class Job:
    """Documents to add, or to delete.

    Attributes:
        add: what to add.
        delete: the names of what to delete.
        prefix: whether the names of what to delete begin with these.
        ttl: how long what is added is found, as `Index.add` takes it.
        size: bytes, about, that it holds while it waits; at least `LEAST`.
        id: names it; not to be guessed.
        state: "done" where all of it is durable; "failed" where some of it could not be.
        documents: how many became what.
        chunks: that were stored.
        tokens: that were embedded.
        cut: how many chunks were longer than the model reads.
        changes: what became of documents, the first ones, in the order in which it did.
        failures: sources and reasons, the first ones.
        created: seconds since the epoch.
        finished: likewise; None before.
    """

    add: Sequence[Text | Upload] = ()
    delete: Sequence[str] = ()
    prefix: bool = False
    ttl: str | None = None
    size: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    state: State = "waiting"
    documents: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    chunks: int = 0
    tokens: int = 0
    cut: int = 0
    changes: list[Change] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    finished: float | None = None

    def __post_init__(self) -> None:
        self.size = max(self.size, LEAST)

    @property
    def names(self) -> set[str]:
        """What it is about."""
        return {item.source for item in self.add} | set(self.delete)

    def begin(self) -> None:
        """It is worked at, from its beginning."""
        self.state = "running"
        self.documents = dict.fromkeys(KINDS, 0)
        self.chunks = self.tokens = self.cut = 0
        self.changes = []
        self.failures = []

    def count(self, change: Change) -> None:
        """Something became durable, or failed."""
        self.documents[change.kind] += 1
        self.chunks += change.chunks
        self.tokens += change.tokens
        self.cut += change.cut
        if len(self.changes) < TOLD:
            self.changes.append(change)
        if change.kind == "failed" and len(self.failures) < SHOWN:
            self.failures.append((change.source, change.reason))

    def end(self, reason: str | None = None) -> None:
        """Nothing more becomes of it.

        Args:
            reason: why it was broken off; None where it was not.
        """
        if reason is not None:
            self.failures.append((next(iter(sorted(self.names)), ""), reason))
        self.state = "failed" if self.documents["failed"] or reason is not None else "done"
        self.finished = time.time()
        self.add = self.delete = ()  # texts are not kept longer than they are needed

    def as_object(self, changes: int | None = None) -> dict[str, Any]:
        """For JSON.

        Args:
            changes: from which change on, counted from 0, they are told one by one; None for none.
        """
        said = {
            "id": self.id,
            "status": self.state,
            "documents": self.documents,
            "chunks": self.chunks,
            "tokens": self.tokens,
            "cut": self.cut,
            "failures": [{"source": source, "reason": reason} for source, reason in self.failures],
            "created": _when(self.created),
            "finished": None if self.finished is None else _when(self.finished),
        }
        return said if changes is None else said | {"changes": [asdict(change) for change in self.changes[changes:]]}


class Jobs:
    """Those that wait, run or ended not long ago."""

    def __init__(self) -> None:
        self._all: OrderedDict[str, Job] = OrderedDict()
        self._ended: deque[Job] = deque()  # those whose changes are kept

    def add(self, job: Job) -> None:
        """Remember a job; the oldest that has ended is forgotten where there are too many."""
        self._all[job.id] = job
        while len(self._all) > KEPT and next(iter(self._all.values())).finished is not None:
            self._all.popitem(last=False)

    def ended(self, job: Job) -> None:
        """Forget the changes of the job that ended before so many others."""
        self._ended.append(job)
        if len(self._ended) > TOLD_KEPT:
            self._ended.popleft().changes.clear()

    def get(self, name: str) -> Job | None:
        """A job by its id."""
        return self._all.get(name)


def together(waiting: Sequence[Job], most: int) -> list[Job]:
    """The first jobs that can be done in one run: all add on the same terms, or all delete, and no name comes twice.

    What deletes by prefix is done by itself: nobody knows yet which documents it is about.

    Args:
        waiting: at least one, in their order.
        most: jobs.
    """
    first = waiting[0]
    taken: set[str] = set()
    chosen: list[Job] = []
    for job in waiting[:most]:
        alike = (bool(job.add), job.ttl) == (bool(first.add), first.ttl) and not (first.prefix or job.prefix)
        if chosen and (not alike or taken & job.names):
            break
        taken |= job.names
        chosen.append(job)
    return chosen


def owners(jobs: Sequence[Job]) -> Callable[[str], Job]:
    """Which of these jobs a change is of: of its document, or of the file of its record (`file#name`, `file:line`)."""
    if len(jobs) == 1:
        return lambda source: jobs[0]
    by_name = {name: job for job in jobs for name in job.names}

    def owner(source: str) -> Job:
        name = source
        while name and name not in by_name:
            name = name[: max(name.rfind("#"), name.rfind(":"), 0)]
        return by_name[name]

    return owner


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
