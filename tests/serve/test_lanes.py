import random
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beige.engines.batches import PADDED, PADDING, join
from beige.models.tokenizer import Tokens
from beige.serve.lanes import Lanes, Request


def texts(*lengths: int) -> list[Tokens]:
    return [Tokens(np.zeros(length, np.int32), length, False) for length in lengths]


@dataclass
class Simulation:
    """Lanes with one stream of a fixed budget, emptied batch by batch."""

    lanes: Lanes
    budget: int = 512

    def add(self, *lengths: int, lane: str = "query", kind: str = "kind") -> Request:
        request = Request(kind, lane, texts(*lengths), 0.0, lambda *_: None)
        self.lanes.add(request)
        return request

    def batch(self):
        return next(self.lanes.batches(lambda kind, lane: self.budget), None)


LENGTHS = st.lists(st.integers(1, 600), max_size=12)


@given(st.lists(st.tuples(LENGTHS, st.sampled_from(["query", "ingestion"]), st.sampled_from("ab")), max_size=12))
def test_every_text_is_in_one_batch_of_its_kind_and_lane(requests):
    simulation = Simulation(Lanes())
    made = [simulation.add(*lengths, lane=lane, kind=kind) for lengths, lane, kind in requests]
    seen = Counter()
    while batch := simulation.batch():
        lengths = [item.tokens for item in batch.items]
        assert len(lengths) == 1 or len(lengths) * max(lengths) <= simulation.budget
        assert batch.padded == len(lengths) * max(lengths)
        assert sum(lengths) == batch.tokens
        assert batch.padded - batch.tokens <= max(PADDING, PADDED * batch.padded)
        for item in batch.items:
            assert (item.request.kind, item.request.lane) == (batch.kind, batch.lane)
            seen[id(item.request), item.place] += 1
    assert seen == {(id(request), place): 1 for request in made for place in range(len(request.texts))}
    assert all(not simulation.lanes.waiting(lane) for lane in ("query", "ingestion"))


@given(st.lists(st.integers(1, 600), min_size=1, max_size=40), st.integers(1, 1024))
def test_join_takes_the_first_and_keeps_the_budget(lengths, budget):
    chosen = join(lengths, budget)
    assert chosen[0] == 0
    assert len(set(chosen)) == len(chosen)
    size = len(chosen) * max(lengths[place] for place in chosen)
    padding = size - sum(lengths[place] for place in chosen)
    assert len(chosen) == 1 or (size <= budget and padding <= max(PADDING, PADDED * size))


def test_queries_come_first():
    simulation = Simulation(Lanes())
    simulation.add(100, lane="ingestion")
    simulation.add(100)
    assert [simulation.batch().lane, simulation.batch().lane, simulation.batch()] == ["query", "ingestion", None]


def test_ingestion_has_its_share_while_queries_never_end():
    simulation, done = Simulation(Lanes(share=0.25)), Counter()
    simulation.add(*[64] * 4000, lane="ingestion")
    for _ in range(400):
        simulation.add(*[64] * 8)
        batch = simulation.batch()
        done[batch.lane] += batch.tokens
    assert done["ingestion"] / done.total() == pytest.approx(0.25, abs=0.02)


def test_queries_have_everything_that_ingestion_leaves():
    simulation = Simulation(Lanes())
    for _ in range(50):
        simulation.add(*[64] * 8)
    assert all(simulation.batch().lane == "query" for _ in range(50))


def test_a_large_request_does_not_keep_a_small_one_waiting():
    simulation = Simulation(Lanes())
    simulation.add(*[64] * 2000)
    for _ in range(20):
        simulation.batch()
    small = simulation.add(64)
    assert small in [item.request for item in simulation.batch().items]


def test_new_requests_do_not_keep_an_old_one_waiting_for_ever():
    simulation = Simulation(Lanes())
    old = simulation.add(*[500] * 4)
    for _ in range(200):
        simulation.add(500)
        simulation.batch()
        if not old.waiting:
            return
    pytest.fail("the old request starved")


def test_equal_requests_get_equal_shares():
    simulation, done = Simulation(Lanes(), budget=256), Counter()
    names = {id(simulation.add(*[64] * size)): size for size in (100, 400, 1000)}
    for _ in range(60):
        done.update(names[id(item.request)] for item in simulation.batch().items)
    assert max(done.values()) - min(done.values()) <= 12


def test_what_is_dropped_is_not_computed():
    simulation = Simulation(Lanes())
    gone, kept = simulation.add(10, 20, 30), simulation.add(10, 20)
    simulation.lanes.drop(gone)
    assert sum(simulation.lanes.waiting("query").values()) == 30
    found = []
    while batch := simulation.batch():
        found += [item.request for item in batch.items]
    assert found == [kept, kept]


def test_a_kind_without_room_waits_and_lets_others_pass():
    lanes = Lanes()
    for kind in ("full", "free"):
        lanes.add(Request(kind, "query", texts(10), 0.0, lambda *_: None))
    started = list(lanes.batches(lambda kind, lane: 0 if kind == "full" else 100))
    assert [batch.kind for batch in started] == ["free"]
    assert lanes.waiting("query") == {"full": 10}


def test_padding_stays_small_over_mixed_lengths():
    draw = random.Random(0)
    simulation, tokens, padded = Simulation(Lanes(), budget=1024), 0, 0
    for _ in range(300):
        simulation.add(draw.choice([draw.randint(8, 30), draw.randint(150, 512)]))
    while batch := simulation.batch():
        tokens, padded = tokens + batch.tokens, padded + batch.padded
    assert tokens / padded > 0.95
