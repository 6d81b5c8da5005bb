"""Legs whose model was not made for the language that is asked in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beige.evaluate.ranking import Dense, Legs
from beige.evaluate.variants import STORAGES
from beige.evaluate.words import Words
from beige.index import Index
from beige.models.catalogue import find_card
from beige.models.checkpoint import open_checkpoint
from beige.search import Searcher
from beige.search.strangers import FIFTH, asked_in, is_stranger, spread_of, trust
from tests.standin import StandIn

ENGLISH = find_card("bge-small-en-v1.5")
GERMAN = "Wie hoch ist der Turm, den man von der Brücke aus sieht?"
TEXTS = (
    "Der Turm an der Brücke ist hoch, und man sieht ihn von der Stadt aus.",
    "Die Brücke über den Fluss ist alt und wird nicht mehr benutzt.",
    "The tower of the town is high and can be seen from the bridge.",
    "The river is deep and the water of it is cold in winter.",
    *(f"This is the page {number} of a book that nobody has read." for number in range(30)),
)


@pytest.mark.parametrize(
    ("query", "documents", "expected"),
    [
        (GERMAN, ["de", "en"], {"de"}),
        (GERMAN, ["en", "fr"], {"en", "fr"}),  # no document is in it: what is told may be wrong
        ("Turm", ["de", "en"], {"de", "en"}),  # of a word alone it cannot be told
        ("ما هو ارتفاع البرج؟", ["ar"], {"ar"}),
        (GERMAN, [], set()),
    ],
)
def test_a_query_is_in_its_own_language_where_documents_are(query: str, documents: list[str], expected: set) -> None:
    assert asked_in(query, documents) == expected


def test_a_stranger_is_a_model_that_was_made_for_none_of_the_languages() -> None:
    assert is_stranger(ENGLISH, {"ar"})
    assert not is_stranger(ENGLISH, {"ar", "en"})
    assert not is_stranger(ENGLISH, set())
    assert not is_stranger(find_card("bge-m3"), {"ar"})
    assert not is_stranger(None, {"ar"})


@pytest.mark.parametrize("seed", range(5))
def test_trust_rises_with_how_far_the_best_stands_out(seed: int) -> None:
    chance = np.random.default_rng(seed)
    noise = chance.normal(0.8, 0.02, 1000)
    best, mean, deviation = float(noise.max()), float(noise.mean()), float(noise.std())
    assert trust(min(best, mean + 3 * deviation), mean, deviation) == pytest.approx(FIFTH / 10)
    assert trust(mean + 4 * deviation, mean, deviation) == pytest.approx(FIFTH)
    assert trust(mean + 3.5 * deviation, mean, deviation) == pytest.approx(FIFTH / 2)
    found = [trust(mean + far * deviation, mean, deviation) for far in np.linspace(0, 9, 50)]
    assert found == sorted(found)
    assert trust(0.5, 0.5, 0.0) == pytest.approx(FIFTH / 10)
    assert trust(2 * best + 1, 2 * mean + 1, 2 * deviation) == pytest.approx(trust(best, mean, deviation))


def test_a_spread_is_that_of_the_scores() -> None:
    chance = np.random.default_rng(3)
    sample, query = chance.normal(size=(50, 8)).astype(np.float32), chance.normal(size=8).astype(np.float32)
    scores = sample @ query
    assert spread_of(sample, query, float(scores.mean())) == pytest.approx(scores.std(), rel=1e-5)
    assert spread_of(sample[:0], query, 0.0) == 0


@pytest.fixture
def english(tiny_bert: Path) -> StandIn:
    """A model that says it was made for English."""
    return StandIn(replace(open_checkpoint(tiny_bert), card=ENGLISH))


def test_an_english_model_has_little_say_of_a_german_question(
    tmp_path: Path, english: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, text in enumerate(TEXTS):
        (tmp_path / f"{number:02}.txt").write_text(text)
    with Index.open("index", english) as index:
        index.add(".")
        with Searcher(index) as searcher:
            strange = searcher.search(GERMAN, 40)
            known = searcher.search("How high is the tower that is seen from the bridge?", 40)
            told = searcher.search(GERMAN, 40, weights={"dense": 0.6, "bm25": 0.4})
            alone = searcher.search(GERMAN, 40, legs=["dense"])
        query = english.encode_query(GERMAN).dense
        vectors = english.encode_document(TEXTS).dense
    for hits, weight in ((known, 0.6), (told, 0.6), (alone, 1.0)):
        assert hits[0].legs["dense"].trust == 1
        assert hits[0].legs["dense"].weight == pytest.approx(weight)
    dense = strange[0].legs["dense"]
    cosines = vectors @ query
    assert dense.trust == pytest.approx(trust(cosines.max(), cosines.mean(), cosines.std()), rel=1e-3)
    assert dense.weight == pytest.approx(0.6 * dense.trust / (0.6 * dense.trust + 0.4))
    assert strange[0].legs["bm25"].weight == pytest.approx(1 - dense.weight)
    # What is measured without an index is what an index gives.
    legs = Legs(Dense(STORAGES["float32"](vectors), query[None], np.array([True])), Words(TEXTS))
    (ranking,) = legs.rank([GERMAN], [None])
    assert [hit.source for hit in strange] == [f"{place:02}.txt" for place in ranking.places.tolist()]
    assert [hit.score for hit in strange] == pytest.approx(ranking.scores.tolist(), abs=2e-3)
