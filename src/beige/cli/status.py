"""`beige status`: what an index holds."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from beige.cli._options import Json, Where
from beige.cli._terminal import emit, facts

if TYPE_CHECKING:
    from beige.index import Status
    from beige.index.manifest import Leg, Manifest


def run(
    index: str | None = Where,
    as_json: bool = Json,
) -> None:
    """Show what an index holds, which models made it, and how its files are."""
    from beige.search import open_index

    with open_index(index) as opened:
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
            "legs": "\n".join(_leg(leg, made) for leg in made.legs),
            "models": "\n".join(f"{one.model}, {one.precision}, {one.fingerprint[:16]}" for one in made.encoders),
            **_files(status),
            "storage": made.storage,
            "created": made.created,
            **_growth(status),
            **{name: f"generation by {models}" for name, models in status.generations.items()},
        }
    )


def _growth(status: "Status") -> dict[str, str]:
    """How much more or less the index holds than some times ago, where it differs."""
    lines = [
        f"{grown.documents:+,} documents, {grown.chunks:+,} chunks, {grown.bytes / 1e6:+,.1f} MB in the last {span}"
        for span, grown in status.growth.items()
        if grown.documents or grown.chunks or grown.bytes
    ]
    return {"growth": "\n".join(lines)} if lines else {}


def _files(status: "Status") -> dict[str, str]:
    """What is known of an index's files; nothing of a collection's."""
    if status.bytes is None or status.changed is None:
        return {}
    return {
        "on disk": f"{status.bytes / 1e6:,.1f} MB",
        "caches": ", ".join(f"{leg} {state}" for leg, state in status.caches.items()),
        "last change": status.changed,
    }


def _leg(leg: "Leg", made: "Manifest") -> str:
    from beige.analyser import language_of

    if leg.encoder is None:
        return f"{leg.name}: words, {language_of(made.analyser)}"
    size = f", {leg.dimension} dimensions" if leg.dimension else ""
    pool = f", {leg.pool} vectors together" if leg.pool > 1 else ""
    return f"{leg.name}: {leg.kind} of {leg.encoder}{size}{pool}"
