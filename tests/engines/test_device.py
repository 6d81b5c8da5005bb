import subprocess
import sys
from pathlib import Path

import pytest

from beige.engines import device as module
from beige.engines.device import devices
from beige.errors import EngineError, MissingExtraError, UsageError


@pytest.fixture
def gpus(monkeypatch, request, tmp_path):
    """A machine with so many GPUs, and the node of their driver."""
    node = tmp_path / "nvidiactl"
    if request.param:
        node.touch()
    monkeypatch.setattr(module, "_NODES", (node,))
    monkeypatch.setattr(module, "_installed", lambda: True)
    monkeypatch.setattr(module, "_count", lambda: request.param)


@pytest.mark.parametrize(
    ("gpus", "asked", "expected"),
    [
        (0, "auto", ("cpu",)),
        (2, "auto", ("cuda:0",)),
        (2, "cpu", ("cpu",)),
        (2, "cuda", ("cuda:0",)),
        (2, "cuda:1", ("cuda:1",)),
        (3, "cuda:2,cuda:0", ("cuda:2", "cuda:0")),
        (3, "cuda:all", ("cuda:0", "cuda:1", "cuda:2")),
    ],
    indirect=["gpus"],
)
def test_names(gpus, asked, expected):
    assert devices(asked) == expected


@pytest.mark.parametrize("gpus", [2], indirect=True)
@pytest.mark.parametrize(
    "asked", ["", "tpu", "gpu", "cuda:", "cuda:x", "cuda:0,cpu", "cuda:0,cuda:0", "cuda,cuda:0", "cuda:-1"]
)
def test_names_that_mean_nothing(gpus, asked):
    with pytest.raises(UsageError, match="there is no device"):
        devices(asked)


@pytest.mark.parametrize(
    ("gpus", "asked", "said"),
    [(2, "cuda:2", "no device cuda:2: PyTorch sees 2"), (0, "cuda", "no device cuda:0"), (0, "cuda:all", "no GPU")],
    indirect=["gpus"],
)
def test_gpus_that_are_not_there(gpus, asked, said):
    with pytest.raises(EngineError, match=said):
        devices(asked)


def test_without_torch_a_gpu_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "_installed", lambda: False)
    with pytest.raises(MissingExtraError, match=r"beige\[torch\]"):
        devices("cuda")
    assert devices("auto") == ("cpu",)


def test_torch_is_not_imported_where_no_driver_is(tmp_path):
    program = (
        "import sys; from pathlib import Path; from beige.engines import device;"
        f"device._NODES = (Path({str(tmp_path / 'none')!r}),);"
        "assert device.devices('auto') == ('cpu',); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
