"""`beige index`: bring an index up to date with files and folders."""

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from beige.cli._terminal import Json, Where, emit, progress

if TYPE_CHECKING:
    from beige.index.report import Change, Report


def run(
    paths: list[str] = typer.Argument(metavar="PATH", help="Files and folders."),
    *,
    index: str | None = Where,
    model: str | None = typer.Option(
        None, help="A name from `beige models`, or a folder. Without it the index's own, else bge-small-en-v1.5."
    ),
    precision: str = typer.Option("auto", help="fp32, bf16, int8, or auto: the fastest that keeps the vectors."),
    language: str | None = typer.Option(
        None, help="Whose word endings BM25 ignores: english, german, ... Without it the index's own, else english."
    ),
    storage: str | None = typer.Option(
        None,
        help="How vectors are kept for searching from 20,000 chunks on: float32, int8 or binary, smaller and rougher; "
        "scores stay exact. Without it the index's own, else float32.",
    ),
    rebuild: bool = typer.Option(
        False, "--rebuild", help="Begin anew; the old index is searched until the new one is whole."
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Print each source on stderr once it is committed."),
    as_json: bool = Json,
) -> None:
    """Index documents: text, Markdown, HTML, PDF, Office, e-mail, code, records.

    Unchanged files are skipped, changed ones replaced, vanished ones removed
    (beneath these paths only). A file that cannot be read keeps its last version,
    is named on stderr, and makes the exit code 1.
    Ctrl-C loses nothing that was committed.
    """
    from beige.documents.walk import find, from_here
    from beige.embedder import DEFAULT_MODEL, Embedder
    from beige.environment import default_index
    from beige.index import Index, manifest_at

    folder = Path(index or default_index())
    found = find(paths, folder)  # a misspelt path is said before the model is loaded
    made = manifest_at(folder)
    embedder = Embedder(model or (made.model if made else DEFAULT_MODEL), precision=precision)
    opened = (Index.anew if rebuild else Index.open)(folder, embedder, language=language)
    with opened as target, progress("documents") as bar:
        if storage:
            target.keep_as(storage)
        task = bar.add_task("indexing", total=None)
        if not bar.disable:  # how much there is to do is counted while it is done
            threading.Thread(target=lambda: bar.update(task, total=sum(1 for _ in found)), daemon=True).start()

        def tell(change: "Change") -> None:
            bar.update(task, advance=1)
            if verbose and change.kind in ("added", "updated"):
                bar.console.print(from_here(change.source, target.base), markup=False, soft_wrap=True)

        report = target.add(*paths, tell=tell)
        base = target.base
    _remark(report, base)
    if as_json:
        emit(
            {
                "documents": report.documents,
                "chunks": report.chunks,
                "tokens": report.tokens,
                "seconds": round(report.seconds, 3),
            }
        )
    else:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in report.documents.items() if count) or "no documents"
        pace = f"{report.tokens / report.seconds:,.0f} tokens/s" if report.tokens else "nothing to embed"
        typer.echo(f"{folder}: {counts} in {report.seconds:.1f} s ({report.chunks:,} chunks, {pace})")
    if report.failures:
        raise typer.Exit(1)


def _remark(report: "Report", base: str) -> None:
    from beige.documents.walk import from_here

    for failure in report.failures:
        print(f"beige: {from_here(failure.source, base)} was not indexed: {failure.reason}", file=sys.stderr)
    if report.cut:
        print(f"beige: {report.cut} chunks were longer than the model reads and were cut", file=sys.stderr)
    for notice in report.notices:
        print(f"beige: {notice}", file=sys.stderr)
