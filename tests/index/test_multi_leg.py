import numpy as np
import pytest

from beige.errors import StoreError
from beige.index.codec import decode_multi, encode_multi
from beige.index.manifest import Leg
from beige.index.multi_leg import MultiLeg
from beige.scores import multi_score
from beige.values import Floats

D = 48


def unit(rng: np.random.Generator, tokens: int) -> Floats:
    vectors = rng.standard_normal((tokens, D))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_the_mean_of_maxima_over_what_is_stored(seed: int) -> None:
    rng = np.random.default_rng(seed)
    leg = MultiLeg(0, Leg("multi", "multi", D))
    chunks = [unit(rng, int(tokens)) for tokens in rng.integers(0, 60, 40)]
    query = unit(rng, 7)
    blobs = leg.encode(tuple(chunks), "a document")
    found = leg.scores(query, list(enumerate(blobs)))
    stored = [decode_multi(blob, D) for blob in blobs]
    brute = [np.mean([max(float(q @ v) for v in chunk) for q in query]) if len(chunk) else 0.0 for chunk in stored]
    assert found == pytest.approx(brute, abs=1e-6)
    assert found == pytest.approx([multi_score(query, chunk) for chunk in chunks], abs=0.01), "int8 loses little"
    alone = [leg.scores(query, [(0, blob)])[0].tobytes() for blob in blobs]
    assert alone == [score.tobytes() for score in found]


def test_int8_keeps_every_number_to_a_254th_of_the_largest() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(rng, 500)
    (blob,) = encode_multi((vectors,), D, "here")
    assert len(blob) == 500 * (D + 2)
    stored = decode_multi(blob, D)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    assert (np.abs(stored - vectors) <= largest / 254 * 1.001).all()
    assert encode_multi((stored,), D, "here") == [blob]


def test_extremes_are_stored() -> None:
    vectors = np.zeros((4, D), np.float32)
    vectors[1, 0], vectors[2, 3], vectors[3] = 65504, 1e-3, 1
    (blob,) = encode_multi((vectors,), D, "here")
    assert decode_multi(blob, D) == pytest.approx(vectors, rel=1e-3)
    with pytest.raises(StoreError, match="too large"):
        encode_multi((vectors * 2,), D, "here")
