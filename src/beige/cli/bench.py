"""`beige bench`: how fast a model is on this machine."""

from pathlib import Path

import typer

from beige.cli._options import Json
from beige.cli._terminal import emit, err, out


def run(
    model: str = typer.Option("bge-small-en-v1.5", help="A model's name or a checkpoint's folder."),
    precision: str = typer.Option("auto", help="auto, fp32, bf16 or int8."),
    texts: Path | None = typer.Option(None, help="A file with one text a line, in place of the built-in texts."),
    as_json: bool = Json,
) -> None:
    """Measure a model on this machine: tokens a second, the latency of one query, the time to load.

    Built in are 128 long and 256 short texts of English words drawn at random, always the same.
    """
    from dataclasses import asdict

    from beige.evaluate.machine import machine
    from beige.evaluate.speed import measure_speed, read_lines, sample_texts

    source = str(texts) if texts else "English words drawn at random"
    given = read_lines(texts) if texts else sample_texts()
    if not as_json:
        err().print(f"measuring {model} with {len(given)} texts ({source}); leave the machine alone for a while")
    speed, around = measure_speed(model, given, precision), machine()
    if as_json:
        emit({**asdict(speed), "source": source, "machine": around})
        return
    console = out()
    console.print(f"[bold]{speed.model}[/bold] in {speed.precision}")
    console.print(f"{speed.rate:10,.0f} tokens a second ({speed.texts} texts, {speed.tokens:,} tokens)")
    console.print(f"{speed.p50:10.1f} ms for one query, {speed.p95:.1f} ms at the 95th percentile")
    console.print(f"{speed.load:10.1f} s to load")
    can = ", ".join(around["capabilities"]) or "nothing of note"
    console.print(f"on {around['cpu']}, {around['cores']} cores; it can do {can}")
