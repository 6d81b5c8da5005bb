"""`beige evaluate gate`: whether a precision is good enough."""

from pathlib import Path

import typer

from beige.cli._options import Json, Where
from beige.cli._terminal import emit, err, out
from beige.cli.evaluation.shared import SPLIT, settings

_DRAWN = 300  # queries from an index where no data is named


def run(
    model: str = typer.Argument(help="A model's name or a checkpoint's folder."),
    data: Path | None = typer.Argument(None, help="What to measure on; without it, queries are drawn from the index."),
    precision: str = typer.Option("int8", help="int8 or bf16."),
    tolerance: float = typer.Option(0.005, help="The loss against fp32 that is acceptable, in nDCG@10 or Spearman."),
    split: str | None = SPLIT,
    index: str | None = Where,
    as_json: bool = Json,
) -> None:
    """Say whether a precision is good enough for a model, on your data; exits with 1 if not.

    It passes if the loss against fp32 is below the tolerance with 95 % confidence. The verdict is kept beside the
    checkpoint, and precision "auto" obeys it.
    """
    from dataclasses import asdict

    from beige.analyser import AUTO
    from beige.evaluate.gate import gate
    from beige.evaluate.sample import sample
    from beige.evaluate.study import read
    from beige.search import open_index

    if data is not None:
        task = read(data, split)
    else:
        with open_index(index) as opened:
            task = sample(opened.passages(), _DRAWN)
    with settings([], 0.0, AUTO) as used:
        verdict = gate(model, precision, task, used, tolerance=tolerance)
    if as_json:
        emit(
            {
                **asdict(verdict.gate),
                "figures": verdict.figures,
                "interval": asdict(verdict.comparison.interval),
                "tokens_per_second": verdict.tokens_per_second,
                "path": str(verdict.path),
            }
        )
    else:
        answer = "[green]yes[/green]" if verdict.gate.passed else "[red]no[/red]"
        out().print(f"{answer}: {verdict.gate.reason}", soft_wrap=True)
        err().print(f"kept in {verdict.path}", soft_wrap=True)
    if not verdict.gate.passed:
        raise typer.Exit(1)
