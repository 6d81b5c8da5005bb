"""The process's memory stays what its work needs, however long it runs."""

import ctypes
import gc

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1  # of glibc's malloc.h

ARENAS = 2
"""Heaps of the allocator. By itself it makes eight a core, and each keeps what its threads needed at the worst time."""

LARGE = 1 << 20
"""Bytes from which on a block is the system's, and goes back to it when it is freed. By itself the allocator raises
that to 32 MB once it saw a body of so much: all bodies then lie in its heaps, between what stays."""


def bound_heaps() -> None:
    """Keep the allocator from growing; before threads are started.

    Does nothing where the allocator is not glibc's.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_ARENA_MAX, ARENAS), (_MMAP_THRESHOLD, LARGE), (_TRIM_THRESHOLD, LARGE)):
            mallopt(option, value)


def settle() -> None:
    """Once what stays was made: the collector looks at it no more.

    A full collection comes when a quarter of what stayed is new. Where models and modules do not count, that is soon,
    so what requests left behind in circles is not kept for hours; and it holds answers up for less time.
    """
    gc.collect()
    gc.freeze()
