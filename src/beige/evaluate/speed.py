"""How fast a model is on this machine: time to load, tokens a second, the latency of one query."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beige.errors import InputError

LONG, SHORT = 128, 256
"""How many texts of each kind `sample_texts` gives: an abstract's and a claim's length."""

_WORDS = (
    "the of and to in a is that for it as was with be by on not he this are or his from at which but have an had they "
    "you were their one all we can her has there been if more when will would who so no water light paper river house "
    "stone city school market number system people public evidence protein surface pressure temperature process result "
    "measure study model method effect increase growth risk blood cell human energy matter change level region history "
    "language question answer letter music winter summer island mountain forest engine bridge window garden machine"
)


@dataclass(frozen=True, slots=True)
class Speed:
    """What a model did.

    Attributes:
        model: its name.
        precision: that it ran in.
        texts: how many were embedded at once.
        tokens: that the model read of them, special tokens included, what was cut not.
        load: seconds from the checkpoint's folder to the first vector.
        rate: tokens a second; the median of the repetitions.
        p50: milliseconds for one query alone, the median.
        p95: milliseconds for one query alone, exceeded by one in twenty.
    """

    model: str
    precision: str
    texts: int
    tokens: int
    load: float
    rate: float
    p50: float
    p95: float


def sample_texts() -> list[str]:
    """Texts of English words drawn at random, always the same: long ones of some 300 tokens, short ones of some 20."""
    choose = random.Random(0)
    words = _WORDS.split()
    lengths = [choose.randint(150, 400) for _ in range(LONG)] + [choose.randint(8, 28) for _ in range(SHORT)]
    return [" ".join(choose.choices(words, k=length)) for length in lengths]


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file that are not blank.

    Raises:
        InputError: it cannot be read, is no UTF-8, or holds none.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error.reason}): save it as UTF-8, one text a line") from error
    if not lines:
        raise InputError(f"{path} holds no texts: write one a line")
    return lines


def measure_speed(
    model: str | Path, texts: Sequence[str], precision: str = "auto", repeat: int = 3, queries: int = 100
) -> Speed:
    """Load a model, embed the texts as documents several times over, and the shortest of them as queries, one by one.

    Args:
        model: a name or a folder; it is pulled first where it is not on this machine, which is not counted.
        texts: as many as one would embed at once.
        precision: "auto", "fp32", "bf16" or "int8".
        repeat: how often all are embedded, after one pass that is not counted.
        queries: how many are embedded alone.

    Raises:
        BeigeError: whatever `open_checkpoint` and `Embedder` raise.
    """
    from beige.embedder import Embedder
    from beige.models.checkpoint import open_checkpoint

    folder = open_checkpoint(model).path
    started = time.perf_counter()
    embedder = Embedder(folder, precision=precision)
    embedder.encode_query(texts[0])
    load = time.perf_counter() - started
    read = np.minimum(embedder.encode_document(list(texts)).tokens, embedder.checkpoint.max_tokens)
    tokens = int(read.sum())
    seconds = [_timed(embedder.encode_document, list(texts)) for _ in range(repeat)]
    short = sorted(texts, key=len)[:queries]
    alone = [1000 * _timed(embedder.encode_query, short[number % len(short)]) for number in range(queries)]
    p50, p95 = (float(value) for value in np.percentile(alone, (50, 95)))
    return Speed(
        model=embedder.checkpoint.name,
        precision=embedder.precision,
        texts=len(texts),
        tokens=tokens,
        load=load,
        rate=tokens / float(np.median(seconds)),
        p50=p50,
        p95=p95,
    )


def _timed(encode: Callable[..., object], texts: str | list[str]) -> float:
    started = time.perf_counter()
    encode(texts)
    return time.perf_counter() - started
