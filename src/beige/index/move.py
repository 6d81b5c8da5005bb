"""Copying an index from one place to another, vectors and all: from a folder to a cluster, and back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from beige.analyser import Analyser, language_of
from beige.documents.chunk import Chunk, Document
from beige.errors import StoreError, UsageError
from beige.index.files import Step
from beige.index.manifest import Manifest
from beige.index.origins import FromStore
from beige.index.place import Place
from beige.index.report import Change, Report
from beige.index.store import Entry, Part, Store
from beige.index.vectors import gathered

CHARACTERS = 400_000
"""Of the documents that are copied at a time."""

CHUNKS = 1000
"""Chunks of a document that are copied at a time."""

DOCUMENTS = 500
"""Documents that are copied, or removed, at a time."""


def move(source: Place, target: Place, tell: Callable[[Change], None]) -> Report:
    """Make `target` hold what `source` holds; nothing is embedded, and the source stays as it is.

    What is there already is not copied again, so that the same call goes on where one was interrupted.

    Args:
        source: an index.
        target: where there is none, or what an earlier call made of the same one.
        tell: called with each change once it is durable.

    Raises:
        UsageError: there is another index at the target.
        StoreError: the source was written to meanwhile, or a place cannot be used.
    """
    report = Report()

    def say(change: Change) -> None:
        report.count(change)
        tell(change)

    with source.open() as old:
        made = replace(old.manifest, base=target.relative(source.absolute(old.manifest.base)))
        there = target.manifest() if target.exists() else None
        if there is None:
            target.create(made).close()
        elif _identity(there) != _identity(made):
            raise UsageError(f"there is another index in {target}: name a place where there is none")
        analyser = Analyser(language_of(made.analyser), old.languages)
        if analyser.name != made.analyser:
            raise StoreError(
                f"the words of the index {source} were analysed by another version of Beige: index it anew"
            )
        with target.open(write=True) as new:
            for steps in _batches(FromStore(old, new).steps(say)):
                _store(new, old, [document for document, _ in steps if document], analyser)
                new.delete([change.source for document, change in steps if not document])
                for _, change in steps:
                    say(change)
            new.update_manifest(calibration=made.calibration, choice=made.choice)
            report.notices += new.notices
            if old.count() != new.count():
                raise StoreError(f"the index {source} was written to meanwhile: move it again, which takes less time")
    return report


def _identity(manifest: Manifest) -> tuple[object, ...]:
    """What tells whether one index is a copy of another."""
    return manifest.created, manifest.encoders, manifest.kept_as("float32").legs, manifest.analyser


def _batches(steps: Iterator[Step]) -> Iterator[list[Step]]:
    batch: list[Step] = []
    characters = 0
    for document, change in steps:
        batch.append((document, change))
        characters += sum(len(chunk.text) for chunk in document.chunks) if document else 0
        if characters >= CHARACTERS or len(batch) >= DOCUMENTS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _store(target: Store, source: Store, documents: Sequence[Document], analyser: Analyser) -> None:
    """Copy documents; a large one in parts."""
    large = [document for document in documents if len(document.chunks) > CHUNKS]
    small = [document for document in documents if len(document.chunks) <= CHUNKS]
    target.upsert([Entry(document, _part(source, document, document.chunks, analyser)) for document in small])
    for document in large:
        starts = range(0, len(document.chunks), CHUNKS)
        parts = (_part(source, document, document.chunks[start : start + CHUNKS], analyser) for start in starts)
        target.upsert_in_parts(document, parts)


def _part(store: Store, document: Document, chunks: Sequence[Chunk], analyser: Analyser) -> Part:
    """The vectors of a document's chunks; words, which depend on its language too, are those it was indexed by."""
    keys: Sequence[str] = [chunk.key for chunk in chunks]
    average = store.manifest.average_length
    vectors = {}
    for leg in store.manifest.legs:
        if leg.encoder is None:
            vectors[leg.name] = gathered(
                leg, [analyser.document(chunk.embedded_text, average, document.language) for chunk in chunks]
            )
            continue
        known = store.known(leg.name, keys)
        if any(key not in known for key in keys):
            raise StoreError(f"{document.source} was changed meanwhile: move the index again, which takes less time")
        vectors[leg.name] = gathered(leg, [known[key] for key in keys])
    return vectors
