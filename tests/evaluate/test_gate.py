"""The gate of a precision, and what the engines read of it."""

from pathlib import Path

import pytest

from beige.engines.gate import read_gate
from beige.engines.precision import capabilities
from beige.errors import EngineError, InputError, UsageError
from beige.evaluate.data import read_retrieval
from beige.evaluate.gate import gate
from beige.evaluate.run import Settings
from beige.models.checkpoint import open_checkpoint
from tests import checkpoints
from tests.evaluate import sets


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint of its own, since a gate is written beside it."""
    return checkpoints.tiny_bert(tmp_path / "model")


def test_the_verdict_is_what_engines_read(model: Path, settings: Settings, tmp_path: Path):
    data = read_retrieval(sets.write(tmp_path / "set", documents=120, queries=60))
    found = gate(str(model), "int8", data, settings, tolerance=0.9)
    checkpoint = open_checkpoint(model)
    assert read_gate(checkpoint, "int8", capabilities()) == found.gate
    assert found.gate.passed
    assert "on set/test" in found.gate.reason
    assert "tolerance 0.9" in found.gate.reason
    assert set(found.figures) == {"int8", "fp32"}
    assert found.comparison.difference == pytest.approx(found.figures["int8"] - found.figures["fp32"])
    strict = gate(str(model), "int8", data, settings, tolerance=1e-9)
    assert strict.gate.passed == (strict.comparison.interval.low > -1e-9)
    assert read_gate(checkpoint, "int8", capabilities()) == strict.gate  # the later verdict counts


def test_the_interval_decides_and_not_the_mean(
    model: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The mean is within the tolerance, but a loss beyond it is not excluded."""
    import beige.evaluate.gate as module

    data = read_retrieval(sets.write(tmp_path / "set", documents=120, queries=60))
    plain = module.run

    def noisy(system, task, measures, used):
        result = plain(system, task, measures, used)
        if system.name == "int8":
            figures = result.figures[measures[0]]
            for number, query in enumerate(figures):
                figures[query] += 0.1 if number % 2 else -0.1
        return result

    monkeypatch.setattr(module, "run", noisy)
    found = gate(str(model), "int8", data, settings, tolerance=0.02)
    if abs(found.comparison.difference) < 0.02:  # the random model's int8 itself may lose more
        assert found.gate.passed == (found.comparison.interval.low > -0.02)
    assert found.comparison.interval.low < found.comparison.difference < found.comparison.interval.high
    assert not found.gate.passed


def test_what_cannot_be_gated(model: Path, settings: Settings, tmp_path: Path):
    data = read_retrieval(sets.write(tmp_path / "set", documents=120, queries=60))
    with pytest.raises(UsageError, match="fp32 is what others are measured against"):
        gate(str(model), "fp32", data, settings)
    with pytest.raises(UsageError, match="tolerance must be between 0 and 1, not 0"):
        gate(str(model), "int8", data, settings, tolerance=0)
    with pytest.raises(UsageError, match="no precision 'int4'"):
        gate(str(model), "int4", data, settings)
    few = read_retrieval(sets.write(tmp_path / "few", queries=49))
    with pytest.raises(InputError, match="few/test has 49 queries, and a verdict takes 50"):
        gate(str(model), "int8", few, settings)
    if "bf16" not in capabilities():
        with pytest.raises(EngineError, match="no bf16"):
            gate(str(model), "bf16", data, settings)
