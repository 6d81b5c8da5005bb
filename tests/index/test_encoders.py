"""An index of several models and outputs: one pass each, only what is new, and no model that is not needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from beige.embedder import Embedder
from beige.errors import FingerprintError, UsageError
from beige.index import Index
from beige.models.checkpoint import open_checkpoint
from beige.scores import multi_score
from beige.search import Searcher
from beige.values import Embeddings, Output, Sparse
from tests import splade_checkpoints
from tests.standin import StandIn

TEXTS = {
    "light.md": "the speed of light in water",
    "stone.md": "a stone in the river",
    "wing.md": "# Wings\n\nthe flow of heat on a wing\n\n# Engines\n\nan engine and a plate",
    "empty.md": "",
}

EVERYTHING = ["dense", "bm25", "sparse", "multi/2"]


def write(texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        Path(name).write_text(text)


class Watched(StandIn):
    """Remembers what it was asked for."""

    asked: list[tuple[tuple[Output, ...], int]]

    def encode_document(self, texts: Sequence[str], outputs: tuple[Output, ...] = ("dense",)) -> Embeddings:
        self.asked.append((outputs, len(texts)))
        return super().encode_document(texts, outputs)


@pytest.fixture
def three(tiny_m3: Path) -> Watched:
    stand_in = Watched(open_checkpoint(tiny_m3))
    stand_in.asked = []
    return stand_in


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that are loaded."""
    names: list[str] = []

    def load(model: str) -> Embedder:
        names.append(model)
        return Embedder(model, precision="fp32")

    monkeypatch.setattr("beige.index.encoders.load", load)
    monkeypatch.setattr("beige.index.plan.load", load)
    return names


def contents(index: Index) -> dict[tuple[str, int], list[object]]:
    """What each leg holds of every chunk, to the bit."""
    found: dict[tuple[str, int], list[object]] = {}
    for passage in index.store.scan():
        held: list[object] = []
        for leg in index.manifest.legs:
            kind = index.store._kinds[leg.name]
            with index.store._reading() as reading:
                ((_, blob),) = reading.vectors_of(kind.number, np.array([passage.id]))
            held.append(blob)
        found[passage.source, passage.position] = held
    return found


def test_one_pass_gives_all_outputs_and_only_new_chunks_are_embedded(here: Path, three: Watched) -> None:
    write(TEXTS)
    with Index.open("../index", three, legs=EVERYTHING) as index:
        index.add(".")
        assert three.asked == [(("dense", "sparse", "multi"), 4)]
        three.asked.clear()
        write({"stone.md": "a stone in the river", "copy.md": TEXTS["light.md"], "wing.md": TEXTS["wing.md"] + " anew"})
        index.add(".")
        assert three.asked == [(("dense", "sparse", "multi"), 1)]
        with Index.open("../fresh", three, legs=EVERYTHING) as fresh:
            fresh.add(".")
            after, expected = contents(index), contents(fresh)
    assert after == expected


@pytest.mark.parametrize("pool", [1, 2])
def test_what_is_stored_is_what_the_model_gives(here: Path, tiny_m3: Path, pool: int) -> None:
    write(TEXTS)
    embedder = Embedder(tiny_m3, precision="fp32")
    with Index.open("../index", embedder, legs=["dense", "bm25", "sparse", f"multi/{pool}"]) as index:
        index.add(".")
        passage = next(p for p in index.store.scan() if p.source == "light.md")
        query = embedder.encode_query("light and water", ("dense", "sparse", "multi"))
        document = embedder.encode_document(passage.text, ("dense", "sparse", "multi"))
        ids = np.array([passage.id])
        asked = {"dense": query.dense, "sparse": query.sparse, "multi": query.multi}
        found = {leg: index.store.scores(leg, one, ids)[0] for leg, one in asked.items()}
        tokens = index.store.known("multi", index_keys(document_text=passage.text))
    assert found["dense"] == pytest.approx(float(document.dense @ query.dense), abs=2e-3)
    assert found["sparse"] == pytest.approx(query.sparse.dot(document.sparse), rel=2e-3)
    if pool == 1:
        assert found["multi"] == pytest.approx(multi_score(query.multi, document.multi), abs=5e-3)
    assert [len(vectors) for vectors in tokens.values()] == [-(-len(document.multi) // pool)]


def index_keys(document_text: str) -> list[str]:
    from beige.documents.chunk import Chunk, Locator

    return [Chunk(document_text, Locator(0, len(document_text), 1, 1)).key]


def test_models_beside_each_other(here: Path, tiny_bert: Path, tiny_splade: Path, loaded: list[str]) -> None:
    write(TEXTS)
    legs = ["dense", "bm25", f"splade=sparse:{tiny_splade}"]
    with Index.open("../index", str(tiny_bert), legs=legs) as index:
        assert index.add(".").tokens > 0
    loaded.clear()
    with Index.open("../index") as index, Searcher(index) as searcher:
        assert [encoder.model for encoder in index.manifest.encoders] == [str(tiny_bert), str(tiny_splade)]
        assert searcher.search("stone", legs=["bm25"])
        assert loaded == []
        assert searcher.search("stone", legs=["splade", "bm25"])
        assert loaded == [str(tiny_splade)]
        hits = searcher.search("stone")
        assert loaded == [str(tiny_splade), str(tiny_bert)]
        assert {name for hit in hits for name in hit.legs} == {"dense", "bm25", "splade"}
        splade = Embedder(tiny_splade, precision="fp32")
        query = splade.encode_query("stone", ("sparse",)).sparse
        for hit in hits:
            text = splade.encode_document(hit.text, ("sparse",)).sparse
            assert hit.legs["splade"].score == pytest.approx(query.dot(text), rel=5e-3, abs=1e-3)


def test_queries_from_a_table_need_no_engine(here: Path, tiny_doc_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(TEXTS)
    with Index.open("../index", Embedder(tiny_doc_only), legs=["sparse", "bm25"]) as index:
        index.add(".")
        assert index.manifest.encoders[0].model == str(tiny_doc_only)
    monkeypatch.setattr("beige.embedder.open_engine", lambda *_: pytest.fail("the engine was opened"))
    with Index.open("../index") as index, Searcher(index) as searcher:
        assert searcher.search("this boundary in the mountain", legs=["sparse"])


def test_each_model_is_checked_when_it_is_used(here: Path, tmp_path: Path, tiny_bert: Path) -> None:
    write(TEXTS)
    folder = splade_checkpoints.tiny_splade(tmp_path / "splade", seed=1)
    with Index.open("../index", str(tiny_bert), legs=["dense", "bm25", f"splade=sparse:{folder}"]) as index:
        index.add(".")
    splade_checkpoints.tiny_splade(folder, seed=2)
    with Index.open("../index") as index, Searcher(index) as searcher:
        assert searcher.search("stone", legs=["dense", "bm25"])
        with pytest.raises(FingerprintError, match=f"by another version of {folder}"):
            searcher.search("stone", legs=["splade"])
        with pytest.raises(FingerprintError, match=f"by another version of {folder}"):
            index.add(".")
    with pytest.raises(FingerprintError):
        Index.open("../index", Embedder(folder))


def test_other_legs_are_refused(here: Path, three: Watched) -> None:
    Index.open("../index", three, legs=["dense", "bm25"]).close()
    Index.open("../index", three, legs=["bm25", "dense"]).close()
    with pytest.raises(UsageError, match=r"has the legs dense, bm25 of .*--rebuild .*--legs dense,sparse PATH"):
        Index.open("../index", three, legs=["dense", "sparse"])


def test_an_index_that_is_made_anew_keeps_its_legs(here: Path, three: Watched) -> None:
    write(TEXTS)
    Index.open("../index", three, legs=EVERYTHING).close()
    with Index.anew("../index", three) as index:
        index.add(".")
    with Index.open("../index", three) as index:
        assert [(leg.name, leg.pool) for leg in index.manifest.legs] == [
            ("dense", 1), ("bm25", 1), ("sparse", 1), ("multi", 2)]  # fmt: skip
        known = index.store.known("sparse", index_keys(TEXTS["stone.md"]))
    assert all(isinstance(vector, Sparse) for vector in known.values())
    assert len(known) == 1


@pytest.mark.parametrize("legs", [["dense", "bm25", "sparse", "multi"], ["sparse"], ["dense"]])
def test_hits_are_explained_by_whichever_legs_there_are(here: Path, tiny_m3: Path, legs: list[str]) -> None:
    write(TEXTS)
    embedder = Embedder(tiny_m3, precision="fp32")
    with Index.open("../index", embedder, legs=legs) as index, Searcher(index) as searcher:
        index.add(".")
        hits = searcher.search("the stone in water", explain=True)
    assert hits
    query = embedder.encode_query("the stone in water", ("sparse",)).sparse
    for hit in hits:
        assert set(hit.legs) == set(legs)
        if "sparse" in legs:
            words = {one.word: one.share for one in hit.legs["sparse"].words}
            assert set(words) <= set(embedder.words(query))
            assert sum(words.values()) == pytest.approx(1 if words else 0)
        if "bm25" in legs:
            assert {one.word for one in hit.legs["bm25"].words} <= {"the", "stone", "in", "water"}
    assert legs == ["dense"] or any(hit.legs[legs[-2] if len(legs) > 1 else "sparse"].words for hit in hits)
