"""What providers ask for embedding, and the limit of what a run may spend."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from beige.errors import BudgetError, UsageError
from beige.evaluate.systems import Model

PAID = ("openai", "cohere", "voyage")
"""The runners that ask for money."""


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices, with what the user says in place of them.

    Attributes:
        date: when the list was read, ISO 8601.
        listed: dollars for a million tokens by runner and model.
        given: dollars for a million tokens by a model's name, in place of the list.
    """

    date: str
    listed: Mapping[str, Mapping[str, float]]
    given: Mapping[str, float] = field(default_factory=dict)

    def of(self, model: Model) -> float | None:
        """Dollars for a million tokens; None where nobody said.

        A server of one's own has no list price, and what Beige runs costs the machine's time.
        """
        if model.name in self.given:
            return self.given[model.name]
        return self.listed.get(model.runner, {}).get(model.name)


@cache
def _list() -> tuple[str, Mapping[str, Mapping[str, float]]]:
    table = tomllib.loads(resources.files(__package__).joinpath("prices.toml").read_text("utf-8"))
    return table.pop("date"), table


def prices(given: Mapping[str, float] | None = None) -> Prices:
    """The dated table of list prices, some of them overridden.

    Args:
        given: dollars for a million tokens by a model's name.

    Raises:
        UsageError: a price that is negative or no number.
    """
    for name, price in (given or {}).items():
        if not (math.isfinite(price) and price >= 0):
            raise UsageError(f"the price of {name} must be dollars for a million tokens, 0 or more, not {price}")
    return Prices(*_list(), dict(given or {}))


class Budget:
    """What a run may spend on providers.

    Attributes:
        limit: dollars; None for no limit.
        spent: dollars, as the providers' own token counts and the prices say.
    """

    def __init__(self, limit: float | None = None) -> None:
        if limit is not None and not (math.isfinite(limit) and limit >= 0):
            raise UsageError(f"the spend limit must be dollars, 0 or more, not {limit}")
        self.limit = limit
        self.spent = 0.0

    def check(self, model: Model, price: float | None, tokens: float) -> None:
        """Refuse a request that would go beyond the limit.

        Args:
            model: who is to be paid.
            price: dollars for a million tokens; None where nobody knows.
            tokens: how many the request has, as well as one can tell before it is answered.

        Raises:
            BudgetError: the limit would be passed, or what a provider asks is not known.
        """
        if self.limit is None or (price is None and model.runner not in PAID):
            return
        if price is None:
            raise BudgetError(
                f"no list price is known for {model.runner}:{model.name}, so that the spend limit cannot be kept: "
                f"say what it costs a million tokens with --price {model.name}=DOLLARS"
            )
        cost = price * tokens / 1e6
        if self.spent + cost > self.limit:
            raise BudgetError(
                f"the next request to {model.runner}:{model.name} would cost about ${cost:.4f}, and with the "
                f"${self.spent:.4f} spent pass the limit of ${self.limit:.2f}; what was paid for is kept: "
                "run the same command again with a higher --max-cost"
            )

    def spend(self, price: float | None, tokens: float) -> None:
        """Count what a request cost."""
        if price is not None and math.isfinite(tokens):
            self.spent += price * tokens / 1e6
