"""What a checkpoint takes of memory when it is opened: mapped, packed once, and never held twice."""

import json
import subprocess
import sys

import pytest

from beige.engines import capabilities
from bench import shapes
from bench.environments import ROOT

SHAPE = shapes.Shape("XLMRobertaModel", layers=8, hidden=512, heads=8, max_tokens=512, vocabulary=50_000)
TINY = shapes.Shape("XLMRobertaModel", layers=1, hidden=32, heads=4, max_tokens=512, vocabulary=100)
WIDTHS = {"fp32": 4, "fp16": 2, "bf16": 2}


def footprint(folder, precision):
    command = [sys.executable, "-m", "bench.footprint", str(folder), precision, "64"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """What a model of next to nothing takes: the libraries."""
    return footprint(shapes.write(tmp_path_factory.mktemp("tiny") / "tiny", TINY, ["the"]), "fp32")


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is told by Linux alone")
@pytest.mark.parametrize("stored", WIDTHS)
def test_weights_are_held_once_whatever_they_are_stored_in(stored, without, tmp_path):
    precision = "bf16" if stored == "bf16" and "bf16" in capabilities() else "fp32"
    model = shapes.write(tmp_path / "model", SHAPE, ["the"], stored)
    size = (model / "model.safetensors").stat().st_size * 4 / WIDTHS[stored] / 2**20
    found = footprint(model, precision)
    assert size > 150
    assert found["texts"][0]["tokens"] == 64
    # In a model of real size the file's pages go while it is packed, and 1.4 is enough; this one is packed too soon.
    assert found["texts"][0]["peak_mb"] - without["texts"][0]["peak_mb"] < 1.7 * size
