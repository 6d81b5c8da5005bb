import threading
from pathlib import Path

import numpy as np
import pytest

from beige.documents.text import Text
from beige.errors import FingerprintError, LockedError, StoreError, UsageError
from beige.index import Index, place_of
from beige.models.checkpoint import open_checkpoint
from beige.search import Searcher
from tests.checkpoints import tiny_bert as make_tiny_bert
from tests.standin import StandIn


def test_opening_without_an_index_says_how_to_make_one(here: Path) -> None:
    with pytest.raises(StoreError, match="beige index PATH --index nowhere"):
        Index.open("nowhere")
    assert not Path("nowhere").exists()
    assert place_of("nowhere").manifest() is None


def test_an_index_is_made_where_an_embedder_is_given(here: Path, embedder: StandIn) -> None:
    with Index.open("new", embedder) as index:
        assert index.count() == (0, 0)
        assert [encoder.fingerprint for encoder in index.manifest.encoders] == [embedder.fingerprint]
    with Index.open("new") as index:
        assert index.manifest.leg("dense").dimension == embedder.checkpoint.dimension
        assert index.manifest.chunk_tokens == embedder.checkpoint.max_tokens
    assert place_of("new").manifest().encoders[0].model == str(embedder.checkpoint.path)


def test_an_index_stays_what_it_is_in_another_current_folder(
    here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (here / name).mkdir()
        monkeypatch.chdir(here / name)
        with Index.open("index", embedder) as index:
            index.add(Text(name, f"the light of {name}"))
    monkeypatch.chdir(here / "one")
    with Index.open("index", embedder) as index, Searcher(index) as searcher:
        assert str(index.place) == "index"
        monkeypatch.chdir(here / "two")
        assert [hit.source for hit in searcher.search("light")] == ["one"]
        index.add(Text("three", "the light of three"))
        assert {stored.source for stored in index.store.documents()} == {"one", "three"}
        assert str(index.place) == str(here / "one/index")
    with Index.open("index") as index:
        assert [stored.source for stored in index.store.documents()] == ["two"]


def test_the_default_index(here: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    Index.open(None, embedder).close()
    assert (here / ".beige").is_dir()
    monkeypatch.setenv("BEIGE_INDEX", "elsewhere")
    Index.open(None, embedder).close()
    assert (here / "elsewhere").is_dir()


def test_another_model_is_refused_with_the_command_that_migrates(here: Path, embedder: StandIn, tmp_path: Path) -> None:
    other = StandIn(open_checkpoint(make_tiny_bert(tmp_path / "other", seed=7)))
    with Index.open("index", embedder) as index:
        with pytest.raises(FingerprintError, match=r"beige migrate --index index --model .*/other"):
            Searcher(index, other)
        with pytest.raises(FingerprintError):
            Index.open("index", other)
        assert index.count() == (0, 0)


def test_a_model_whose_files_have_changed_is_refused(here: Path, tmp_path: Path) -> None:
    folder = make_tiny_bert(tmp_path / "model", seed=1)
    Index.open("index", StandIn(open_checkpoint(folder))).close()
    make_tiny_bert(folder, seed=2)
    with pytest.raises(FingerprintError, match="another version of"):
        Index.open("index", StandIn(open_checkpoint(folder)))


def test_vectors_are_cut_and_made_unit_vectors_again(here: Path, embedder: StandIn) -> None:
    Path("a.txt").write_text("light of the river")
    Path("b.txt").write_text("stone and water and more of it")
    whole = embedder.encode_document(["light of the river"])[0].dense[:16]
    with Index.open("index", embedder, dimensions=16, untrained=True) as index, Searcher(index) as searcher:
        index.add("a.txt", "b.txt")
        stored = index.store.sample("dense", 2)
        assert stored.shape == (2, 16)
        assert np.linalg.norm(stored, axis=1) == pytest.approx(1, abs=1e-3)
        assert (stored @ whole / np.linalg.norm(whole)).max() == pytest.approx(1, abs=1e-3)
        hits = searcher.search("light of the river", legs=["dense"])
        query = embedder.encode_query("light of the river").dense[:16]
        expected = max(stored @ query / np.linalg.norm(query))
        assert hits[0].score == pytest.approx(expected, abs=1e-3)
        Path("a.txt").write_text("light of the river, and no more")
        assert index.add("a.txt").documents["updated"] == 1
    Index.open("index", embedder, dimensions=16).close()
    with pytest.raises(UsageError, match=r"keeps vectors of 16 dimensions; .*--rebuild.* --dimensions 32"):
        Index.open("index", embedder, dimensions=32)


def test_the_storage_of_caches_is_changed_and_outlives_a_rebuild(here: Path, embedder: StandIn) -> None:
    with Index.open("index", embedder) as index:
        assert index.manifest.storage == "float32"
        with pytest.raises(UsageError, match="no storage 'int4'; there are: float32, int8, binary"):
            index.keep_as("int4")
        index.keep_as("int8")
        assert index.manifest.storage == "int8"
    with Index.anew("index", embedder):
        pass
    with Index.open("index") as index:
        assert index.manifest.storage == "int8"
        assert [leg.storage for leg in index.manifest.legs] == ["int8", "float32"]


def test_another_language_is_refused(here: Path, embedder: StandIn) -> None:
    with Index.open("index", embedder, language="german") as index:
        assert index.analyser.language == "german"
    Index.open("index", embedder, language="german").close()
    with pytest.raises(UsageError, match="--language german"):
        Index.open("index", embedder, language="french")
    with pytest.raises(UsageError, match="no stemmer"):
        Index.open("new", embedder, language="klingon")
    assert not Path("new").exists()


def test_words_of_another_version_are_refused(here: Path, embedder: StandIn) -> None:
    Index.open("index", embedder).close()
    with Index.open("index") as index:
        with index.place.open(write=True) as store:
            store.update_manifest(analyser="words-0/english")
        with pytest.raises(StoreError, match=r"words-0/english.*--rebuild"):
            index.add(".")


def sources(index: Index) -> list[str]:
    return [stored.source for stored in index.store.documents()]


def filled(embedder: StandIn, *names: str) -> None:
    for name in names:
        Path(name).write_text(f"text of {name}")
    with Index.open("index", embedder) as index:
        index.add(*names)


def test_anew_replaces_the_old_index_at_the_end(here: Path, embedder: StandIn) -> None:
    filled(embedder, "a.md", "b.md")
    old = Index.open("index")
    with Index.anew("index", embedder, language="german") as index:
        index.add("b.md")
        assert sources(old) == ["a.md", "b.md"], "searched until the new one is whole"
        with pytest.raises(LockedError):
            Index.open("index", embedder).add("a.md")
    with Index.open("index") as index:
        assert sources(index) == ["b.md"]
        assert set(index.status().caches.values()) == {"current"}
        assert sources(old) == ["b.md"], "it goes on with the new one"
        assert old.analyser.language == index.analyser.language
    old.close()
    with pytest.raises(StoreError, match=r"closed|open it again"):
        old.count()
    assert not Path("index/rebuild").exists()


def test_a_rebuild_keeps_the_language(here: Path, embedder: StandIn) -> None:
    Index.open("index", embedder, language="german").close()
    for language, kept in ((None, "german"), ("french", "french")):
        with Index.anew("index", embedder, language=language):
            pass
        with Index.open("index") as index:
            assert index.analyser.language == kept


def test_a_broken_rebuild_leaves_the_old_index(here: Path, embedder: StandIn) -> None:
    filled(embedder, "a.md")
    with pytest.raises(ZeroDivisionError), Index.anew("index", embedder) as index:
        index.add("a.md", tell=lambda change: 1 / 0)
    with Index.open("index", embedder) as index:
        assert sources(index) == ["a.md"]
        assert index.add("a.md").documents["unchanged"] == 1
    assert not Path("index/rebuild").exists()


def test_a_rebuild_takes_the_place_of_a_damaged_index(here: Path, embedder: StandIn) -> None:
    filled(embedder, "a.md")
    Path("index/index.sqlite").write_bytes(b"no database" * 1000)
    assert place_of("index").manifest() is None
    with Index.anew("index", embedder) as index:
        index.add("a.md")
    with Index.open("index") as index:
        assert sources(index) == ["a.md"]


def test_a_rebuild_of_nothing_is_a_new_index(here: Path, embedder: StandIn) -> None:
    with Index.anew("index", embedder):
        pass
    with Index.open("index") as index:
        assert index.count() == (0, 0)


def test_a_lost_cache_is_rebuilt_and_said(here: Path, embedder: StandIn) -> None:
    filled(embedder, "a.md", "b.md")
    Path("index/dense.cache").unlink()
    Path("index/bm25.cache").write_bytes(b"damaged")
    with Index.open("index", embedder) as index:
        assert index.status().caches == {"dense": "missing", "bm25": "damaged"}
        with Searcher(index) as searcher:
            assert len(searcher.search("text")) == 2
        assert len(index.add("a.md").notices) == 2
        assert index.status().caches == {"dense": "current", "bm25": "current"}


def test_status(here: Path, embedder: StandIn) -> None:
    filled(embedder, "a.md", "b.md")
    with Index.open("index") as index:
        status = index.status()
    assert (status.path, status.documents, status.chunks) == ("index", 2, 2)
    assert status.bytes >= Path("index/index.sqlite").stat().st_size
    assert status.changed >= status.manifest.created


def test_what_one_object_adds_another_sees(here: Path, embedder: StandIn) -> None:
    filled(embedder, "a.md")
    with Index.open("index") as reader, Searcher(reader, embedder) as searcher:
        assert len(searcher.search("text")) == 1
        filled(embedder, "b.md")
        assert len(searcher.search("text")) == 2


def test_searches_go_on_while_one_adds(here: Path, embedder: StandIn) -> None:
    filled(embedder, "a.md")
    for number in range(200):
        (here / f"{number}.md").write_text(f"text of {number}")
    with Index.open("index", embedder) as index, Searcher(index) as searcher:
        thread = threading.Thread(target=lambda: index.add("."))
        thread.start()
        found = [len(searcher.search("text of", 1000))]
        while thread.is_alive():
            found.append(len(searcher.search("text of", 1000)))
        thread.join()
        found.append(len(searcher.search("text of", 1000)))
    assert found == sorted(found)
    assert found[-1] == 201


TEXTS = {
    "zh": ("图书馆星期一不开门，但是还书箱随时可以使用。", "图书馆什么时候开门"),
    "ja": ("駅前の図書館は月曜日に閉まっていますが、返却口はいつでも使えます。", "図書館の返却口"),
    "ar": ("كانت المكتبات مغلقة في يوم الاثنين ولكن صندوق الكتب مفتوح", "متى تفتح المكتبة"),
    "ko": ("도서관은 월요일에 문을 닫지만 반납함은 언제나 쓸 수 있습니다.", "도서관이 언제 문을 닫나요"),
    "de": ("Die Büchereien waren am Montag geschlossen, aber der Kasten für die Rückgabe ist immer offen", "Bücherei"),
    "es": ("Las bibliotecas de la ciudad estaban cerradas los lunes, pero el buzón está abierto", "biblioteca"),
    "ru": ("Библиотеки были закрыты в понедельник, но ящик для возврата всегда открыт", "библиотека"),
    "en": ("The libraries were closed on Monday, but the box for returns is always open", "library"),
}


def test_words_of_many_languages_are_found_without_a_word_about_them(here: Path, embedder: StandIn) -> None:
    for code, (text, _) in TEXTS.items():
        (here / f"{code}.txt").write_text(text, encoding="utf-8")
    (here / "code.py").write_text("class Shelf:\n    pass\n")
    with Index.open("../index", embedder) as index:
        index.add(".")
        assert index.manifest.analyser == "words-1/auto"
        assert index.store.languages() == sorted(TEXTS)
        assert index.store.facet("language") == dict.fromkeys(sorted(TEXTS), 1)
        for code, (_, query) in TEXTS.items():
            best = index.store.top("bm25", index.analyser.query(query), 1)
            (passage,) = index.store.fetch(best.ids)
            assert (passage.source, passage.language) == (f"{code}.txt", code)
    with Index.open("../index", language="auto") as index, pytest.raises(UsageError, match="--language auto"):
        index.check(language="de")
