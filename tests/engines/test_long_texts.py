"""Memory of long texts: it grows with their length, not with its square."""

import json
import subprocess
import sys

import pytest

from bench.environments import ROOT
from tests import xlmr_checkpoints

LENGTHS = (2048, 4096, 8192)
HEADS = 4
SCORES = HEADS * LENGTHS[-1] ** 2 * 4
"""Bytes of the attention scores of one layer, were they held."""

SCRIPT = """
import json, sys
from pathlib import Path

import numpy as np

from beige.engines.precision import Choice
from beige.models.checkpoint import open_folder
from beige.models.tokenizer import Tokens
from bench.footprint import peak

kind, folder, lengths = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
choice = Choice("fp32", "asked for")
if kind == "openvino":
    from beige.engines.openvino_engine import OpenVINOEngine

    engine = OpenVINOEngine(open_folder(folder), choice)
else:
    from beige.engines.torch_engine import TorchEngine

    engine = TorchEngine(open_folder(folder), "cpu", choice)
peaks = []
for length in lengths:
    (raw,) = engine.run([Tokens(np.full(length, 20, np.int32), length, False)], ("dense", "sparse", "multi"))
    assert len(raw["multi"]) == length - 1
    peaks.append(peak() * 2**20)
print(json.dumps(peaks))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is told by Linux alone")
@pytest.mark.parametrize("kind", ["openvino", "torch"])
def test_memory_grows_with_the_length_and_not_with_its_square(kind, tmp_path):
    if kind == "torch":
        pytest.importorskip("torch")
    folder = xlmr_checkpoints.tiny_m3(tmp_path / "m3", max_tokens=LENGTHS[-1])
    command = [sys.executable, "-c", SCRIPT, kind, str(folder), json.dumps(LENGTHS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    first, middle, last = json.loads(done.stdout)
    assert last - first < SCORES / 8
    assert last - middle < 3 * max(middle - first, SCORES / 64)
