"""Caches are mapped: searching takes no copy of them into the process's own memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beige.index.cache_file import CacheWriter
from beige.index.database import Change
from beige.index.dense_leg import GRAPHS, MATRIX
from beige.index.graph import GraphBuilder

ROWS, DIMENSION = 4000, 768

READ = """
import sys
from pathlib import Path
import numpy as np
from usearch.index import Index
from beige.index.cache_file import read
from beige.index.dense_leg import DenseLeg
from beige.index.manifest import Leg

def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

leg = DenseLeg(0, Leg("dense", "dense", int(sys.argv[2])), 10)
query = np.ones(int(sys.argv[2]), np.float32)
Index(ndim=8).search(np.ones(8, np.float32), 1)
before = own()
part = leg.open(read(Path(sys.argv[1])))
for _ in range(20):
    part.candidates(query, 100, np.ones(len(part.ids), bool))
print(own() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's own memory from what it maps")
@pytest.mark.parametrize("kind", [MATRIX, GRAPHS["float32"]])
def test_searching_takes_no_copy_of_a_cache(tmp_path: Path, kind: str) -> None:
    vectors = np.random.default_rng(0).standard_normal((ROWS, DIMENSION)).astype(np.float32)
    ids = np.arange(1, ROWS + 1)
    path = tmp_path / "dense.cache"
    with CacheWriter(path, kind, Change(number=1, added=ROWS)) as file:
        if kind == MATRIX:
            file.array("vectors", np.dtype("<f4"), [vectors])
        else:
            builder = GraphBuilder("float32", np.zeros(DIMENSION, np.float32))
            builder.add(ids, vectors)
            builder.save(file.temporary)
            file.adopt("graph")
            file.array("centre", np.dtype("<f4"), [builder.centre])
        file.array("ids", np.dtype("<i8"), [ids])
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(DIMENSION)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < path.stat().st_size / 3
