import dataclasses

import pytest

from beige.engines.gate import FILE, Gate, read_gate, write_gate
from beige.errors import CheckpointError
from beige.models.checkpoint import Checkpoint, open_checkpoint
from tests.checkpoints import tiny_bert

CAN = frozenset({"vnni", "avx2"})


@pytest.fixture
def checkpoint(tmp_path) -> Checkpoint:
    return open_checkpoint(tiny_bert(tmp_path / "gated"))


def gate(checkpoint: Checkpoint, **changes: object) -> Gate:
    one = Gate(checkpoint.fingerprint, "int8", ("avx2", "vnni"), True, "nDCG@10 within 0.005 on SciFact")
    return dataclasses.replace(one, **changes)


def test_what_is_written_is_read(checkpoint):
    assert read_gate(checkpoint, "int8", CAN) is None
    assert write_gate(checkpoint, gate(checkpoint)) == checkpoint.path / FILE
    assert read_gate(checkpoint, "int8", CAN) == gate(checkpoint)


def test_a_later_verdict_replaces_an_earlier_one_on_the_same(checkpoint):
    write_gate(checkpoint, gate(checkpoint))
    write_gate(checkpoint, gate(checkpoint, capabilities=("amx",)))
    write_gate(checkpoint, gate(checkpoint, passed=False))
    assert not read_gate(checkpoint, "int8", CAN).passed
    assert read_gate(checkpoint, "int8", frozenset({"amx"})).passed


@pytest.mark.parametrize("other", [{"fingerprint": "of other weights"}, {"precision": "fp8"}, {"capabilities": ()}])
def test_a_verdict_on_something_else_does_not_count(checkpoint, other):
    write_gate(checkpoint, gate(checkpoint, **other))
    assert read_gate(checkpoint, "int8", CAN) is None


def test_where_the_folder_cannot_be_written_the_record_lies_in_the_home(checkpoint, beige_home):
    (checkpoint.path / f"{FILE}.new").mkdir()  # where the new record would be written
    path = write_gate(checkpoint, gate(checkpoint))
    assert path.is_relative_to(beige_home)
    assert read_gate(checkpoint, "int8", CAN) == gate(checkpoint)


@pytest.mark.parametrize("text", ["not json", "{}", '[{"precision": "int8"}]', "[1]", '[{"capabilities": []}]'])
def test_a_damaged_record_is_named(checkpoint, text):
    (checkpoint.path / FILE).write_text(text)
    with pytest.raises(CheckpointError, match=f"{FILE} is no gate record"):
        read_gate(checkpoint, "int8", CAN)
