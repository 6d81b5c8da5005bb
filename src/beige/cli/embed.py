"""`beige embed`: texts in, vectors out."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from beige.cli._options import Json, names
from beige.cli._terminal import emit, progress

if TYPE_CHECKING:
    from beige.embedding_file import EmbeddingFile
    from beige.values import Embeddings, Output, Role, Sparse

    Encode = Callable[[Iterator[str]], Iterator[Embeddings]]
    Tell = Callable[[Embeddings], None]


def run(
    source: str = typer.Argument("-", metavar="[FILE|-]", help="One text a line, or JSON lines; - is stdin."),
    *,
    model: str = typer.Option("bge-small-en-v1.5", help="A name from `beige models`, or a folder."),
    role: str = typer.Option("document", help="query or document: what the texts are for."),
    precision: str = typer.Option("auto", help="fp32, bf16, int8, or auto: the fastest that keeps the vectors."),
    instruction: str | None = typer.Option(None, help="Goes before every query instead of the model's own."),
    prompt: str | None = typer.Option(None, help="One of the model's own instructions or tasks, by its name."),
    max_tokens: int | None = typer.Option(None, help="Cut longer texts to so many.  [default: the model's length]"),
    outputs: str = typer.Option("dense", help="dense, sparse, multi, or several with commas between."),
    explain: bool = typer.Option(False, "--explain", help="Show the sparse output's tokens with their weights."),
    field: str | None = typer.Option(
        None, help="The field of JSON lines that holds the text.  [default: text, for .jsonl and .ndjson files]"
    ),
    output: Path | None = typer.Option(
        None, "--output", "-o", help="x.jsonl, x.npy (with x.meta.jsonl) or x.parquet.  [default: JSON lines on stdout]"
    ),
    as_json: bool = Json,
) -> None:
    """Embed texts, each by itself, in the order of the input.

    A run with --output that was broken off goes on where it stopped when it is started again in the same way.
    """
    from beige.cli._texts import JSON_SUFFIXES, open_input, read_texts
    from beige.embedder import Embedder
    from beige.embedding_file import EmbeddingFile, check, check_apart
    from beige.errors import UsageError

    wanted = tuple(cast("list[Output]", dict.fromkeys(names(outputs))))
    if output is not None:
        check(output, wanted)
    if explain and (output is not None or "sparse" not in wanted):
        raise UsageError("--explain shows the tokens of the sparse output on stdout: add --outputs sparse, no --output")
    if role == "document" and (instruction is not None or prompt is not None):
        raise UsageError("an instruction or a prompt goes before queries, and these are documents: add --role query")
    if field is None and source.endswith(JSON_SUFFIXES):
        field = "text"
    started = time.perf_counter()
    counts = {"texts": 0, "tokens": 0, "truncated": 0}
    with open_input(source) as lines, progress("texts") as bar:
        if output is not None:
            check_apart(output, lines)
        embedder = Embedder(model, precision=precision, instruction=instruction, prompt=prompt, max_tokens=max_tokens)
        texts = read_texts(lines, "stdin" if source == "-" else source, field)
        task = bar.add_task("embedding", total=_count(Path(source)))

        def tell(part: "Embeddings") -> None:
            counts["texts"] += len(part)
            counts["tokens"] += int(part.tokens.sum())
            counts["truncated"] += int(part.truncated.sum())
            bar.update(task, advance=len(part))

        def encode(texts: Iterator[str]) -> "Iterator[Embeddings]":
            return embedder.encode(texts, cast("Role", role), wanted)

        if output is None:
            _print(encode(texts), tell, embedder.words if explain else None)
        else:
            settings = {
                "model": embedder.fingerprint,
                "role": role,
                "template": embedder.template(cast("Role", role)),
                "precision": embedder.precision,
                "max_tokens": embedder.max_tokens,
            }
            with EmbeddingFile(output, settings, embedder.dimension, wanted) as target:
                bar.update(task, advance=target.rows)
                _save(texts, encode, target, tell)
    if output is not None and as_json:
        emit({"output": str(output), **counts, "seconds": round(time.perf_counter() - started, 3)})
    if cut := counts["truncated"]:
        print(f"beige: texts cut to {embedder.max_tokens} tokens: {cut:,} of {counts['texts']:,}", file=sys.stderr)


def _print(parts: "Iterable[Embeddings]", tell: "Tell", words: "Callable[[Sparse], dict[str, float]] | None") -> None:
    from beige.embedding_file import json_line

    done = 0
    for part in parts:
        for row, each in enumerate(part):
            shown = words(each.sparse) if words and each.sparse is not None else None
            sys.stdout.write(json_line(done + row, each, shown))
        sys.stdout.flush()
        done += len(part)
        tell(part)


def _save(texts: Iterable[str], encode: "Encode", target: "EmbeddingFile", tell: "Tell") -> None:
    from beige.errors import NotFiniteError

    before = target.rows
    if before:
        print(f"beige: going on after {before:,} texts of a broken run", file=sys.stderr)
    try:
        for part in encode(target.remaining(texts)):
            target.append(part)
            tell(part)
    except NotFiniteError as error:
        raise NotFiniteError(f"after {before:,} texts of an earlier run, {error}" if before else str(error)) from error
    target.finish()


def _count(path: Path) -> int | None:
    """How many lines a file has; None for what can be read only once."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
