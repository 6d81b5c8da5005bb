"""A reranker that scores each pair of query and passage once, and then knows it."""

import time
from collections.abc import Sequence

import numpy as np

from beige.evaluate.cache import Answer, Cache, key_of
from beige.evaluate.ranking import Places, Score
from beige.values import Floats


class Remembering:
    """What a search needs of a reranker, with a cache before it.

    Attributes:
        seconds: that the scores of the last call took when they were computed.
        late: seconds that the last call itself took more than that, for the cache; below 0 where it knew much.

    Args:
        name: of the reranker, or its folder.
        cache: of scores.

    Raises:
        BeigeError: the reranker cannot be opened.
    """

    def __init__(self, name: str, cache: Cache) -> None:
        from beige.reranker import Reranker

        self._reranker = Reranker(name)
        self._reranker.score("warm", ["warm"])  # no measured call waits for the first one's preparations
        self._cache = cache
        checkpoint = self._reranker.checkpoint
        self._space = f"{checkpoint.name} {checkpoint.fingerprint} {self._reranker.precision}"
        self.seconds = self.late = 0.0

    def score(self, query: str, passages: Sequence[str]) -> Floats:
        """How well each passage answers the query, (n,)."""
        called = time.perf_counter()
        keys = [key_of((self._space, query, passage)) for passage in passages]
        known = self._cache.get(list(dict.fromkeys(keys)))
        missing = {key: passage for key, passage in zip(keys, passages, strict=True) if key not in known}
        new: dict[bytes, Answer] = {}
        if missing:
            started = time.perf_counter()
            scores = np.asarray(self._reranker.score(query, list(missing.values())), np.float32)  # (m,) or (m, layers)
            seconds = (time.perf_counter() - started) / len(missing)
            new = {
                key: Answer(value[-1:], None, None, seconds, alone=False)
                for key, value in zip(missing, scores.reshape(len(missing), -1), strict=True)
            }
            self._cache.put(new)
        answers = known | new
        self.seconds = sum(answer.seconds for answer in answers.values())
        self.late = time.perf_counter() - called - self.seconds
        return np.array([answers[key].value[0] for key in keys], np.float32)


def reranking(reranker: Remembering, documents: Sequence[str]) -> Score:
    """The function that scores a query with documents by their places.

    Args:
        reranker: what reads.
        documents: all texts, n of them.
    """

    def score(text: str, places: Places) -> tuple[Floats, float]:
        return reranker.score(text, [documents[place] for place in places]), reranker.seconds

    return score
