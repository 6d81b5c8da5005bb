"""`beige tune`: choose how an index is searched, by judgements."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from beige.cli._options import Json, Where
from beige.cli._terminal import emit, out, progress

if TYPE_CHECKING:
    from beige.evaluate.tuning import Outcome
    from beige.index.manifest import Choice


def run(
    queries: Path = typer.Option(
        ..., metavar="FILE", help='Lines {"_id", "text"}, with "relevant": [SOURCE] where there is no --qrels.'
    ),
    qrels: Path | None = typer.Option(
        None, metavar="FILE", help="Tab-separated query id, source, grade; a source may be the end of its path."
    ),
    *,
    index: str | None = Where,
    rerank: str | None = typer.Option(None, metavar="MODEL", help="Find out too whether this reranker pays."),
    measure: str = typer.Option("nDCG@10", help="What is to be as high as possible."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Tell, and change nothing."),
    as_json: bool = Json,
) -> None:
    """Choose legs, weights, depth, and whether feedback and reranking pay, by your judgements.

    The gain is measured on queries that had no say in the choice. The index is
    changed only where the gain is above 0 with 95 % confidence: it is then searched
    that way unless a search says otherwise. What relevance means is fitted too.
    """
    from beige.errors import UsageError
    from beige.evaluate.measures import Measure
    from beige.evaluate.own import of_index
    from beige.evaluate.tuning import CHOICES, listen, tune
    from beige.index import Index
    from beige.reranker import Reranker

    wanted = Measure.parse(measure)
    if wanted.kind == "Judged":
        raise UsageError("Judged tells how much is judged, not how good it is: tune for another measure")
    with Index.open(index) as opened:
        data = of_index(opened, queries, qrels)
        own = opened.manifest.choice.rerank if opened.manifest.choice else None
        rerankers = {name: Reranker(name) for name in (rerank, own) if name}
        with progress("queries") as bar:
            task = bar.add_task("asking", total=len(data.judgements))
            heard = listen(opened, data, lambda more: bar.update(task, advance=more))
            task = bar.add_task("choosing", total=CHOICES)
            outcome = tune(
                opened, data, heard, wanted, rerankers=rerankers, tell=lambda more: bar.update(task, advance=more)
            )
        written = not dry_run and (outcome.better or outcome.calibration is not None)
        if written:
            opened.prefer(outcome.choice if outcome.better else None, outcome.calibration)
    if as_json:
        emit({**asdict(outcome), "remarks": list(data.remarks), "written": written})
    else:
        for remark in data.remarks:
            typer.echo(remark, err=True)
        _show(outcome, dry_run)


def _show(outcome: "Outcome", dry_run: bool) -> None:
    console = out()
    gain, low, high = outcome.after - outcome.before, outcome.interval.low, outcome.interval.high
    console.print(
        f"{outcome.measure} of {outcome.queries} queries: [bold]{outcome.before:.4f}[/bold] as it is searched now, "
        f"[bold]{outcome.after:.4f}[/bold] tuned (each query searched as was surest by the others)"
    )
    console.print(f"gain {gain:+.4f}, with 95 % confidence from {low:+.4f} to {high:+.4f}, p = {outcome.p:.3f}")
    console.print(f"surest by all: {spelled(outcome.choice)}")
    if not outcome.better:
        console.print("Not certain enough: the index is searched as before.")
    elif dry_run:
        console.print("Nothing was changed (--dry-run).")
    else:
        console.print("The index is searched this way from now on.")
    if outcome.calibration is not None and not dry_run:
        console.print("What relevance means was fitted to these judgements.")


def spelled(choice: "Choice") -> str:
    """A way of searching, for people."""
    weights = ",".join(f"{leg}={weight:g}" for leg, weight in choice.weights.items())
    parts = [f"legs {','.join(choice.legs)}"]
    if len(choice.legs) > 1:
        parts.append(f"fusion {choice.fusion}" + (f" {weights}" if weights else ""))
    parts.append(f"depth {choice.depth}")
    if choice.feedback:
        parts.append(f"feedback {choice.feedback:g}")
    parts.append(f"reranked by {choice.rerank}, {choice.read} of each query" if choice.rerank else "not reranked")
    return "; ".join(parts)
