"""How fast a model computes here: what budgets of time and honest waiting times are made of."""

MEMORY = 1 << 15
"""After so many tokens a measurement weighs half."""


class Pace:
    """Seconds a token takes in a batch, by the latest batches."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._tokens = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """Take in a batch."""
        kept = 0.5 ** (tokens / MEMORY)
        self._seconds = self._seconds * kept + seconds
        self._tokens = self._tokens * kept + tokens

    @property
    def seconds(self) -> float:
        """For one token; 0 where nothing was measured yet."""
        return self._seconds / self._tokens if self._tokens else 0.0

    def tokens(self, seconds: float, most: int) -> int:
        """How many tokens a batch may have to take no longer, at most `most` and at least 1."""
        return max(1, min(most, int(seconds / self.seconds))) if self.seconds else most
