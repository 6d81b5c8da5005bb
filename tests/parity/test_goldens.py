"""The figures that the model cards print, for whoever has the weights: they are large, so nothing is pulled for a test.

The publisher computed them in fp16, which the bounds allow for. Sources: the cards on the Hub, and FlagEmbedding's
documentation, which prints the same.
"""

import numpy as np
import pytest

from beige import Embedder, Reranker
from beige.models.checkpoint import open_checkpoint
from beige.scores import mixed_score, multi_score, sparse_score
from tests.conftest import on_this_machine

pytestmark = pytest.mark.weights

M3_QUERIES = ["What is BGE M3?", "Defination of BM25"]
M3_PASSAGES = [
    "BGE M3 is an embedding model supporting dense retrieval, lexical matching and multi-vector interaction.",
    "BM25 is a bag-of-words retrieval function that ranks a set of documents based on the query terms appearing in "
    "each document",
]
M3_WORDS = [
    {"What": 0.08356, "is": 0.0814, "B": 0.1296, "GE": 0.252, "M": 0.1702, "3": 0.2695, "?": 0.04092},
    {"De": 0.05005, "fin": 0.1368, "ation": 0.04498, "of": 0.0633, "BM": 0.2515, "25": 0.3335},
]
M3_SCORES = {  # of each query with each passage
    "dense": [[0.6265, 0.3477], [0.3499, 0.678]],
    "sparse": [[0.195549, 0.008797], [0.0, 0.180298]],
    "multi": [[0.77965, 0.462147], [0.452379, 0.789858]],
    "mixed": [[0.601362, 0.325583], [0.320893, 0.623292]],  # with weights 0.4, 0.2, 0.4
}
GEMMA_QUERIES = ["how much protein should a female eat", "summit define"]
GEMMA_PASSAGES = [
    "As a general guideline, the CDC's average requirement of protein for women ages 19 to 70 is 46 grams per day. "
    "But, as you can see from this chart, you'll need to increase that if you're expecting or training for a marathon. "
    "Check out the chart below to see how much protein you should be eating each day.",
    "Definition of summit for English Language Learners. : 1  the highest point of a mountain : the top of a mountain. "
    ": 2  the highest level. : 3  a meeting or series of meetings between the leaders of two or more governments.",
]
PANDA = (
    "The giant panda (Ailuropoda melanoleuca), sometimes called a panda bear or simply panda, is a bear species "
    "endemic to China."
)


@pytest.fixture(scope="module")
def m3():
    embedder = Embedder(on_this_machine("bge-m3"), precision="fp32")
    outputs = ("dense", "sparse", "multi")
    return embedder, embedder.encode(M3_QUERIES, "query", outputs), embedder.encode(M3_PASSAGES, outputs=outputs)


def test_m3s_scores(m3):
    _, queries, passages = m3
    scores = {
        "dense": lambda query, passage: query.dense @ passage.dense,
        "sparse": lambda query, passage: sparse_score(query.sparse, passage.sparse),
        "multi": lambda query, passage: multi_score(query.multi, passage.multi),
        "mixed": lambda query, passage: mixed_score(query, passage, (0.4, 0.2, 0.4)),
    }
    for name, score in scores.items():
        found = [[score(query, passage) for passage in passages] for query in queries]
        assert np.abs(np.array(found) - M3_SCORES[name]).max() < 2e-3, name
    assert sparse_score(queries[0].sparse, queries[1].sparse) == 0


def test_m3s_words(m3):
    embedder, queries, _ = m3
    for one, printed in zip(queries, M3_WORDS, strict=True):
        found = {word.removeprefix("▁"): weight for word, weight in embedder.words(one.sparse).items()}
        assert found.keys() == printed.keys()
        assert all(abs(found[word] - printed[word]) < 2e-3 for word in printed)


def test_reranker_v2_m3():
    reranker = Reranker(on_this_machine("bge-reranker-v2-m3"), precision="fp32")
    assert abs(reranker.score("query", ["passage"])[0] - -5.65234) < 0.02
    assert abs(reranker.score("query", ["passage"], normalise=True)[0] - 0.003497) < 1e-4
    assert np.abs(reranker.score("what is panda?", ["hi", PANDA]) - [-8.1875, 5.26172]).max() < 0.02
    assert np.abs(reranker.score("what is panda?", ["hi", PANDA], normalise=True) - [0.000278, 0.99484]).max() < 1e-3


def test_multilingual_gemma2():
    pytest.importorskip("torch")
    embedder = Embedder(on_this_machine("bge-multilingual-gemma2"))
    found = embedder.encode_query(GEMMA_QUERIES).dense @ embedder.encode_document(GEMMA_PASSAGES).dense.T
    assert np.abs(100 * found - [[55.92065, 1.65495], [-0.26988, 49.95654]]).max() < 1  # computed in fp32


@pytest.mark.parametrize("name", ["bge-m3", "bge-reranker-v2-m3", "bge-multilingual-gemma2"])
def test_their_files_say_what_their_cards_say(name, caplog):
    checkpoint = open_checkpoint(on_this_machine(name))
    assert checkpoint.card is not None
    assert (checkpoint.kind, checkpoint.max_tokens) == (checkpoint.card.kind, checkpoint.card.max_tokens)
    assert checkpoint.tokenizer().encode(["light"])[0].count > 1
    assert not caplog.records
