"""Inputs for engines of any kind, and what each of them must keep."""

from collections.abc import Sequence

import numpy as np

from beige.engines.engine import Engine
from beige.models.tokenizer import Tokens
from tests import checkpoints

DENSE = ("dense",)
NAN_TOKEN = 9
"""An id that `texts` never has, for checkpoints that are sick in it."""


def texts(number: int, vocabulary: int | None = None, *, seed: int = 0, longest: int = 100) -> list[Tokens]:
    """Random texts of 1 to `longest` tokens; of the tiny BERT's vocabulary by default."""
    random = np.random.default_rng(seed)
    words = len(checkpoints.vocabulary()) if vocabulary is None else vocabulary
    lengths = random.integers(1, longest + 1, number)
    return [Tokens(random.integers(NAN_TOKEN + 1, words, n).astype(np.int32), int(n), False) for n in lengths]


def dense(engine: Engine, inputs: Sequence[Tokens]) -> np.ndarray:
    """(n, d)"""
    return np.stack([raw["dense"] for raw in engine.run(inputs, DENSE)])


def check_one_vector(engine: Engine, inputs: Sequence[Tokens]) -> None:
    """A text has one vector, of length 1, alone and in any batch and order."""
    together = dense(engine, inputs)
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() < 1e-5
    for place in range(0, len(inputs), 7):
        assert np.abs(dense(engine, [inputs[place]])[0] - together[place]).max() < 1e-5
    order = np.random.default_rng(1).permutation(len(inputs))
    assert np.abs(dense(engine, [inputs[place] for place in order]) - together[order]).max() < 1e-5
