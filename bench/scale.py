"""An index of 100,000 and of a million chunks: how fast it takes them, opens and answers, and what it needs.

`python -m bench.scale` makes the indexes and measures them; `--index FOLDER FOLDER --only search` measures those that
stand, and what is known of a half that was not run is taken from the file beside the folder.
Each figure of a searching process is taken in a process that does nothing else.
"""

import argparse
import json
import math
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np

from beige.embedder import Embedder
from beige.index import Index
from beige.index.manifest import Storage
from beige.index.sqlite_store import CACHE, DATABASE, SqliteStore
from beige.index.store import Entry, Store
from beige.models.catalogue import find_card
from beige.search import Searcher
from beige.values import Embedding, Floats, Output
from bench.machine import circumstances
from bench.report import Target, described, table, targets, write
from bench.synthetic import BLOCK, CHUNKS, DIMENSION, FINGERPRINT, Corpus
from bench.texts import DATA

SIZES = (100_000, 1_000_000)
QUERIES = 300
DEPTH = 100
"""Candidates of each leg, as a hybrid search takes them."""

WRITES = 100
"""Chunks a second that another process replaces while searches are measured: what a model embeds on a CPU."""

BATCH = 32
"""Documents stored in one transaction."""

PERCENTILES = (50, 95, 99)
MEGABYTE = 1_000_000
LARGEST_OF_STORAGES = 200_000
"""Chunks up to which the storages are compared: each takes a graph of its own."""

Place = tuple[str, int]


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, nargs="+", default=list(SIZES), help="sizes of the indexes")
    parser.add_argument("--index", type=Path, nargs="+", help="folders of the indexes, which are kept")
    parser.add_argument("--only", choices=tuple(PARTS), help="a part of it; a report is written where none lacks")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)  # the process that writes
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)  # the process that searches
    asked = parser.parse_args()
    corpus = Corpus(asked.data)
    if asked.write:
        keep_writing(asked.write, corpus)
    elif asked.search:
        json.dump(search(asked.search, corpus), sys.stdout)
    else:
        with tempfile.TemporaryDirectory(prefix="beige-scale-") as made:
            folders = asked.index or [Path(made) / str(chunks) for chunks in asked.chunks]
            if not asked.index and asked.only:
                parser.error("a part needs --index")
            parts = [asked.only] if asked.only else list(PARTS)
            runs = [measure(*one, parts, asked.data) for one in zip(folders, asked.chunks, strict=False)]
        if all(part in one for one in runs for part in PARTS):
            say("SciFact")
            report(runs, small(corpus))


def measure(folder: Path, chunks: int, parts: Sequence[str], data: Path) -> dict[str, Any]:
    """Make an index and search it, or one of both; what was measured is kept in a file beside it."""
    kept = folder.with_name(folder.name + ".json")
    figures: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for part in parts:
        say(f"{folder}: {part}")
        if part != "build":
            SqliteStore.open(folder, write=True).close()  # an index that an older Beige made is upgraded
        figures[part] = PARTS[part](folder, chunks, data)
    with SqliteStore.open(folder) as store:
        figures["documents"], figures["chunks"] = store.count()
    figures["disk"] = sizes(folder)
    kept.write_text(json.dumps(figures, indent=1))
    return figures


def sizes(folder: Path) -> dict[str, float]:
    """Of an index's files, MB."""
    return {path.name: path.stat().st_size / MEGABYTE for path in sorted(folder.iterdir()) if path.name != "lock"}


def say(text: str) -> None:
    """Tell what goes on."""
    print(text, file=sys.stderr, flush=True)


# Writing


def build(folder: Path, chunks: int, data: Path) -> dict[str, Any]:
    """Put in so many chunks, made by another process, as fast as the store takes them."""
    shutil.rmtree(folder, ignore_errors=True)
    corpus = Corpus(data)
    per_block = BLOCK * CHUNKS
    marks = [(0, time.perf_counter())]
    with SqliteStore.create(folder, corpus.manifest()) as store:
        for entries in blocks(data, -(-chunks // per_block)):
            for start in range(0, BLOCK, BATCH):
                store.upsert(entries[start : start + BATCH])
            marks.append((marks[-1][0] + per_block, time.perf_counter()))
            if len(marks) % 8 == 0:
                say(f"  {marks[-1][0]:,} chunks in {marks[-1][1] - marks[0][1]:.0f} s")
        stored = time.perf_counter()
    closed = time.perf_counter()
    if store.notices:
        raise RuntimeError(store.notices)
    paces = [(n1 - n0) / (t1 - t0) for (n0, t0), (n1, t1) in pairwise(marks)]
    last = max(1, len(paces) // 4)
    return {
        "chunks": marks[-1][0],
        "seconds": closed - marks[0][1],
        "closing_seconds": closed - stored,
        "per_second": marks[-1][0] / (closed - marks[0][1]),
        "per_second_last_quarter": last * per_block / (marks[-1][1] - marks[-1 - last][1]),
        "longest_wait_seconds": max(t1 - t0 for (_, t0), (_, t1) in pairwise(marks)),
    }


def blocks(data: Path, count: int) -> Iterator[list[Entry]]:
    """The corpus's blocks, made ahead by another process."""
    with ProcessPoolExecutor(1, initializer=_begin, initargs=(data,)) as pool:
        ahead = [pool.submit(_block, number) for number in range(min(3, count))]
        for number in range(count):
            entries = ahead.pop(0).result()
            if number + 3 < count:
                ahead.append(pool.submit(_block, number + 3))
            yield entries


_corpus: Corpus | None = None


def _begin(data: Path) -> None:
    global _corpus  # noqa: PLW0603 a process of the pool makes it once
    _corpus = Corpus(data)


def _block(number: int) -> list[Entry]:
    assert _corpus is not None
    return _corpus.block(number)


def keep_writing(folder: Path, corpus: Corpus) -> None:
    """Replace documents by themselves, with what that costs the index, until the standard input ends."""
    done = threading.Event()

    def await_end() -> None:
        sys.stdin.read()
        done.set()

    threading.Thread(target=await_end, daemon=True).start()
    choose = np.random.default_rng()
    with SqliteStore.open(folder, write=True) as store:
        whole = store.count()[1] // (BLOCK * CHUNKS)
        print("ready", flush=True)
        while True:
            entries = corpus.block(int(choose.integers(whole)))
            for start in range(0, BLOCK, 8):
                store.upsert(entries[start : start + 8])
                if done.wait(8 * CHUNKS / WRITES):
                    return


@contextmanager
def writing(folder: Path, data: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that writes while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.scale", "--write", folder, "--data", data],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise RuntimeError("the writer failed")
    try:
        yield process
    finally:
        process.communicate()
    if process.returncode:
        raise RuntimeError(f"the writer failed with {process.returncode}")


# Searching


class Given:
    """An embedder of queries whose vectors are known."""

    fingerprint = FINGERPRINT
    checkpoint = SimpleNamespace(card=find_card("bge-small-en-v1.5"))

    def __init__(self, texts: Sequence[str], vectors: Floats) -> None:
        self._vectors = dict(zip(texts, vectors, strict=True))

    def encode_query(self, text: str, outputs: tuple[Output, ...]) -> Embedding:
        """The query's vector."""
        assert outputs == ("dense",)
        return Embedding(dense=self._vectors[text], sparse=None, multi=None, tokens=0, truncated=False)


def run(role: str, folder: Path, data: Path) -> Any:
    """What a process of this program measures."""
    command: list[str | Path] = [sys.executable, "-m", "bench.scale", role, folder, "--data", data]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def search(folder: Path, corpus: Corpus) -> dict[str, Any]:
    """Milliseconds of each leg and of hybrid searches, recall, memory."""
    texts, vectors = corpus.queries(QUERIES)
    best = exact(folder, vectors)
    started = time.perf_counter()
    index = Index.open(folder)
    opened = time.perf_counter()
    figures: dict[str, Any] = {"queries": len(texts), "open_ms": 1000 * (opened - started)}
    given: Embedder = Given(texts, vectors)  # type: ignore[assignment]  # all that a search asks of one
    with index, Searcher(index, given) as searcher:
        words = [index.analyser.query(text) for text in texts]
        store = index.store
        figures["first_ms"] = timed([(texts[0],)], searcher.search)["p50"]
        figures["memory_first"] = memory()
        asks: dict[str, tuple[Callable[..., Any], Iterable[tuple[Any, ...]]]] = {
            "dense": (lambda vector: store.top("dense", vector, DEPTH), [(v,) for v in vectors]),
            "bm25": (lambda query: store.top("bm25", query, DEPTH), [(w,) for w in words]),
            "hybrid": (lambda text: searcher.search(text, 10), [(text,) for text in texts]),
        }
        for name, (ask, arguments) in asks.items():
            figures[name] = timed(arguments, ask)
        figures["recall@10"] = recall(best, [places(store, vector, 10) for vector in vectors])
        figures["memory"] = memory()
        if index.store.notices:
            raise RuntimeError(index.store.notices)
    return figures


def searches(folder: Path, chunks: int, data: Path) -> dict[str, Any]:
    """Searches at rest, and while another process writes."""
    rest = run("--search", folder, data)
    with writing(folder, data) as writer:
        busy = run("--search", folder, data)
        return {"at rest": rest, "while written": busy, "writer": memory(writer.pid)}


def storages(folder: Path, chunks: int, data: Path) -> dict[str, Any]:
    """What each storage of a small index's dense leg takes and finds."""
    if chunks > LARGEST_OF_STORAGES:
        return {}
    figures = {}
    _, vectors = Corpus(data).queries(QUERIES)
    best = exact(folder, vectors)
    with tempfile.TemporaryDirectory(prefix="beige-scale-") as made:
        copy = Path(made) / "index"
        shutil.copytree(folder, copy)
        for storage in get_args(Storage):
            with Index.open(copy) as index:
                index.keep_as(storage)
            with SqliteStore.open(copy) as store:
                figures[storage] = {
                    "cache_mb": sizes(copy)["dense.cache"],
                    **timed([(v,) for v in vectors], lambda v, s=store: s.top("dense", v, DEPTH)),
                    **{f"recall@10 of {k}": recall(best, [places(store, v, k) for v in vectors]) for k in (10, DEPTH)},
                }
    return figures


def timed(arguments: Iterable[tuple[Any, ...]], ask: Callable[..., Any]) -> dict[str, float]:
    """Percentiles of the milliseconds of each call, and of those that the processor spent on it."""
    spent = []
    for one in arguments:
        started, busy = time.perf_counter(), time.process_time()
        ask(*one)
        spent.append((1000 * (time.perf_counter() - started), 1000 * (time.process_time() - busy)))
    wall, cpu = np.transpose(spent)
    return {
        f"{kind}p{at}": float(np.percentile(each, at))
        for kind, each in (("", wall), ("cpu_", cpu))
        for at in PERCENTILES
    }


def places(store: Store, vector: Floats, k: int) -> set[Place]:
    """The ten best of the k that the dense leg finds."""
    return {(p.source, p.position) for p in store.fetch(store.top("dense", vector, k).ids[:10])}


def recall(best: Sequence[set[Place]], found: Sequence[set[Place]]) -> float:
    """The share of the best that was found."""
    return sum(len(b & f) for b, f in zip(best, found, strict=True)) / sum(map(len, best))


def exact(folder: Path, queries: Floats, k: int = 10) -> list[set[Place]]:
    """The k best chunks of each query by all the vectors of the database, kept in a file beside the index.

    Documents are only ever replaced by themselves here, so that places stay true while ids do not.
    """
    kept = folder.with_name(folder.name + ".exact.json")
    if kept.exists():
        return [{(source, position) for source, position in row} for row in json.loads(kept.read_text())]
    scores = np.full((len(queries), k), -math.inf, np.float32)
    ids = np.zeros((len(queries), k), np.int64)
    with closing(sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT chunk, vector FROM leg_0 ORDER BY chunk")
        while page := rows.fetchmany(8192):
            vectors = np.frombuffer(b"".join(blob for _, blob in page), "<f2").reshape(-1, DIMENSION).astype(np.float32)
            scores = np.concatenate([scores, queries @ vectors.T], axis=1)
            chunks = np.broadcast_to(np.array([chunk for chunk, _ in page]), (len(queries), len(page)))
            ids = np.concatenate([ids, chunks], axis=1)
            order = np.argpartition(-scores, k, axis=1)[:, :k]
            scores, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
    with SqliteStore.open(folder) as store:
        best = [{(p.source, p.position) for p in store.fetch(row)} for row in ids]
    kept.write_text(json.dumps([sorted(row) for row in best]))
    return best


def memory(pid: int | None = None) -> dict[str, float]:
    """A process's resident memory, MB: its own, of mapped files, and both."""
    lines = Path(f"/proc/{pid or 'self'}/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 / MEGABYTE for line in lines if line.startswith("Rss")}
    own, mapped = sizes["RssAnon"], sizes["RssFile"] + sizes["RssShmem"]
    return {"own_mb": own, "mapped_mb": mapped, "resident_mb": own + mapped}


def small(corpus: Corpus) -> dict[str, float]:
    """Milliseconds of warm hybrid searches over SciFact."""
    entries, texts, vectors = corpus.scifact()
    with tempfile.TemporaryDirectory(prefix="beige-scale-") as made:
        folder = Path(made) / "index"
        with SqliteStore.create(folder, corpus.manifest()) as store:
            store.upsert(entries)
        given: Embedder = Given(texts, vectors)  # type: ignore[assignment]
        with Index.open(folder) as index, Searcher(index, given) as searcher:
            timed([(text,) for text in texts[:20]], searcher.search)
            return {"chunks": index.count()[1], **timed([(text,) for text in texts], searcher.search)}


# Reporting


PARTS: Mapping[str, Callable[[Path, int, Path], dict[str, Any]]] = {
    "build": build,
    "search": searches,
    "storages": storages,
}


def report(runs: Sequence[Mapping[str, Any]], scifact: Mapping[str, float]) -> None:
    """Write docs/measurements/scale.md and .json."""
    largest = max(runs, key=lambda one: one["chunks"])["search"]["at rest"]
    where = circumstances()
    legs = ("dense", "bm25", "hybrid")
    rows = []
    for one in runs:
        for when in ("at rest", "while written"):
            found = one["search"][when]
            spent = [" / ".join(f"{found[leg][f'p{at}']:.1f}" for at in PERCENTILES) for leg in legs]
            spent.append(" / ".join(f"{found['hybrid'][f'cpu_p{at}']:.1f}" for at in PERCENTILES))
            held = [f"{found['memory'][which]:,.0f}" for which in ("resident_mb", "own_mb")]
            rows.append((f"{one['chunks']:,}", when, *spent, f"{found['recall@10']:.3f}", *held))
    stores = [
        (
            f"{one['chunks']:,}",
            f"{one['build']['per_second']:,.0f}",
            f"{one['build']['per_second_last_quarter']:,.0f}",
            f"{one['search']['at rest']['open_ms']:.1f}",
            f"{one['search']['at rest']['first_ms']:.0f}",
            f"{one['disk'][DATABASE]:,.0f}",
            f"{sum(size for name, size in one['disk'].items() if name.endswith(CACHE)):,.0f}",
            f"{one['search']['writer']['resident_mb']:,.0f}",
        )
        for one in runs
    ]
    kept = [
        (f"{one['chunks']:,}", storage, f"{found['cache_mb']:,.0f}", f"{found['p50']:.1f}", f"{found['p95']:.1f}",
         f"{found['recall@10 of 10']:.3f}", f"{found[f'recall@10 of {DEPTH}']:.3f}")
        for one in runs
        for storage, found in one["storages"].items()
    ]  # fmt: skip
    page = "\n\n".join(
        (
            "# Scale",
            described(where),
            f"Synthetic vectors of {DIMENSION} dimensions in clusters, texts of real sentences, {QUERIES} real "
            f"questions; milliseconds p50 / p95 / p99 without the query's embedding, {DEPTH} candidates a leg; CPU is "
            f"what the processor spent on it, which is the same on a machine that has other work; while "
            f"written: another process replaces {WRITES} chunks a second.",
            targets(
                [
                    Target("hybrid p95 at rest", largest["hybrid"]["p95"], high=25, digits=1, unit=" ms"),
                    Target("SciFact, hybrid p95", scifact["p95"], high=10, digits=1, unit=" ms"),
                    Target("of it CPU", scifact["cpu_p95"], high=10, digits=1, unit=" ms"),
                    Target("recall@10", largest["recall@10"], low=0.97, digits=3),
                    Target("resident", largest["memory"]["resident_mb"] / 1000, high=2.5, unit=" GB"),
                ]
            ),
            table(("chunks", "", *legs, "hybrid, CPU", "recall@10", "resident MB", "of it not mapped"), rows),
            "Inserts include the other process that makes the chunks, and the last merge.",
            table(
                ("chunks", "chunks/s in", "last quarter", "open ms", "first search ms", "database MB", "caches MB",
                 "a writer's resident MB"),
                stores,
            ),
            f"How the dense leg keeps vectors; recall of 10 and of {DEPTH} hits asked for.",
            table(("chunks", "storage", "cache MB", "p50 ms", "p95 ms", "recall@10 of 10", f"of {DEPTH}"), kept),
        )
    )  # fmt: skip
    write("scale", page, {"circumstances": where, "runs": list(runs), "scifact": dict(scifact)})


if __name__ == "__main__":
    main()
