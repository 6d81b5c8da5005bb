"""Twenty minutes of mixed traffic with a server that is killed every few minutes: `python -m bench.soak`.

To docs/measurements/soak.md. Honest clients embed, search, upload and delete beside slow ones, half-open connections,
bodies that are too large and bodies that are nonsense. After each kill -9 the server must hold what it acknowledged; at
the end it must answer as a fresh index of the same documents.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import numpy as np

from beige import Text
from beige.embedder import Embedder
from beige.evaluate.data import read_retrieval
from beige.index import Index
from beige.models.pull import pull
from beige.search import Searcher
from bench.ledger import Ledger, whole
from bench.machine import circumstances
from bench.report import FOLDER, Target, described, judged, table, targets, write
from bench.servers import started
from bench.texts import DATA, workloads
from bench.traffic import Seen, Traffic

PORT = 18_473

LAST = 0.4
"""Share of the time that the last life of the server has, which ends by SIGTERM: what leaks slowly needs time."""

WARM = 240.0
"""Seconds of a life, or half of it, in which memory may grow: kernels are compiled for new shapes until then."""

GROWTH = 2.0
"""MB a minute that resident memory may grow by after that: in eight minutes an allocator's noise is about so much."""

QUERIES = 200
DEPTH = 10

NEAR = {"bm25": 1e-3, "dense": 3e-3, "hybrid": 3e-2}
"""How far scores of one passage may be apart: a text's vector differs a little in another batch, in bf16."""

_PAGE = 500
_TOGETHER = 100  # queries of a request
_TAIL = 20  # documents that are sent just before SIGTERM


@dataclass(eq=False)
class Life:
    """From a start of the server to its end.

    Attributes:
        ready: seconds from the start until it was ready.
        documents: that it held when it started.
        rss: resident megabytes, by seconds since it was ready.
        jobs: that were done.
        ended: how.
    """

    ready: float
    documents: int
    rss: list[tuple[float, float]] = field(default_factory=list)
    ended: str = "kill -9"

    def slope(self) -> float:
        """Megabytes a minute after the warm-up; NaN where there are too few figures."""
        if not self.rss:
            return float("nan")
        begin = min(WARM, self.rss[-1][0] / 2)
        later = np.array([one for one in self.rss if one[0] >= begin])
        return float(60 * np.polyfit(later[:, 0], later[:, 1], 1)[0]) if len(later) > 2 else float("nan")


class Soak:
    """One run.

    Args:
        model: the checkpoint's folder.
        texts: what is embedded, searched for and stored.
        folder: for the index and the log; empty.
        say: told how far it is.
    """

    def __init__(self, model: Path, texts: Sequence[str], folder: Path, say: Any) -> None:
        self.model = model
        self.texts = texts
        self.index = folder / "index"
        self.fresh = folder / "fresh"
        self.log = folder / "log"
        self.ledger = Ledger()
        self.seen = Seen()
        self.lives: list[Life] = []
        self.lost: list[str] = []
        self.unlike: list[str] = []
        self.checked = 0
        self._say = say

    def run(self, minutes: float, life: float) -> None:
        """All of it; the last life is longer than the others.

        Args:
            minutes: in sum.
            life: how many, about, the server lives before it is killed.
        """
        kills = max(1, round(minutes * (1 - LAST) / life))
        for number in range(kills):
            with self._serving() as (process, traffic):
                time.sleep(60 * minutes * (1 - LAST) / kills)
                traffic.cut()
                process.kill()
                process.wait()
                traffic.stop()
            self._say(f"life {number + 1} ended: {self._told()}")
        with self._serving() as (process, traffic):
            time.sleep(60 * minutes * LAST)
            traffic.stop()
            time.sleep(2)  # what was to be found for a second only is gone
            self._check()
            self._compare()
            tail = self._send_tail()
            traffic.cut()
            process.terminate()
            code = process.wait(timeout=120)
            self.lives[-1].ended = f"SIGTERM, exit code {code}"
        self._check_tail(tail)
        self._say(f"the last life ended: {self._told()}")

    @contextmanager
    def _serving(self) -> "Iterator[tuple[subprocess.Popen[bytes], Traffic]]":
        beige = str(Path(sys.executable).with_name("beige"))
        command = [beige, "serve", "--port", str(PORT), "--model", str(self.model), "--index", str(self.index)]
        begun = time.monotonic()
        with (
            self.log.open("ab") as log,
            started(command, f"{self.url}/health/ready", log=log.fileno()) as process,
        ):
            life = Life(time.monotonic() - begun, len(self.ledger.texts()))
            if self.lives:
                self._check()
            self.lives.append(life)
            traffic = Traffic(self.url, self.model.name, self.texts, self.ledger, self.seen, seed=len(self.lives))
            traffic.start()
            over = threading.Event()
            watch = threading.Thread(target=_watch, args=(process.pid, life.rss, over))
            watch.start()
            try:
                yield process, traffic
            finally:
                over.set()
                watch.join()

    @property
    def url(self) -> str:
        """Of the server."""
        return f"http://127.0.0.1:{PORT}"

    def _check(self) -> None:
        """The server holds what it acknowledged, each document once, and finds it."""
        with httpx2.Client(base_url=self.url, timeout=60) as http:
            names = list(_listed(http))
            self.lost += [f"{name} is listed twice" for name in {name for name in names if names.count(name) > 1}]
            self.lost += [f"{name} has expired and is listed" for name in names if name.startswith("brief/")]
            found: dict[str, str | None] = {}
            for name in names:
                document = http.get(f"/v1/documents/{name}").raise_for_status().json()
                found[name] = whole(chunk["text"] for chunk in document["chunks"])
            self.lost += self.ledger.settle({name: text for name, text in found.items() if name[:6] != "brief/"})
            there, past = self.ledger.texts(), self.ledger.past()
            marks = {text.split()[0]: name for name, text in there.items()}
            gone = {mark: name for text, name in past.items() if (mark := text.split()[0]) not in marks}
            gone = dict(Random(0).sample(sorted(gone.items()), min(len(gone), 500)))
            hits = _found(http, [*marks, *gone])
            self.lost += [f"{name} is not found" for mark, name in marks.items() if hits[mark] != {name}]
            self.lost += [f"{name} is found by a text that it had once" for mark, name in gone.items() if hits[mark]]
            self.checked += len(names)

    def _compare(self) -> None:
        """The server answers as a fresh index of the same documents does."""
        texts = self.ledger.texts()
        queries = [" ".join(text.split()[:9]) for text in Random(1).sample(sorted(self.texts), QUERIES)]
        with (
            httpx2.Client(base_url=self.url, timeout=300) as http,
            Index.open(self.fresh, Embedder(self.model)) as index,
            Searcher(index) as searcher,
        ):
            counts = http.get("/v1/index").raise_for_status().json()
            index.add(Text(name, text) for name, text in sorted(texts.items()))
            for way, near in NEAR.items():
                options: dict[str, Any] = {} if way == "hybrid" else {"legs": [way]}
                for first in range(0, len(queries), _TOGETHER):
                    some = queries[first : first + _TOGETHER]
                    body = {"query": some, "limit": DEPTH, **options}
                    answers = http.post("/v1/search", json=body).raise_for_status().json()["results"]
                    for query, answer in zip(some, answers, strict=True):
                        served = {_key(hit["source"], hit["text"]): hit["score"] for hit in answer["hits"]}
                        fresh = searcher.search(query, 2 * DEPTH, **options)
                        scores = {_key(hit.source, hit.text): hit.score for hit in fresh}
                        if not like(served, scores, near):
                            self.unlike.append(f"{way}: {query!r}")
            if (counts["documents"], counts["chunks"]) != index.count():
                self.unlike.append(f"{counts['documents']} documents with {counts['chunks']} chunks")

    def _send_tail(self) -> list[str]:
        """Documents whose jobs are not waited for."""
        names = [f"tail/{number}" for number in range(_TAIL)]
        with httpx2.Client(base_url=self.url, timeout=60) as http:
            for name, text in zip(names, self.texts, strict=False):
                http.post("/v1/documents", json={"source": name, "text": text}).raise_for_status()
        return names

    def _check_tail(self, names: Sequence[str]) -> None:
        """What was taken before SIGTERM was done before the end."""
        with Index.open(self.index) as index:
            stored = index.store.stored(names)
        self.lost += [f"{name} was taken before SIGTERM and is lost" for name in names if name not in stored]

    def _told(self) -> str:
        life, wrong = self.lives[-1], [*self.lost, *self.seen.wrong, *self.unlike]
        return ", ".join(
            (
                f"{sum(self.seen.statuses.values()):,} answers so far",
                f"{len(self.ledger.texts()):,} documents",
                f"{_figures(life.rss)[2]} MB, {life.slope():+.2f} a minute",
                f"{len(wrong)} wrong; {'; '.join(wrong[-3:])}",
            )
        )


def like(served: Mapping[Any, float], fresh: Mapping[Any, float], near: float) -> bool:
    """Whether two answers say the same but for scores that are near each other.

    Args:
        served: scores of passages.
        fresh: of the same and some more.
        near: how far two scores of one passage may be apart.
    """
    if not served or not fresh:
        return not served and not fresh
    least = min(served.values())
    return all(abs(score - fresh.get(key, np.inf)) <= near for key, score in served.items()) and all(
        key in served or score <= least + near for key, score in list(fresh.items())[: len(served)]
    )


def _key(source: str, text: str) -> tuple[str, str]:
    return source, whole([text])


def _watch(pid: int, into: list[tuple[float, float]], over: threading.Event) -> None:
    """Note a process's resident memory every second."""
    begun = time.monotonic()
    while not over.wait(1):
        try:
            lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            return
        resident = next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), None)
        if resident is not None:  # a process that has ended has none
            into.append((time.monotonic() - begun, resident))


def _listed(http: httpx2.Client) -> Iterator[str]:
    """All documents, page by page."""
    after: str | None = ""
    while after is not None:
        page = http.get("/v1/documents", params={"limit": _PAGE, "after": after}).raise_for_status().json()
        yield from (one["source"] for one in page["documents"])
        after = page["next"]


def _found(http: httpx2.Client, marks: Iterable[str]) -> dict[str, set[str]]:
    """By each of these words, the documents that have it."""
    found: dict[str, set[str]] = {}
    left = list(marks)
    while left:
        some, left = left[:_TOGETHER], left[_TOGETHER:]
        body = {"query": some, "legs": ["bm25"], "limit": 5}
        answers = http.post("/v1/search", json=body).raise_for_status().json()["results"]
        for mark, answer in zip(some, answers, strict=True):
            found[mark] = {hit["source"] for hit in answer["hits"] if mark in hit["text"]}
    return found


def aims(soak: Soak) -> list[Target]:
    """The figures that the project has set itself to reach."""
    failures = sum(count for (_, status), count in soak.seen.statuses.items() if status >= 500 and status != 503)
    return [
        Target("documents not as they were acknowledged", len(soak.lost), high=0, digits=0),
        Target("queries not answered as by a fresh index", len(soak.unlike), high=0, digits=0),
        Target("answers of 5xx but 503", failures, high=0, digits=0),
        Target("other things that must not be", len(soak.seen.wrong), high=0, digits=0),
        Target("resident memory in the last life, a minute", soak.lives[-1].slope(), high=GROWTH, unit=" MB"),
    ]


def render(around: Mapping[str, Any], soak: Soak, figures: Sequence[Target], minutes: float) -> str:
    """The page."""
    lives = [
        (place, *_figures(life.rss), f"{life.ready:.1f}", f"{life.documents:,}", f"{life.slope():+.2f}", life.ended)
        for place, life in enumerate(soak.lives, 1)
    ]
    answers: dict[str, list[str]] = {}
    for (client, status), count in sorted(soak.seen.statuses.items()):
        answers.setdefault(client, []).append(f"{count:,} x {status}" if status else f"{count:,}")
    rows = [
        (client, ", ".join(said), *(f"{1000 * value:.0f}" for value in np.percentile(times, (50, 95))))
        for client, said in answers.items()
        for times in [soak.seen.seconds.get(client, [np.nan])]
    ]
    wrong = [*soak.lost, *soak.unlike, *soak.seen.wrong]
    return "\n\n".join(
        (
            "# Soak",
            described(around),
            f"{minutes:g} minutes of mixed traffic from {len(answers)} kinds of clients at once: OpenAI's own client, "
            "other families' routes, bursts, searches, copilots, records and files sent and deleted, slow bodies, "
            "half-open connections, bodies of 100 MB, nonsense. The server is killed (kill -9) and started again; each "
            f"time all documents are read and searched for ({soak.checked:,} in sum), and some that were deleted or "
            f"replaced. At the end {QUERIES} queries in {len(NEAR)} ways are answered as by a fresh index of the same "
            "documents, but for passages whose scores are nearly equal.",
            "## Targets",
            targets(figures),
            "## Lives",
            table(
                ("", "minutes", "first MB", "last MB", "ready after, s", "documents", "MB a minute", "ended by"), lives
            ),
            "Memory is resident, of the server's process; its slope is that of the line through the figures of every "
            f"second, without the first {WARM:g} seconds (or the first half).",
            "## Answers",
            table(("client", "answers", "p50, ms", "p95, ms"), rows),
            f"Refused with 503, by reason: {dict(soak.seen.reasons) or 'none'}. The machine is the clients' too.",
            *(["## What went wrong", "\n".join(f"- {one}" for one in wrong[:50])] if wrong else []),
        )
    )


def _figures(rss: Sequence[tuple[float, float]]) -> tuple[str, str, str]:
    """Minutes, and the first and the last megabytes."""
    return (f"{rss[-1][0] / 60:.1f}", f"{rss[0][1]:.0f}", f"{rss[-1][1]:.0f}") if rss else ("-", "-", "-")


def main() -> None:
    """Soak, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--life", type=float, default=3, help="minutes between two kills, about")
    parser.add_argument("--model", default="bge-small-en-v1.5", help="a name of the catalogue, or a folder")
    parser.add_argument("--data", type=Path, default=DATA, help="the data sets' folder")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--keep", type=Path, help="a folder that is not there, for the index and the log")
    options = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    around = circumstances()
    say(described(around))
    texts = [
        text for text in workloads(read_retrieval(options.data / "retrieval" / "scifact"))["mixed"] if text.split()
    ]
    with tempfile.TemporaryDirectory(prefix="beige-soak-") as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        soak = Soak(pull(options.model).path, texts, folder, say)
        soak.run(options.minutes, options.life)
    figures = aims(soak)
    page = render(around, soak, figures, options.minutes)
    say(page)
    values = {
        "circumstances": around,
        "lives": [vars(life) | {"rss": life.rss[::5], "slope": life.slope()} for life in soak.lives],
        "answers": {f"{client} {status}": count for (client, status), count in sorted(soak.seen.statuses.items())},
        "unavailable": dict(soak.seen.reasons),
        "wrong": {"documents": soak.lost, "queries": soak.unlike, "other": soak.seen.wrong},
        "targets": judged(figures),
    }
    write("soak", page, values, options.output)
    print(json.dumps(values["targets"]))


if __name__ == "__main__":
    main()
