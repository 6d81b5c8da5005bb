"""The generations of an index: the one that serves, one that is being made, and the one that served before."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from beige.index.store import Store

NEXT, PREVIOUS = "next", "previous"
"""Names of the generations beside the one that serves: of the one that is being made, and of the one before."""

REBUILD = "rebuild"
"""The name, likewise, of a new index that is to take the place of all of them."""

PATIENCE = 0.5
"""Seconds between two tries to lock writers out."""

Swap: TypeAlias = Callable[[str, Store], None]
"""Puts the generation of a name, whose store is open for writing, in the place of the one that serves, which is kept as
the previous one."""


class Generations(Protocol):
    """How one generation takes the place of another where an index is."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep others from filling or dropping a generation beside, and mend what a kill has left.

        Raises:
            LockedError: another process does.
            UsageError: none can take the place of the one that serves.
        """

    def locked_out(self) -> AbstractContextManager[Swap]:
        """Keep writers out of the one that serves, once they let us; meanwhile it can be swapped."""

    def drop(self, name: str) -> None:
        """Remove a generation beside; nothing where there is none."""
