"""Removing documents by name."""

from collections.abc import Callable, Sequence

from beige.documents.walk import source_of
from beige.errors import UsageError
from beige.index.report import Change, Report
from beige.index.store import Store, Stored

PAGE = 1000
"""Documents removed in one transaction."""

_Find = Callable[[Store, str], list[Stored]]


def remove(
    store: Store, names: Sequence[str], *, prefix: bool, base: str | None, tell: Callable[[Change], None]
) -> Report:
    """Remove documents.

    Args:
        store: open for writing.
        names: of documents.
        prefix: whether all documents are meant whose names begin with one of these.
        base: the folder that relative sources are relative to, where names are as a person writes them: paths in the
            current folder, and texts by their own names. None where they are as stored.
        tell: called with each removal once it is durable, and with each name that means no document.

    Raises:
        UsageError: an empty prefix, which would mean everything, or what is no name.
    """
    check_names(names)
    if prefix and not all(names):
        raise UsageError("an empty prefix would remove every document: name the beginning of their sources")
    find = _beginning if prefix else _named
    found = {name: find(store, name) if base is None else _from_here(store, find, name, base) for name in names}
    report = Report()

    def say(change: Change) -> None:
        report.count(change)
        tell(change)

    gone = list(dict.fromkeys(stored.source for documents in found.values() for stored in documents))
    for start in range(0, len(gone), PAGE):
        page = gone[start : start + PAGE]
        store.delete(page)
        for source in page:
            say(Change("removed", source))
    for name, documents in found.items():
        if not documents:
            say(Change("failed", name, reason="the index has no such document"))
    return report


def check_names(names: Sequence[object]) -> None:
    """Refuse what cannot be a document's name, such as a list of them.

    Raises:
        UsageError: one is no text.
    """
    for name in names:
        if not isinstance(name, str):
            raise UsageError(f"documents are deleted by their names, which are texts, not {type(name).__name__}")


def _from_here(store: Store, find: _Find, name: str, base: str) -> list[Stored]:
    file, mark, record = name.partition("#")  # a record's own name is no path: http://… stays as it is
    paths = {source_of(name, base) + ("/" if name.endswith("/") else "")}
    if file and record:
        paths.add(source_of(file, base) + mark + record)
    files = {s.source: s for path in sorted(paths) for s in find(store, path) if not s.given}
    return [*files.values(), *(s for s in find(store, name) if s.given)]


def _named(store: Store, source: str) -> list[Stored]:
    return list(store.stored([source]).values())


def _beginning(store: Store, prefix: str) -> list[Stored]:
    return list(store.documents(prefix))
