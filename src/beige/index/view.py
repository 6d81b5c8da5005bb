"""What a search sees of a leg: parts that never change, and which of their chunks are still alive."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from beige.index.database import Change
from beige.index.store import Ids

Alive = NDArray[np.bool_]
"""For each chunk of a part, whether it is still stored: (n,)."""


class Part(Protocol):
    """Some of a leg's vectors, made searchable."""

    @property
    def ids(self) -> Ids:
        """Their chunks: (n,), ascending."""


P = TypeVar("P", bound=Part)


@dataclass(frozen=True, eq=False)
class View(Generic[P]):
    """A leg as it stood after one change: immutable, so that it is searched without a lock.

    Attributes:
        change: the last change in it.
        parts: the base, then what came later; the ids ascend from part to part.
    """

    change: Change
    parts: tuple[tuple[P, Alive], ...]

    @property
    def living(self) -> int:
        """How many chunks are stored."""
        return sum(int(np.count_nonzero(alive)) for _, alive in self.parts)

    def without(self, removed: Ids) -> "View[P]":
        """The leg as if these chunks had been removed."""
        if not len(removed):
            return self
        return View(self.change, tuple((part, survivors(part, alive, removed)) for part, alive in self.parts))


def everything(part: Part) -> Alive:
    """All of a part."""
    return np.ones(len(part.ids), bool)


def survivors(part: Part, alive: Alive, removed: Ids) -> Alive:
    """Which chunks of a part are alive once these, of it or not, have been removed too."""
    ids = part.ids
    if not len(ids) or not len(removed):
        return alive
    places = np.minimum(np.searchsorted(ids, removed), len(ids) - 1)
    left = alive.copy()
    left[places[ids[places] == removed]] = False
    return left


def narrowed(view: View[P], ids: Ids) -> View[P]:
    """The view in which of all chunks only these, ascending, are alive."""
    return View(
        view.change, tuple((part, alive & np.isin(part.ids, ids, assume_unique=True)) for part, alive in view.parts)
    )
