"""The product whole: `python -m bench.product`, written to docs/measurements/product.md.

Indexing, cold and warm search and memory, through the product's own commands where there is one. Leave the machine
alone while it runs, some ten minutes.
"""

import argparse
import itertools
import json
import math
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np

from beige.documents.chunk import Failure
from beige.documents.reader import Reader
from beige.documents.splitter import CHUNK_TOKENS
from beige.documents.walk import find
from beige.embedder import Embedder
from beige.evaluate.data import Retrieval, read_retrieval
from beige.index import Index
from beige.index.place import place_of
from beige.index.store import Store
from beige.models.checkpoint import Checkpoint, open_checkpoint
from beige.models.layout import TOKENIZER
from beige.models.pull import pull
from beige.search import Searcher
from bench.machine import circumstances
from bench.report import FOLDER, Target, described, judged, table, targets, write
from bench.texts import DATA
from tests.checkpoints import WORDS, tiny_bert

BEIGE = Path(sys.executable).with_name("beige")
MEGABYTE = 1_000_000
Say = Callable[[str], None]


def aims(whole: Mapping[str, Any]) -> list[Target]:
    """The figures that the project has set itself to reach."""
    return [
        Target("indexing SciFact, share of the bare embedding rate", whole["indexing"]["share_of_bare"], 0.85),
        Target("cold `beige search`, median", float(np.median(whole["cold"]["seconds"])), high=1.2, unit=" s"),
        Target("warm hybrid search, median", whole["warm"]["p50"], high=15, digits=1, unit=" ms"),
        Target("of which the store, median", whole["warm"]["store_p50"], high=5, digits=1, unit=" ms"),
        *(
            Target(
                f"resident memory, main process, indexing {row['text_mb']:.3g} MB of text ({row['model']})",
                row["peak_mb"],
                high=700,
                digits=0,
                unit=" MB",
            )
            for row in whole["memory"]
        ),
    ]


def render(around: Mapping[str, Any], whole: Mapping[str, Any], figures: Sequence[Target], quick: bool) -> str:
    """The page.

    Args:
        around: circumstances.
        whole: what `measure` gave.
        figures: with what they should be.
        quick: whether the figures mean nothing.
    """
    cold, warm, index = np.array(whole["cold"]["seconds"]), whole["warm"], whole["indexing"]
    return "\n\n".join(
        (
            "# The product whole" + (" (a quick run: these figures mean nothing)" if quick else ""),
            described(around),
            "## Targets",
            targets(figures),
            "## Figures",
            f"Indexing {index['documents']['added']} files ({index['chunks']} chunks, {index['tokens']} tokens) in "
            f"{index['precision']}: {index['seconds']:.1f} s ({index['process_seconds']:.1f} s with the start of the "
            f"process), {index['tokens_per_second']:.0f} tokens/s; embedding the same chunks and nothing else "
            f"{' and '.join(f'{rate:.0f}' for rate in index['bare_tokens_per_second'])} before and after: "
            f"{index['share_of_bare']:.0%}.",
            f"`beige search` on that index, from the start of the process to its end, {len(cold)} queries: median "
            f"{np.median(cold):.2f} s, slowest {cold.max():.2f} s.",
            f"Hybrid search in a running process, {warm['queries']} queries: p50 {warm['p50']:.1f} ms, p95 "
            f"{warm['p95']:.1f} ms; of that the store {warm['store_p50']:.1f} ms and {warm['store_p95']:.1f} ms.",
            "The most resident memory of the main process while indexing:",
            table(
                ("model", "text, MB", "chunks", "peak, MB", "seconds"),
                [
                    (
                        row["model"],
                        f"{row['text_mb']:.3g}",
                        row["chunks"],
                        f"{row['peak_mb']:.0f}",
                        f"{row['seconds']:.0f}",
                    )
                    for row in whole["memory"]
                ],
            ),
        )
    )


def measure(checkpoint: Checkpoint, task: Retrieval, more: Sequence[str], quick: bool, folder: Path, say: Say) -> Any:
    """All of the product's own figures.

    Args:
        checkpoint: the model.
        task: SciFact.
        more: texts to fill up with where SciFact is too small.
        quick: a fortieth of everything.
        folder: for files and indexes, empty.
        say: told what goes on.
    """
    count = 128 if quick else len(task.documents)
    queries = list(task.queries.values())
    files, index = folder / "scifact", folder / "index"
    _write_files(files, {name: f"{one.title}\n\n{one.text}\n" for name, one in task.documents.items()}, count)
    say(f"  indexing {count} files")
    figures: dict[str, Any] = {"indexing": _indexing(checkpoint, files, index)}
    say("  searching")
    figures["cold"] = {"seconds": _cold(index, queries[: 3 if quick else 20])}
    figures["warm"] = _warm(index, queries[: 20 if quick else 300])
    corpus = [one.whole for one in task.documents.values()] + list(more)
    sizes = (MEGABYTE // 20, MEGABYTE // 10) if quick else (MEGABYTE, 10 * MEGABYTE)
    figures["memory"] = []
    for size in sizes:
        say(f"  memory: {size / MEGABYTE:g} MB of text")
        texts = folder / f"texts-{size}"
        _write_files(texts, _of_size(corpus, size))
        figures["memory"].append(_memory(checkpoint.name, checkpoint.path, texts, folder))
    size = (1 if quick else 100) * MEGABYTE
    say(f"  memory: {size / MEGABYTE:g} MB of text, tiny random checkpoint")
    tiny, texts = tiny_bert(folder / "tiny", layers=1, max_tokens=512), folder / "words"
    _write_files(texts, _random_words(size))
    figures["memory"].append(_memory("tiny, random", tiny, texts, folder))
    return figures


def _indexing(checkpoint: Checkpoint, files: Path, index: Path) -> dict[str, Any]:
    """SciFact through `beige index`, between two measurements of embedding the same chunks and nothing else."""
    tokens = min(CHUNK_TOKENS, checkpoint.max_tokens)
    with Reader(checkpoint.path / TOKENIZER, chunk_tokens=tokens) as reader:
        read = list(reader.read(find([files])))
    chunks = [chunk.embedded_text for one in read if not isinstance(one, Failure) for chunk in one.chunks]
    embedder = Embedder(checkpoint.path)
    embedder.encode_document(chunks[:256])
    bare = [_bare(embedder, chunks)]
    started = time.perf_counter()
    said = _beige("index", files, "--index", index, "--model", checkpoint.path)
    wall = time.perf_counter() - started
    bare.append(_bare(embedder, chunks))
    rate = said["tokens"] / said["seconds"]
    return {
        **said,
        "precision": embedder.precision,
        "process_seconds": wall,
        "tokens_per_second": rate,
        "bare_tokens_per_second": bare,
        "share_of_bare": rate / float(np.mean(bare)),
    }


def _bare(embedder: Embedder, texts: Sequence[str]) -> float:
    """Tokens a second of embedding and nothing else."""
    started = time.perf_counter()
    tokens = embedder.encode_document(list(texts)).tokens
    return float(np.minimum(tokens, embedder.checkpoint.max_tokens).sum()) / (time.perf_counter() - started)


def _cold(index: Path, queries: Sequence[str]) -> list[float]:
    """Seconds of `beige search` from the start of the process to its end."""
    seconds = []
    for query in queries:
        started = time.perf_counter()
        _beige("search", query, "--index", index)
        seconds.append(time.perf_counter() - started)
    return seconds


class _Watched:
    """A store, and when its searching methods were at work."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.spans: list[tuple[float, float]] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if name not in {"top", "scores", "fetch"}:
            return attribute

        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return attribute(*arguments, **options)
            finally:
                self.spans.append((started, time.perf_counter()))

        return timed

    def busy(self) -> float:
        """Seconds in which at least one method was at work since the last call."""
        total, until = 0.0, -math.inf
        for start, end in sorted(self.spans):
            total += max(0.0, end - max(start, until))
            until = max(until, end)
        self.spans.clear()
        return total


def _warm(path: Path, queries: Sequence[str]) -> dict[str, Any]:
    """Milliseconds of a hybrid search in a process that has the model loaded, and of them the store's."""
    place = place_of(path)
    store = _Watched(place.open())  # it passes everything on
    with Index(place, cast("Store", store), ()) as index, Searcher(index) as searcher:
        searcher.search(queries[0])
        store.busy()
        whole, share = [], []
        for query in queries:
            started = time.perf_counter()
            searcher.search(query)
            whole.append(1000 * (time.perf_counter() - started))
            share.append(1000 * store.busy())
    return {
        "queries": len(queries),
        **{f"p{at}": float(np.percentile(whole, at)) for at in (50, 95)},
        **{f"store_p{at}": float(np.percentile(share, at)) for at in (50, 95)},
    }


def _memory(name: str, model: Path, texts: Path, folder: Path) -> dict[str, Any]:
    """The most memory that the main process of `beige index` held, MB; NaN where there is no /proc."""
    index = folder / f"index-{texts.name}"
    command: list[str | Path] = [BEIGE, "index", texts, "--index", index, "--model", model, "--json"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        _high_water(Path(f"/proc/{process.pid}/status")) as seen,
    ):
        said, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"beige index failed: {errors.strip()}")
    size = sum(file.stat().st_size for file in texts.iterdir()) / MEGABYTE
    return {"model": name, "text_mb": size, "peak_mb": max(seen, default=math.nan), **json.loads(said)}


@contextmanager
def _high_water(status: Path) -> Iterator[list[float]]:
    """Collects the high-water mark of a process's resident memory, MB, while the block runs."""
    seen: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            try:
                lines = status.read_text().splitlines()
            except OSError:
                return
            seen.extend(int(line.split()[1]) * 1024 / MEGABYTE for line in lines if line.startswith("VmHWM"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def _beige(*arguments: str | Path) -> Any:
    """Run a command with `--json`; what it says."""
    done = subprocess.run([BEIGE, *arguments, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"beige {arguments[0]} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _write_files(folder: Path, texts: "dict[str, str]", count: int | None = None) -> None:
    folder.mkdir(parents=True)
    for name, text in itertools.islice(texts.items(), count):
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def _of_size(corpus: Sequence[str], size: int) -> dict[str, str]:
    """Texts that together have so many bytes, or all where there are fewer."""
    texts: dict[str, str] = {}
    for number, text in enumerate(corpus):
        size -= len(text.encode())
        if size < 0:
            break
        texts[str(number)] = text
    return texts


def _random_words(size: int) -> dict[str, str]:
    """Files of half a megabyte of words that the tiny checkpoint knows."""
    choose = random.Random(0)
    part = MEGABYTE // 2
    lines = part // 80

    def text() -> str:
        return "\n".join(
            " ".join(choose.choices(WORDS, k=15)) + ("\n" if line % 9 == 8 else "") for line in range(lines)
        )

    return {str(number): text() for number in range(size // part)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bge-small-en-v1.5", help="a name of the catalogue, or a folder")
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument(
        "--quick", action="store_true", help="try the harness in a minute or two; its figures mean nothing"
    )
    options = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    around = circumstances()
    say(described(around))
    checkpoint = open_checkpoint(pull(options.model).path)
    task = read_retrieval(options.data / "retrieval" / "scifact")
    more = [
        record.whole
        for name in ("cranfield", "xquad_r-en", "xquad_r-de", "xquad_r-es")
        for record in read_retrieval(options.data / "retrieval" / name).documents.values()
    ]
    with tempfile.TemporaryDirectory() as folder:
        whole = measure(checkpoint, task, more, options.quick, Path(folder), say)
    figures = aims(whole)
    page = render(around, whole, figures, options.quick)
    say(page)
    values = {
        "circumstances": around,
        "quick": options.quick,
        "product": whole,
        "targets": judged(figures),
    }
    write("product", page, values, options.output)


if __name__ == "__main__":
    main()
