"""Beige's own route."""

import base64

import numpy as np
import pytest

from beige.embedder import Embedder

TEXTS = ["the speed of light", "paper " * 300]


@pytest.mark.parametrize("outputs", [["dense"], ["sparse", "multi"], ["dense", "sparse", "multi"]])
def test_any_outputs_of_one_pass(post, folders, outputs):
    found = post("/v1/encode", {"model": "tiny-m3", "input": TEXTS, "role": "query", "outputs": outputs}).json()
    assert found["model"] == "tiny-m3"
    expected = Embedder(folders["m3"], precision="fp32").encode_query(TEXTS)
    whole = Embedder(folders["m3"], precision="fp32").encode(TEXTS, "query", ("dense", "sparse", "multi"))
    for place, (one, other) in enumerate(zip(found["data"], whole, strict=True)):
        assert set(one) == {"index", *outputs, "tokens", "truncated"}
        assert (one["index"], one["tokens"]) == (place, expected.tokens[place])
        assert one["truncated"] is bool(expected.truncated[place])
        if "dense" in outputs:
            assert np.abs(np.array(one["dense"]) - other.dense).max() < 1e-5
        if "sparse" in outputs:
            assert one["sparse"]["ids"] == other.sparse.ids.tolist()
            assert np.abs(np.array(one["sparse"]["weights"]) - other.sparse.weights).max() < 1e-5
        if "multi" in outputs:
            assert np.abs(np.array(one["multi"]) - other.multi).max() < 1e-5


def test_base64(post, folders):
    body = {"model": "tiny-m3", "input": "light", "outputs": ["dense", "multi"], "encoding_format": "base64"}
    (one,) = post("/v1/encode", body).json()["data"]
    expected = Embedder(folders["m3"], precision="fp32").encode("light", outputs=("dense", "multi"))
    rows = [np.frombuffer(base64.b64decode(row), "<f4") for row in [one["dense"], *one["multi"]]]
    assert np.abs(np.array(rows) - np.vstack([expected.dense, expected.multi])).max() < 1e-5


def test_a_text_that_is_too_long_may_be_an_error(post):
    told = post("/v1/encode", {"model": "tiny-m3", "input": TEXTS, "truncate": "error"})
    assert told.status_code == 400
    assert told.json()["error"]["param"] == "input[1]"
    assert "input 1 (counted from 0) has" in told.json()["error"]["message"]


def test_numbers_come_back_as_the_same_float32(post, folders):
    found = post("/v1/encode", {"input": TEXTS}).json()["data"]
    packed = post("/v1/encode", {"input": TEXTS, "encoding_format": "base64"}).json()["data"]
    for one, other in zip(found, packed, strict=True):
        assert np.array(one["dense"], np.float32).tobytes() == base64.b64decode(other["dense"])
