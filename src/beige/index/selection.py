"""Which chunks pass the filters that were asked lately."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from beige.index.database import Change, Reading
from beige.index.filter import Filter
from beige.index.store import Ids
from beige.index.view import P, View, narrowed

KEPT = 16
"""Filters that are remembered."""


@dataclass(eq=False)
class _Known:
    """What is known of a filter.

    Attributes:
        change: the index's state that was looked at.
        ids: the chunks that passed then, and perhaps some that were removed before, ascending.
        views: by leg, a view and that of these chunks in it.
    """

    change: Change
    ids: Ids
    views: dict[str, tuple[View[Any], View[Any]]] = field(default_factory=dict)


class Selections:
    """What passes each filter, kept up as the index changes; used by several threads.

    What filters see of a chunk never changes while its id lives: after a change only the new chunks are looked at.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()  # by what a filter reads as: to Python, True is 1
        self._lock = threading.Lock()

    def narrowed(self, leg: str, view: View[P], where: Filter, reading: Reading) -> View[P]:
        """A leg's view in which only what passes is alive.

        Args:
            leg: the leg's name.
            view: as the transaction sees it.
            where: the filter.
            reading: the transaction.

        Raises:
            UsageError: the filter is too large.
        """
        name = repr(where)
        with self._lock:
            known = self._known.get(name)
            if known is not None:
                self._known.move_to_end(name)
                if leg in known.views and known.views[leg][0] is view:
                    return known.views[leg][1]
        if known is None or known.change != view.change:
            known = self._looked_up(where, known, view.change, reading)
        some = narrowed(view, known.ids)
        with self._lock:
            stands = self._known.get(name)
            if stands is None or stands.change.number <= known.change.number:
                known.views[leg] = view, some
                self._known[name] = known
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return some

    @staticmethod
    def _looked_up(where: Filter, known: _Known | None, change: Change, reading: Reading) -> _Known:
        if known is not None and known.change.number < change.number and reading.remembers(known.change):
            new = reading.passing(where, known.change.added)
            return _Known(change, np.concatenate([known.ids, new]))
        return _Known(change, reading.passing(where))
