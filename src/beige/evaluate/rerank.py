"""A reranker as a ranking uses it: scores of documents by their places, each pair scored once and then kept."""

import time
from collections.abc import Sequence

import numpy as np

from beige.evaluate.cache import Answer, Cache, key_of
from beige.evaluate.ranking import Places, Score
from beige.values import Floats


def reranking(name: str, documents: Sequence[str], cache: Cache) -> Score:
    """The function that scores a query with documents.

    Args:
        name: of the reranker, or its folder.
        documents: all texts, n of them.
        cache: of scores.

    Raises:
        BeigeError: the reranker cannot be opened.
    """
    from beige.reranker import Reranker

    reranker = Reranker(name)
    reranker.score("warm", ["warm"])  # no measured call waits for the first one's preparations

    space = f"{reranker.checkpoint.name} {reranker.checkpoint.fingerprint} {reranker.precision}"

    def score(text: str, places: Places) -> tuple[Floats, float]:
        keys = [key_of((space, text, documents[place])) for place in places]
        answers = cache.get(list(dict.fromkeys(keys)))
        missing = {key: documents[place] for key, place in zip(keys, places, strict=True) if key not in answers}
        if missing:
            started = time.perf_counter()
            scores = np.asarray(reranker.score(text, list(missing.values())), np.float32)  # (m,)
            seconds = (time.perf_counter() - started) / len(missing)
            new = {
                key: Answer(value.reshape(1), None, None, seconds, alone=False)
                for key, value in zip(missing, scores, strict=True)
            }
            cache.put(new)
            answers |= new
        found = [answers[key] for key in keys]
        return np.array([answer.value[0] for answer in found], np.float32), sum(answer.seconds for answer in found)

    return score
