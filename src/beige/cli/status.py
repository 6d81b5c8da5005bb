"""`beige status`: what an index holds."""

from dataclasses import asdict

from beige.cli._terminal import Json, Where, emit, facts


def run(
    index: str | None = Where,
    as_json: bool = Json,
) -> None:
    """Show what an index holds, which model made it, and how its files are."""
    from beige.analyser import language_of
    from beige.index import Index

    with Index.open(index) as opened:
        status = opened.status()
    if as_json:
        emit(asdict(status))
        return
    made = status.manifest
    facts(
        {
            "index": status.path,
            "documents": f"{status.documents:,}",
            "chunks": f"{status.chunks:,} of at most {made.chunk_tokens} tokens",
            "model": f"{made.model}, {made.dimension} dimensions, {made.precision}",
            "fingerprint": made.fingerprint[:16],
            "words": language_of(made.analyser),
            "on disk": f"{status.bytes / 1e6:,.1f} MB",
            "caches": ", ".join(f"{leg} {state}" for leg, state in status.caches.items()),
            "storage": made.storage,
            "created": made.created,
            "last change": status.changed,
        }
    )
