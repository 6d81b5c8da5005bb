"""Serving over HTTP beside the library and beside Infinity: `python -m bench.serve`, to docs/measurements/serve.md.

Leave the machine alone while it runs, some twelve minutes.
"""

import argparse
import json
import random
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from beige.embedder import Embedder
from beige.evaluate.data import read_retrieval
from beige.models.pull import pull
from bench.clients import crowd, load
from bench.environments import PeerError, packages, python_of
from bench.footprint import resident
from bench.machine import circumstances
from bench.report import FOLDER, Target, described, judged, table, targets, write
from bench.servers import BEIGE, INFINITY, Server, beige, get, infinity
from bench.texts import DATA, workloads

CLIENTS = (1, 8, 32, 128)
SECONDS = 8.0
"""How long each number of clients sends each kind of texts, at least."""

OVERLOAD = 300.0
TIMES = 10
"""In overload, how many times the texts a second that the server could embed before are sent."""

TOGETHER = 8
"""Texts of a request in overload."""

PATIENT = 8
"""Clients in overload that come again when they are told to."""

BATCH = 0.05
"""Seconds that a batch of ingestion may take while queries come."""


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


def loads(server: Server, texts: Mapping[str, Sequence[str]], seconds: float) -> dict[str, dict[int, dict[str, Any]]]:
    """What clients see, by texts and by their number."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for name in ("mixed", "short"):
        requests = [server.asked(text) for text in texts[name]]
        load(server.base, requests, 8, 1)
        found[name] = {count: vars(load(server.base, requests, count, seconds)) for count in CLIENTS}
    return found


def filled(server: Server, texts: Mapping[str, Sequence[str]], seconds: float) -> dict[str, Any]:
    """Queries alone, and while documents are sent as fast as the server takes them."""
    queries = [server.asked(text, ":query") for text in texts["short"]]
    idle = vars(load(server.base, queries, 1, seconds))
    with _filling(server, texts["long"]):
        time.sleep(2)
        before = _batches(server)
        begun = time.monotonic()
        beside = vars(load(server.base, queries, 1, seconds))
        ingested = {name: value - before[name] for name, value in _batches(server).items()}
        wall = time.monotonic() - begun
    return {
        "idle": idle,
        "beside": beside,
        "tokens": ingested["tokens"] / wall,
        "batch": 1000 * ingested["seconds"] / ingested["batches"],
        "short": ingested["short"] / ingested["batches"],
    }


@contextmanager
def _filling(server: Server, texts: Sequence[str]) -> Iterator[None]:
    """Documents are sent until the block ends: two jobs at a time, none of whose texts were there before."""
    done = threading.Event()
    failed: list[BaseException] = []

    def work(worker: int) -> None:
        number = 0
        try:
            while not done.is_set():
                number += 1
                name = f"{worker}/{number}"
                records = [{"source": f"{name}/{at}", "text": f"{name}: {text}"} for at, text in enumerate(texts)]
                body = json.dumps(records).encode()
                asked = urllib.request.Request(
                    f"{server.base}/v1/documents", body, {"Content-Type": "application/json"}
                )
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    job = json.load(answer)
                while job["finished"] is None and not done.is_set():
                    time.sleep(0.05)
                    job = json.loads(get(f"{server.base}/v1/jobs/{job['id']}"))
                if job["status"] == "failed":
                    raise PeerError(f"documents were not stored: {job['failures'][:1]}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]


def _batches(server: Server) -> dict[str, float]:
    """What the server counts of ingestion's batches: their number, seconds, tokens, and how many were short enough."""
    names = {
        ("beige_batch_seconds_count", None): "batches",
        ("beige_batch_seconds_sum", None): "seconds",
        ("beige_batch_seconds_bucket", str(BATCH)): "short",
        ("beige_tokens_total", None): "tokens",
    }
    found = dict.fromkeys(names.values(), 0.0)
    for family in text_string_to_metric_families(get(f"{server.base}/metrics")):
        for sample in family.samples:
            name = names.get((sample.name, sample.labels.get("le")))
            if name is not None and sample.labels.get("lane") == "ingestion":
                found[name] += sample.value
    return found


def overload(server: Server, texts: Sequence[str], rate: float, seconds: float) -> dict[str, Any]:
    """Many times the texts a second that the server can embed, and how it is after that.

    Args:
        server: what is to bear it.
        texts: sent some at a time.
        rate: texts a second that it can embed.
        seconds: how long.
    """
    probe = [server.asked(text) for text in texts[:64]]
    before, memory = vars(load(server.base, probe, 1, 2)), resident(server.pid)
    requests = [server.asked(texts[at : at + TOGETHER]) for at in range(0, len(texts) - TOGETHER + 1, TOGETHER)]
    found = vars(crowd(server.base, requests, TIMES * rate / TOGETHER, seconds, PATIENT))
    grown = resident(server.pid)
    time.sleep(2)
    return found | {"before": before, "after": vars(load(server.base, probe, 1, 2)), "memory": (memory, grown)}


def measure(
    model: Path, texts: Mapping[str, Sequence[str]], seconds: float, overloaded: float, say: Any
) -> dict[str, Any]:
    """All figures; the library is measured before and after."""
    embedder = Embedder(model)
    embedder.encode_document(list(texts["mixed"][:64]))
    before = {name: library(embedder, texts[name]) for name in ("mixed", "short")}
    query = alone(embedder, texts["short"])
    say(f"  the library: {before['mixed']:.0f} mixed and {before['short']:.0f} short texts/s")
    with beige(model) as server:
        found: dict[str, Any] = {BEIGE: loads(server, texts, seconds)}
        _told(BEIGE, found[BEIGE], say)
        after = {name: library(embedder, texts[name]) for name in ("mixed", "short")}
        found["library"] = {"before": before, "after": after, "query": query, "precision": embedder.precision}
        found["filled"] = filled(server, texts, seconds)
        say(f"  beside ingestion: {found['filled']['beside']['p95']:.1f} ms p95 of a query")
        found["overload"] = overload(server, texts["mixed"], found[BEIGE]["mixed"][32]["rate"], overloaded)
        say(f"  overload: {dict(found['overload']['statuses'])}")
    del embedder
    try:
        with infinity(model) as server:
            found[INFINITY] = loads(server, texts, seconds)
            found["peer"] = {name: packages("infinity").get(name) for name in ("infinity-emb", "torch")}
            _told(INFINITY, found[INFINITY], say)
    except PeerError as error:
        found["failed"] = str(error)
    return found


def _told(name: str, found: Mapping[str, Any], say: Any) -> None:
    rates = {workload: {count: round(one["rate"]) for count, one in found[workload].items()} for workload in found}
    say(f"  {name}, texts/s by clients: {rates}")


def aims(found: Mapping[str, Any], bf16: bool) -> list[Target]:
    """The figures that the project has set itself to reach."""
    told, mine, over, filling = found["library"], found[BEIGE], found["overload"], found["filled"]
    rate = {name: (told["before"][name] + told["after"][name]) / 2 for name in ("mixed", "short")}
    odd = sum(count for status, count in over["statuses"].items() if status not in {"200", "429", "503"})
    idle = filling["idle"]["p95"]
    figures = [
        Target("32 clients, mixed texts, share of the library's rate", mine["mixed"][32]["rate"] / rate["mixed"], 0.85),
        Target("one query at an idle server less the library's, p95", idle - told["query"][1], high=5, unit=" ms"),
        Target(
            "the same beside ingestion less idle, p95", filling["beside"]["p95"] - idle, high=1000 * BATCH, unit=" ms"
        ),
        Target(f"batches of ingestion within {1000 * BATCH:.0f} ms, share", filling["short"], 0.95),
        Target("overload: answers but embeddings, 429 and 503", odd, high=0, digits=0),
        Target(
            "overload: requests of patient clients that were not answered in the end",
            over["patient"] - over["helped"],
            high=0,
            digits=0,
        ),
        Target("overload: memory at its end, times before", over["memory"][1] / over["memory"][0], high=1.5),
        Target(
            "two seconds after, p95 of one client, times before", over["after"]["p95"] / over["before"]["p95"], high=1.5
        ),
    ]
    if INFINITY in found:
        theirs, least = found[INFINITY], 3.0 if bf16 else 1.5
        for count in CLIENTS:
            one, other = mine["mixed"][count], theirs["mixed"][count]
            wanted = 1.0 if count == 1 else least
            figures.append(
                Target(f"{count} clients, mixed, texts/s, times Infinity", one["rate"] / other["rate"], wanted)
            )
            if count > 1:
                figures.append(
                    Target(f"{count} clients, mixed, p95, of Infinity's", one["p95"] / other["p95"], high=0.5)
                )
    return figures


def render(around: Mapping[str, Any], found: Mapping[str, Any], figures: Sequence[Target]) -> str:
    """The page."""
    told, over, filling = found["library"], found["overload"], found["filled"]
    rate = {name: (told["before"][name] + told["after"][name]) / 2 for name in ("mixed", "short")}
    rows = [
        (
            name,
            workload,
            count,
            f"{one['rate']:.0f}",
            f"{one['rate'] / rate[workload]:.2f}",
            f"{one['p50']:.1f}",
            f"{one['p95']:.1f}",
            f"{one['share']:.2f}",
        )
        for name in (BEIGE, INFINITY)
        for workload, by_count in found.get(name, {}).items()
        for count, one in by_count.items()
    ]
    peer = f"{INFINITY} {found['peer']['infinity-emb']} with torch {found['peer']['torch']}." if "peer" in found else ""
    return "\n\n".join(
        (
            "# Serving",
            described(around),
            "## Targets",
            targets(figures),
            "## Figures",
            "Single texts, base64 answers, OpenAI's route. Clients run on the same machine, and their share is of one "
            f"core. {peer}",
            table(("", "texts", "clients", "texts/s", "of the library", "p50, ms", "p95, ms", "clients' share"), rows),
            *([f"No figures of {INFINITY}: {found['failed']}."] if "failed" in found else []),
            f"The library, {told['precision']}, texts/s of one batch before and after: mixed "
            f"{told['before']['mixed']:.0f} and {told['after']['mixed']:.0f}, short {told['before']['short']:.0f} and "
            f"{told['after']['short']:.0f}; one query alone p50 {told['query'][0]:.1f} ms, "
            f"p95 {told['query'][1]:.1f} ms.",
            f"One query after the other at an idle server: p50 {filling['idle']['p50']:.1f} ms, p95 "
            f"{filling['idle']['p95']:.1f} ms; while documents are sent to its index as fast as it takes them: p50 "
            f"{filling['beside']['p50']:.1f} ms, p95 {filling['beside']['p95']:.1f} ms, and {filling['tokens']:,.0f} "
            f"tokens/s of documents in batches of {filling['batch']:.0f} ms in the mean.",
            f"Overload: {over['offered']:.0f} requests of {TOGETHER} mixed texts a second, {TIMES} times what it could "
            f"embed: {over['answered']:.0f} a second were answered, p95 {over['p95'] / 1000:.1f} s; answers by status "
            f"{dict(over['statuses'])}. {PATIENT} clients that come again when Retry-After says so sent "
            f"{over['patient']} requests, of which {over['helped']} were answered in the end, after "
            f"{over['tries']} tries and {over['longest']:.0f} s at most. Resident memory {over['memory'][0]:.0f} MB "
            f"before, {over['memory'][1]:.0f} MB at the end. One client alone, p95: {over['before']['p95']:.1f} ms "
            f"before, {over['after']['p95']:.1f} ms two seconds after.",
        )
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bge-small-en-v1.5", help="a name of the catalogue, or a folder")
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--overload", type=float, default=OVERLOAD, metavar="SECONDS", help="how long")
    parser.add_argument("--quick", action="store_true", help="an eighth of the texts, and seconds: to see that it runs")
    options = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    around = circumstances()
    say(described(around))
    model = pull(options.model).path
    ordered = workloads(read_retrieval(options.data / "retrieval" / "scifact"), 0.125 if options.quick else 1.0)
    texts = {name: random.Random(0).sample(some, len(some)) for name, some in ordered.items()}
    seconds, overloaded = (1.0, 10.0) if options.quick else (SECONDS, options.overload)
    with suppress(PeerError):  # told of when it is measured
        python_of("infinity")  # installed before the machine is to be left alone
    found = measure(model, texts, seconds, overloaded, say)
    figures = aims(found, "bf16" in around["machine"]["capabilities"])
    page = render(around, found, figures)
    say(page)
    write("serve", page, {"circumstances": around, "figures": found, "targets": judged(figures)}, options.output)


if __name__ == "__main__":
    main()
