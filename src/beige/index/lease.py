"""How long documents are found: a time to live as a person writes it, and what a run makes of it."""

import math
import re
from dataclasses import dataclass
from datetime import timedelta

from beige.errors import UsageError
from beige.index.store import Stored

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_TTL = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
NEVER = "never"


@dataclass(frozen=True, slots=True)
class Lease:
    """Until when the documents of a run are found.

    Attributes:
        kept: each keeps the time that it has; a new one has none.
        until: seconds since the epoch for all of them; None for ever.
    """

    kept: bool = False
    until: float | None = None

    def expires(self, stored: Stored | None) -> float | None:
        """When a document expires, given how it is stored."""
        return (stored.expires if stored else None) if self.kept else self.until


KEEP = Lease(kept=True)
"""The lease of a run that says nothing about it."""


def lease(ttl: str | float | timedelta | None, now: float) -> Lease:
    """The lease of a run.

    Args:
        ttl: how long: seconds, a `timedelta`, a number with s, m, h, d or w such as "30d", or "never"; None where
            nothing is said.
        now: when the run begins, in seconds since the epoch.

    Raises:
        UsageError: it is none of these, or not above 0.
    """
    if ttl is None:
        return KEEP
    if ttl == NEVER:
        return Lease()
    if isinstance(ttl, str):
        if not (match := _TTL.fullmatch(ttl.strip())):
            raise UsageError(f"{ttl!r} is no time to live: write a number with s, m, h, d or w, such as 30d, or never")
        seconds = float(match[1]) * _UNITS[match[2]]
    else:
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else float(ttl)
    if not 0 < seconds < math.inf:
        raise UsageError(f"a time to live must be above 0 s, not {ttl!r}: to remove documents at once use beige delete")
    return Lease(until=now + seconds)
