"""Serving over HTTP beside the library and beside Infinity: `python -m bench.serve`, to docs/measurements/serve.md.

Leave the machine alone while it runs, some ten minutes. Clients, of which each keeps one connection and sends one text
after the other, run in a process of their own; they take some of the same cores, which is told.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from beige.embedder import Embedder
from beige.evaluate.data import read_retrieval
from beige.models.pull import pull
from bench.environments import PeerError, python_of
from bench.machine import circumstances
from bench.report import FOLDER, Target, described, judged, table, targets, write
from bench.texts import DATA, workloads

CLIENTS = (1, 8, 32, 128)
CROWD = 500
"""Connections in overload, each of which always has a request under way."""

PORT = 18_471
BEIGE, INFINITY = "Beige", "Infinity"


@dataclass(frozen=True)
class Load:
    """What some clients saw.

    Attributes:
        rate: texts a second, all clients together.
        p50: milliseconds of a request, the median.
        p95: likewise.
        share: of the processor that the clients took, of one core.
        refused: answers that were no embeddings, by status.
        waited: texts that were sent again after a server had said when.
    """

    rate: float
    p50: float
    p95: float
    share: float
    refused: Mapping[str, int]
    waited: int


async def _client(url: str, bodies: Sequence[bytes], seen: list[float], refused: dict[str, int], until: float) -> int:
    """Send one text after the other over one connection; what is refused for want of time is sent again when said."""
    parts, waited = urlsplit(url), 0
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    for body in bodies:
        while time.monotonic() < until:
            started = time.perf_counter()
            writer.write(head % (parts.path.encode(), len(body)) + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(answer.split(b"content-length: ")[1].split(b"\r\n")[0]))
            status = answer.split(b" ")[1].decode()
            if status == "200":
                seen.append(1000 * (time.perf_counter() - started))
                break
            refused[status] = refused.get(status, 0) + 1
            if b"retry-after: " not in answer:
                break
            waited += 1
            await asyncio.sleep(float(answer.split(b"retry-after: ")[1].split(b"\r\n")[0]))
    writer.close()
    return waited


def _clients(url: str, model: str, texts: Sequence[str], count: int, seconds: float) -> Load:
    """Let so many clients send the texts, each its share."""
    extra = {"model": model, "encoding_format": "base64"}
    bodies = [json.dumps({"input": text, **extra}).encode() for text in texts]
    seen: list[float] = []
    refused: dict[str, int] = {}
    started, busy = time.perf_counter(), time.process_time()
    until = time.monotonic() + seconds

    async def all_of_them() -> list[int]:
        each = (_client(url, bodies[first::count], seen, refused, until) for first in range(count))
        return await asyncio.gather(*each)

    waited = sum(asyncio.run(all_of_them()))
    wall = time.perf_counter() - started
    p50, p95 = np.percentile(seen, (50, 95)) if seen else (np.nan, np.nan)
    share = (time.process_time() - busy) / wall
    return Load(len(seen) / wall, float(p50), float(p95), share, refused, waited)


def load(url: str, model: str, texts: Sequence[str], count: int, seconds: float = 120) -> Load:
    """What clients in a process of their own see of a server."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_clients, (url, model, texts, count, seconds))


@contextmanager
def started(
    command: Sequence[str], ready: str, patience: float = 180, log: int = subprocess.DEVNULL
) -> "Iterator[subprocess.Popen[bytes]]":
    """A server that answers at `ready`; it ends with the block.

    Args:
        command: its program and arguments.
        ready: a URL.
        patience: seconds that it may take.
        log: a file's descriptor for what it says; by default nobody hears it.

    Raises:
        PeerError: it ended, or did not answer in time.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    with subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process:
        try:
            until = time.monotonic() + patience
            while not _answers(ready):
                if process.poll() is not None or time.monotonic() > until:
                    raise PeerError(f"{command[0]} did not serve")
                time.sleep(0.2)
            yield process
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def library(embedder: Embedder, texts: Sequence[str]) -> float:
    """Texts a second of one batch, the median of three."""
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        embedder.encode_document(list(texts))
        seconds.append(time.perf_counter() - begun)
    return len(texts) / float(np.median(seconds))


def alone(embedder: Embedder, texts: Sequence[str]) -> tuple[float, float]:
    """Milliseconds of one query after the other, p50 and p95."""
    seconds = []
    for text in texts:
        begun = time.perf_counter()
        embedder.encode_query(text)
        seconds.append(1000 * (time.perf_counter() - begun))
    p50, p95 = np.percentile(seconds, (50, 95))
    return float(p50), float(p95)


def measure(model: Path, texts: Mapping[str, Sequence[str]], overload: float, say: Any) -> dict[str, Any]:
    """All figures; the library is measured before and after."""
    embedder = Embedder(model)
    embedder.encode_document(list(texts["mixed"][:64]))
    before = {name: library(embedder, texts[name]) for name in ("mixed", "short")}
    query = alone(embedder, texts["short"][:200])
    found: dict[str, Any] = {BEIGE: {}, INFINITY: {}}
    beige = [str(Path(sys.executable).with_name("beige")), "serve", "--port", str(PORT), "--log-level", "warning"]
    with started([*beige, "--model", str(model)], f"http://127.0.0.1:{PORT}/health/ready"):
        url = f"http://127.0.0.1:{PORT}/v1/embeddings"
        load(url, model.name, texts["short"][:64], 8)
        for name in ("mixed", "short"):
            found[BEIGE][name] = {count: vars(load(url, model.name, texts[name], count)) for count in CLIENTS}
            say(f"  {BEIGE}, {name}: {found[BEIGE][name][32]['rate']:.0f} texts/s of 32 clients")
        sustained = found[BEIGE]["short"][32]["rate"]
        many = list(texts["short"]) * max(1, int(10 * sustained * overload / len(texts["short"])))
        found["overload"] = vars(load(url, model.name, many, CROWD, overload))
        time.sleep(2)
        found["after overload"] = vars(load(url, model.name, texts["short"][:200], 1))
    after = {name: library(embedder, texts[name]) for name in ("mixed", "short")}
    found["library"] = {
        "before": before,
        "after": after,
        "query": query,
        "precision": embedder.precision,
    }
    try:
        infinity = str(python_of("infinity").with_name("infinity_emb"))
        options = ["--model-id", str(model), "--port", str(PORT + 1), "--device", "cpu"]
        with started([infinity, "v2", *options], f"http://127.0.0.1:{PORT + 1}/health"):
            url = f"http://127.0.0.1:{PORT + 1}/embeddings"
            load(url, f"models/{model.name}", texts["short"][:64], 8)
            for name in ("mixed", "short"):
                found[INFINITY][name] = {
                    count: vars(load(url, f"models/{model.name}", texts[name], count)) for count in CLIENTS
                }
                say(f"  {INFINITY}, {name}: {found[INFINITY][name][32]['rate']:.0f} texts/s of 32 clients")
    except PeerError as error:
        found["failed"] = str(error)
    return found


def aims(found: Mapping[str, Any], bf16: bool) -> list[Target]:
    """The figures that the project has set itself to reach."""
    told = found["library"]
    rate = {name: (told["before"][name] + told["after"][name]) / 2 for name in ("mixed", "short")}
    mine, theirs = found[BEIGE], found[INFINITY]
    figures = [
        Target("32 clients, mixed texts, share of the library's rate", mine["mixed"][32]["rate"] / rate["mixed"], 0.85),
        Target(
            "one query at an idle server less the library's, p95",
            mine["short"][1]["p95"] - told["query"][1],
            high=5,
            digits=1,
            unit=" ms",
        ),
        Target(
            "overload: answers that are neither embeddings nor 429",
            sum(count for status, count in found["overload"]["refused"].items() if status != "429"),
            high=0,
            digits=0,
        ),
        Target(
            "two seconds after overload, p95 of one client, times before",
            found["after overload"]["p95"] / mine["short"][1]["p95"],
            high=1.5,
        ),
    ]
    if theirs:
        least = 3.0 if bf16 else 1.5
        for count in CLIENTS:
            times = mine["mixed"][count]["rate"] / theirs["mixed"][count]["rate"]
            figures.append(Target(f"{count} clients, mixed, times Infinity", times, 1.0 if count == 1 else least))
        slower = mine["mixed"][32]["p95"] / theirs["mixed"][32]["p95"]
        figures.append(Target("32 clients, mixed, p95, of Infinity's", slower, high=0.5))
    return figures


def render(around: Mapping[str, Any], found: Mapping[str, Any], figures: Sequence[Target]) -> str:
    """The page."""
    told = found["library"]
    rows = [
        (name, workload, count, f"{one['rate']:.0f}", f"{one['p50']:.1f}", f"{one['p95']:.1f}", f"{one['share']:.2f}")
        for name in (BEIGE, INFINITY)
        for workload, by_count in found[name].items()
        for count, one in by_count.items()
    ]
    over = found["overload"]
    return "\n\n".join(
        (
            "# Serving",
            described(around),
            "## Targets",
            targets(figures),
            "## Figures",
            "Single texts, base64 answers, OpenAI's route. The clients' share is of one core, on the same machine.",
            table(("", "texts", "clients", "texts/s", "p50, ms", "p95, ms", "clients' share"), rows),
            *([f"No figures of {INFINITY}: {found['failed']}."] if "failed" in found else []),
            f"The library, {told['precision']}, texts/s of one batch before and after: mixed "
            f"{told['before']['mixed']:.0f} and {told['after']['mixed']:.0f}, short {told['before']['short']:.0f} and "
            f"{told['after']['short']:.0f}; one query alone p50 {told['query'][0]:.1f} ms, "
            f"p95 {told['query'][1]:.1f} ms.",
            f"Overload, {CROWD:,} connections that send short texts as fast as they are answered: "
            f"{over['rate']:.0f} texts/s embedded, p95 {over['p95']:.0f} ms; refused by status "
            f"{dict(over['refused'])}; {over['waited']} sent again after the time that Retry-After named.",
        )
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bge-small-en-v1.5", help="a name of the catalogue, or a folder")
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--overload", type=float, default=300, metavar="SECONDS", help="how long")
    options = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    around = circumstances()
    say(described(around))
    model = pull(options.model).path
    ordered = workloads(read_retrieval(options.data / "retrieval" / "scifact"))
    texts = {name: random.Random(0).sample(some, len(some)) for name, some in ordered.items()}
    found = measure(model, texts, options.overload, say)
    figures = aims(found, "bf16" in around["machine"]["capabilities"])
    page = render(around, found, figures)
    say(page)
    values = {
        "circumstances": around,
        "figures": found,
        "targets": judged(figures),
    }
    write("serve", page, values, options.output)


if __name__ == "__main__":
    main()
