import math
from collections import Counter

import pytest

from beige.analyser import AVERAGE_LENGTH, Analyser
from beige.evaluate.words import Words


def test_scores_are_bm25_of_the_analysers_words():
    documents = ["water and light", "light light stone", "", "the river of stone and water and stone"]
    bags = [Counter(word.token for word in Analyser().words(text)) for text in documents]
    words = Words(documents)
    for query in ("light", "stone water", "unknown", "light light"):
        for bag, score in zip(bags, words.scores(query), strict=True):
            expected = 0.0
            for word in Analyser().words(query):
                holders = sum(word.token in other for other in bags)
                idf = math.log(1 + (len(bags) - holders + 0.5) / (holders + 0.5))
                count = bag[word.token]
                expected += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * bag.total() / AVERAGE_LENGTH))
            assert score == pytest.approx(expected, rel=2**-10)  # weights are float16


def test_each_document_is_stemmed_in_its_own_language():
    documents = [
        "Der Fluss ist tief, und die Steine in den alten Mühlen sind nass und kalt.",
        "The river is deep, and the stones of the old mills are wet and cold.",
    ]
    assert (Words(documents).scores("Mühle") > 0).tolist() == [True, False]
    assert not Words(documents, "english").scores("Mühle").any()
    assert (Words(documents).scores("mill") > 0).tolist() == [False, True]
