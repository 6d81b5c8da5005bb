import ctypes
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the allocator is not glibc's")

_FILLED = """
import ctypes, sys, threading
from beige.serve.memory import bound_heaps

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks mapped b c used free keep".split()]

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.calloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.mallinfo2.restype = Info
if "bound" in sys.argv:
    bound_heaps()

def fill():
    some = [libc.calloc(1, 1000) for _ in range(100)]
    together.wait()
    for one in some:
        libc.free(one)

together = threading.Barrier(12)
threads = [threading.Thread(target=fill) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.free(libc.calloc(1, 20_000_000))
before = libc.mallinfo2().mapped
libc.malloc(2_000_000)
print(libc.mallinfo2().mapped - before, flush=True)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.parametrize("bound", [True, False])
def test_heaps_are_few_and_what_is_large_goes_back_to_the_system(bound):
    command = [sys.executable, "-c", _FILLED, *["bound"] * bound]
    mapped, *said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    heaps = sum(line.startswith("<heap") for line in said)
    assert (heaps <= 3) is bound  # the main one is not counted by every version
    assert (int(mapped) >= 2_000_000) is bound
