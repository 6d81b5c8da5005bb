"""`beige migrate`: another model for an index, while it is searched."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from beige.cli._options import Json, Precision, Where
from beige.cli._terminal import emit, progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from beige.evaluate.significance import Comparison
    from beige.index import Index
    from beige.index.report import Report


def run(
    index: str | None = Where,
    model: str | None = typer.Option(None, help="The next model: a name from `beige models`, or a folder."),
    precision: str = Precision,
    queries: Path | None = typer.Option(
        None, help="JSON lines with _id, text and relevant (sources): the next model must not be worse on them."
    ),
    qrels: Path | None = typer.Option(
        None, help="Judgements of the queries in a file of their own: query, source and grade, with tabs between."
    ),
    rollback: bool = typer.Option(False, "--rollback", help="Return to the model before, with what has changed since."),
    finish: bool = typer.Option(False, "--finish", help="Drop the model before, or what there is of the next one."),
    as_json: bool = Json,
) -> None:
    """Move an index to another model while it is searched and written to.

    The stored texts are embedded anew beside the index, which serves until all are;
    then the new generation takes its place at once. Ctrl-C and the same command
    later go on where it was. The old one is kept for --rollback until --finish.
    """
    from beige.embedder import Embedder
    from beige.errors import UsageError
    from beige.index import Index

    if sum((model is not None, rollback, finish)) != 1:
        raise UsageError("say what to do: --model NAME, --rollback or --finish")
    if qrels is not None and queries is None:
        raise UsageError("--qrels holds judgements of queries: name their file with --queries")
    with Index.open(index) as opened:
        if finish:
            dropped = opened.finish()
            _say(as_json, {"dropped": dropped}, f"{opened.place}: dropped {' and '.join(dropped) or 'nothing'}")
            return
        judged = None if queries is None else _Judged(opened, queries, qrels)
        with progress("documents") as bar:
            task = bar.add_task("migrating", total=opened.count()[0])

            def tell(_: object) -> None:
                bar.update(task, advance=1)

            if rollback:
                report: Report | None = opened.rollback(tell=tell)
            else:
                assert model is not None
                approve: Callable[[Index], bool] | None = None if judged is None else judged.not_worse
                report = opened.migrate(Embedder(model, precision=precision), approve=approve, tell=tell)
        serves = opened.manifest.models
    said: dict[str, object] = {"serves": serves, "swapped": report is not None}
    if report is not None:
        said |= {"documents": report.documents, "tokens": report.tokens, "seconds": round(report.seconds, 3)}
    if judged is not None:
        said |= judged.figures()
    if report is None:
        _say(as_json, said, f"{serves} goes on to serve, {judged}; drop the next generation with --finish")
        raise typer.Exit(1)
    kept = "the generation before is kept: --rollback or --finish"
    _say(as_json, said, f"{serves} serves{f', {judged}' if judged else ''}; {kept}")
    if report.cut:
        typer.echo(f"beige: {report.cut} chunks were longer than the model reads and were cut", err=True)


def _say(as_json: bool, said: dict[str, object], sentence: str) -> None:
    if as_json:
        emit(said)
    else:
        typer.echo(sentence)


class _Judged:
    """Compares two generations on a person's judgements."""

    def __init__(self, index: "Index", queries: Path, qrels: Path | None) -> None:
        from beige.evaluate.own import of_index

        self._index = index
        self._data = of_index(index, queries, qrels)
        self._found: Comparison | None = None

    def not_worse(self, following: "Index") -> bool:
        """Whether the next generation does not lose."""
        from beige.evaluate.succession import compared

        self._found = compared(self._index, following, self._data)
        return self._found.difference >= 0

    def figures(self) -> dict[str, object]:
        """The comparison for JSON."""
        if self._found is None:
            return {}
        interval = [self._found.interval.low, self._found.interval.high]
        return {"measure": self._found.measure, "difference": self._found.difference, "interval": interval}

    def __str__(self) -> str:
        if self._found is None:
            return "not compared"
        low, high = self._found.interval.low, self._found.interval.high
        return f"{self._found.measure} {self._found.difference:+.4f} [{low:+.4f}, {high:+.4f}] for the next model"
