import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beige.engines import batches
from beige.engines.batches import Batch, in_order, pack, pad, shared_out, sliced
from beige.models.tokenizer import Tokens

LENGTHS = st.lists(st.integers(1, 600), max_size=80)


def tokens(length: int, first: int = 7) -> Tokens:
    return Tokens(np.arange(first, first + length, dtype=np.int32), length, False)


@given(LENGTHS, st.integers(1, 2000))
def test_every_text_is_packed_once(lengths, budget):
    packed = pack(lengths, budget)
    assert sorted(place for batch in packed for place in batch) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 2000))
def test_a_batch_keeps_the_budget_unless_one_text_exceeds_it(lengths, budget):
    for batch in pack(lengths, budget):
        padded = len(batch) * max(lengths[place] for place in batch)
        assert padded <= budget or len(batch) == 1


@given(LENGTHS, st.integers(1, 2000))
def test_no_batch_could_have_taken_the_next_text(lengths, budget):
    packed = pack(lengths, budget)
    for batch in packed[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > budget


@given(LENGTHS, st.integers(1, 2000))
def test_the_longest_come_first_and_equals_keep_their_order(lengths, budget):
    order = [place for batch in pack(lengths, budget) for place in batch]
    assert order == sorted(order, key=lambda place: (-lengths[place], place))


@given(st.lists(st.integers(1, 600), min_size=1, max_size=40), st.integers(1, 2000), st.integers(1, 4))
def test_few_texts_are_shared_out_among_the_streams(lengths, budget, streams):
    packed, shared = pack(lengths, budget), shared_out(lengths, budget, streams)
    assert sorted(place for batch in shared for place in batch) == list(range(len(lengths)))
    assert len(shared) <= max(len(packed), streams)

    def largest(some):
        return max(len(batch) * max(lengths[place] for place in batch) for batch in some)

    assert largest(shared) <= largest(packed)


def test_texts_of_one_length_fill_every_stream():
    assert shared_out([14] * 40, 1024, 2) == [[*range(20)], [*range(20, 40)]]
    assert shared_out([14], 1024, 2) == [[0]]


def test_windows_are_read_only_when_they_are_due(monkeypatch):
    monkeypatch.setattr(batches, "WINDOW_TEXTS", 10)
    read = []
    stream = batches.batches((read.append(n) or tokens(1 + n % 3) for n in range(35)), budget=6)
    first = next(stream)
    assert len(read) == 10
    rest = [first, *stream]
    assert sorted(place for batch in rest for place in batch.positions) == list(range(35))
    assert all(
        len(text.ids) == 1 + place % 3
        for batch in rest
        for place, text in zip(batch.positions, batch.texts, strict=True)
    )


def test_a_window_of_long_texts_ends_early(monkeypatch):
    monkeypatch.setattr(batches, "WINDOW_TOKENS", 100)
    read = []
    next(batches.batches((read.append(n) or tokens(30) for n in range(50)), budget=60))
    assert len(read) == 4


@given(st.lists(st.integers(1, 20), min_size=1, max_size=9))
def test_padding_fills_after_each_text(lengths):
    ids, sizes = pad(Batch(tuple(range(len(lengths))), tuple(map(tokens, lengths))), fill=-1)
    assert ids.shape == (len(lengths), max(lengths))
    assert ids.dtype == sizes.dtype == np.int32
    assert sizes.tolist() == lengths
    for row, length in zip(ids, lengths, strict=True):
        assert row.tolist() == [*range(7, 7 + length), *[-1] * (max(lengths) - length)]


@given(st.permutations(range(30)))
def test_results_come_in_the_order_of_their_places(order):
    assert list(in_order((place, str(place)) for place in order)) == [str(place) for place in range(30)]


def test_a_result_is_given_as_soon_as_it_is_due():
    taken = []
    results = in_order((taken.append(place) or (place, place)) for place in (1, 0, 2, 3))
    assert [next(results), next(results)] == [0, 1]
    assert taken == [1, 0]


@given(st.lists(st.integers()), st.integers(1, 9))
def test_slices_hold_everything_in_order(items, size):
    parts = list(sliced(items, size))
    assert [item for part in parts for item in part] == items
    assert all(len(part) == size for part in parts[:-1])
    assert all(parts)
