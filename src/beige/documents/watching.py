"""Watching paths: what changed beneath them, in rounds, until somebody has enough.

The system tells of changes (inotify, FSEvents; `WATCHFILES_FORCE_POLLING=1` looks by itself, for network file systems);
what they mean is found by looking, as `walk` does: a round only says where to look.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from beige.documents.walk import NEVER, absolute, find, passed_over
from beige.errors import BeigeError, MissingExtraError

PAUSE, LONGEST = 0.2, 2.0
"""Seconds without a change that end a round, and the most that it waits for them."""

TICK = 0.5
"""Seconds until a round without any change, so that other things can be done; missing paths are looked for as often."""

AGAIN = 3600.0
"""Seconds after which everything is looked at again: a system that is too busy forgets to tell."""


@dataclass(frozen=True, slots=True)
class Round:
    """What to look at.

    Attributes:
        paths: those of the watched ones that are there.
        changed: where among them something may have changed; a watched path itself where all of it may have.
        missing: those that are not there, in the round in which that was noticed.
    """

    paths: tuple[Path, ...]
    changed: frozenset[Path]
    missing: frozenset[Path] = frozenset()


def rounds(
    paths: Sequence[str | Path], skip: str | Path | None = None, stop: threading.Event | None = None
) -> Iterator[Round]:
    """Rounds of changes; in the first one all paths have changed. Nothing that changes meanwhile is lost.

    A path that goes away is missing until it is there again, or another in its place; then all of it has changed.

    Args:
        paths: files and folders.
        skip: a folder whose changes are not told: the index that is being written, should it lie beneath a path.
        stop: ends the rounds, within a tick; from another thread too.

    Raises:
        InputError: a path does not exist at the beginning.
        MissingExtraError: watchfiles is not installed.
        BeigeError: the system watches no more folders for this user.
    """
    try:
        import watchfiles
    except ImportError as error:
        raise MissingExtraError("watching a folder", "watch") from error
    stop = stop or threading.Event()
    named = tuple(dict.fromkeys(absolute(path) for path in paths))
    find(paths)  # a path that does not exist is said
    telling = _Telling(named, skip)
    known: dict[Path, tuple[int, int]] = {}
    changed: set[Path] = set()
    while not stop.is_set():
        there = _there(named)
        gone = frozenset(known) - set(there)
        changed = {path for path in changed if not gone.intersection((path, *path.parents))}
        changed |= {path for path, identity in there.items() if known.get(path) != identity}
        known, looked = there, time.monotonic()
        if not there:
            yield Round((), frozenset(), gone)
            stop.wait(TICK)
            continue
        try:
            for events in watchfiles.watch(
                *there,
                watch_filter=lambda _, path: telling.of(path) is not None,
                debounce=int(LONGEST * 1000),
                step=int(PAUSE * 1000),
                rust_timeout=int(TICK * 1000),
                yield_on_timeout=True,
                stop_event=stop,
                ignore_permission_denied=True,
            ):
                changed |= {place for _, event in events if (place := telling.of(event)) is not None}
                if _there(named) != known:
                    break  # what is there now has to be watched anew
                if time.monotonic() - looked > AGAIN:
                    changed, looked = set(known), time.monotonic()
                yield Round(tuple(known), frozenset(changed), gone)
                gone, changed = frozenset(), set()
        except FileNotFoundError:
            continue  # it has just gone
        except OSError as error:
            raise BeigeError(
                f"the system cannot watch {', '.join(map(str, there))} ({error}): allow more with "
                "sysctl fs.inotify.max_user_watches, or set WATCHFILES_FORCE_POLLING=1"
            ) from error


def _there(paths: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """The paths that are there, with what tells another one in their place."""
    found = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found[path] = (status.st_dev, status.st_ino)
    return found


class _Telling:
    """Which changes are told, and as what."""

    def __init__(self, paths: Sequence[Path], skip: str | Path | None) -> None:
        self._skip = None if skip is None else os.path.realpath(skip)
        real = {path: os.path.realpath(path) for path in paths}
        # By how the system may call each watched path, for some tell of real paths where a link is watched.
        self._tops = [(name, path, real[path]) for path in paths for name in {os.fspath(path), real[path]}]

    def of(self, event: str) -> Path | None:
        """Where to look after a change of this path; None for nowhere."""
        for top, path, real in self._tops:
            if event == top:
                return path
            if event.startswith(f"{top}{os.sep}") and (found := self._beneath(path, real, event[len(top) + 1 :])):
                return found
        return None

    def _beneath(self, top: Path, real: str, inner: str) -> Path | None:
        if self._skip is not None and f"{real}{os.sep}{inner}{os.sep}".startswith(f"{self._skip}{os.sep}"):
            return None
        *folders, name = Path(inner).parts
        if any(passed_over(folder) or folder in NEVER for folder in folders):
            return None
        if name == ".gitignore":
            return top.joinpath(*folders)  # it says what counts in its folder
        return None if passed_over(name) or name in NEVER else top.joinpath(*folders, name)
