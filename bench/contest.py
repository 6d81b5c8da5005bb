"""A contest: Beige and its peers, each in a process and an environment of its own, take turns on the same texts.

All contenders stay loaded while rounds go on, and in each round everyone runs once, so that a machine that slows down
slows everyone; ratios are medians of the rounds' ratios. It knows nothing of what the contenders are.
"""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.environments import ROOT, PeerError, python_of

WORKERS = ROOT / "bench" / "peers"

Settings = Mapping[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Contender:
    """Something that encodes texts.

    Attributes:
        name: how tables call it.
        script: the worker, a file of `bench/peers`.
        environment: names `requirements/peers/NAME.txt`; None runs in Beige's own environment.
        fixed: settings to load with in any case: the model.
        loads: further settings to load with; of several, the quickest is found before the rounds.
        settings: settings to encode with; likewise.
    """

    name: str
    script: str
    environment: str | None
    fixed: Settings
    loads: Sequence[Settings] = ({},)
    settings: Sequence[Settings] = ({},)


@dataclass(frozen=True)
class Result:
    """What a contender did.

    Attributes:
        name: the contender's.
        chosen: the settings it ran with, besides the fixed ones.
        load: seconds from the start of the import to the first vector.
        lowest_cosine: to the first contender's vectors of the first workload.
        rates: tokens a second by workload, one for each round.
        latencies: milliseconds of one text alone, all rounds together.
        failed: why there are no figures; empty where there are.
    """

    name: str
    chosen: Settings = field(default_factory=dict)
    load: float = float("nan")
    lowest_cosine: float = float("nan")
    rates: Mapping[str, list[float]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    failed: str = ""


@dataclass(frozen=True)
class Worker:
    """A contender's process, loaded and ready.

    Attributes:
        load: seconds from the start of the import to the first vector.
    """

    load: float
    _process: "subprocess.Popen[str]"
    _log: IO[str]

    def encode(self, texts: Sequence[str], settings: Settings, each: bool = False, save: str = "") -> list[float]:
        """Seconds for all texts at once, or with `each` for every text alone; `save` is a file for the vectors.

        Raises:
            PeerError: it failed.
        """
        request = {"texts": texts, "each": each, "settings": settings, "save": save}
        with contextlib.suppress(BrokenPipeError):  # it died: reading its answer says why
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return _answer(self._process, self._log)


@contextmanager
def started(contender: Contender, load: Settings) -> Iterator[Worker]:
    """Start and load a contender; it ends with the block.

    Raises:
        PeerError: it cannot be installed or loaded here.
    """
    command = [str(python_of(contender.environment)), str(WORKERS / contender.script)]
    with (
        tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(
            [*command, json.dumps({**contender.fixed, **load})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        ) as process,
    ):
        yield Worker(_answer(process, log)[0], process, log)


def _answer(process: "subprocess.Popen[str]", log: IO[str]) -> list[float]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        log.seek(0)
        said = [line.strip() for line in log if line.strip()]
        raise PeerError(said[-1] if said else f"ended with {process.returncode}")
    return [float(seconds) for seconds in json.loads(line)["seconds"]]


def tune(contender: Contender, texts: Sequence[str], say: Say) -> tuple[Settings, Settings]:
    """The load settings and encoding settings that encode every second one of the texts quickest."""
    if len(contender.loads) == len(contender.settings) == 1:
        return contender.loads[0], contender.settings[0]
    tried: list[tuple[float, Settings, Settings]] = []
    for load in contender.loads:
        with started(contender, load) as worker:
            for settings in contender.settings:
                worker.encode(texts[:32], settings)
                tried.append((worker.encode(texts[::2], settings)[0], load, settings))
                say(f"  {contender.name}: {_spell({**load, **settings})}: {tried[-1][0]:.1f} s")
    _, load, settings = min(tried, key=lambda one: one[0])
    return load, settings


def contest(
    contenders: Sequence[Contender],
    workloads: Mapping[str, Sequence[str]],
    tokens: Mapping[str, int],
    alone: Sequence[str],
    rounds: int,
    say: Say,
) -> list[Result]:
    """Let everyone encode every workload in every round.

    Args:
        contenders: the first is the one that cosines are taken to.
        workloads: texts by name.
        tokens: how many tokens a model reads of each workload.
        alone: texts for the latency of one text alone.
        rounds: how often.
        say: told what goes on.
    """
    first = next(iter(workloads))
    results: dict[str, Result] = {}
    running: dict[str, tuple[Worker, Settings]] = {}
    vectors: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for contender in contenders:
            try:
                load, settings = tune(contender, workloads[first], say)
                worker = stack.enter_context(started(contender, load))
                # The first pass, untimed, allocates and compiles; its vectors show that all compute the same.
                worker.encode(workloads[first], settings, save=str(folder / "vectors.npy"))
            except PeerError as error:
                say(f"  {contender.name}: {error}")
                results[contender.name] = Result(contender.name, failed=str(error))
                continue
            vectors[contender.name] = _unit(np.load(folder / "vectors.npy"))
            lowest = float((vectors[contender.name] * next(iter(vectors.values()))).sum(1).min())
            results[contender.name] = Result(
                contender.name, {**load, **settings}, worker.load, lowest, {name: [] for name in workloads}, []
            )
            running[contender.name] = worker, settings
            say(f"  {contender.name}: loaded in {worker.load:.1f} s, lowest cosine {lowest:.6f}")
        for number in range(rounds):
            for workload, texts in workloads.items():
                for name, (worker, settings) in running.items():
                    seconds = worker.encode(texts, settings)[0]
                    results[name].rates[workload].append(tokens[workload] / seconds)
            for name, (worker, settings) in running.items():
                results[name].latencies.extend(1000 * s for s in worker.encode(alone, settings, each=True))
            say(f"  round {number + 1} of {rounds}")
    return list(results.values())


def ratio(result: Result, other: Result, workload: str) -> float:
    """How many times as fast as the other: the median of the rounds' ratios."""
    return float(np.median(np.divide(result.rates[workload], other.rates[workload])))


def _unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _spell(settings: Settings) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())
