"""One collection takes the place of another: kills at every moment, readers that go on, what is left behind."""

import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from qdrant_client import models

from beige import Text
from beige.errors import LockedError, StoreError, UsageError
from beige.index import Index, place_of
from beige.index.move import move
from beige.index.qdrant import alias, collection, lease
from beige.index.qdrant.address import parse
from beige.index.qdrant.connection import connected
from beige.models.checkpoint import open_checkpoint
from beige.search import Searcher
from tests.checkpoints import tiny_bert as make_tiny_bert
from tests.index.qdrant_server import State
from tests.index.replacing import check_searches, give
from tests.index.samples import manifest
from tests.index.test_kill import ROOT
from tests.index.test_migration import Other
from tests.standin import StandIn


@pytest.fixture
def other(tmp_path: Path) -> Other:
    return Other(open_checkpoint(make_tiny_bert(tmp_path / "other", seed=7)))


@pytest.fixture
def where(qdrant: State) -> str:
    return f"qdrant+{qdrant.url}/notes"


def found(where: str) -> list[str]:
    with Index.open(where) as index:
        assert index.count() == (index.count()[0],) * 2
        return [stored.source for stored in index.store.documents()]


def collections(qdrant: State) -> int:
    return len(qdrant.client.get_collections().collections)


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from beige import Text
from beige.index import Index, encoders, migration
from beige.index.qdrant import collection, generations, lease
from beige.models.checkpoint import open_checkpoint
from tests.index.test_migration import Other
from tests.standin import StandIn

what, moment, where, first, second = sys.argv[1:]
lease.SECONDS = 0.8

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

match moment:
    case "made":
        collection.point = die
    case "growing":
        migration.FromStore.steps = (lambda steps: lambda self, tell: (
            (n == 2 and die(), step)[1] for n, step in enumerate(steps(self, tell))))(migration.FromStore.steps)
    case "whole":
        generations.point = die
    case "swapped":
        generations.point = (lambda point: lambda *a: (point(*a), die()))(generations.point)
old, new = StandIn(open_checkpoint(first)), Other(open_checkpoint(second))
encoders.load = lambda model: old if str(model) == first else new
match what:
    case "migrate":
        Index.open(where).migrate(new)
    case "rollback":
        Index.open(where).rollback()
    case "rebuild":
        with Index.anew(where, new) as index:
            index.add(Text("new", "the stone of the new"))
"""

MOMENTS = {
    "migrate": ("made", "growing", "whole", "swapped"),
    "rollback": ("whole", "swapped"),
    "rebuild": ("made", "whole", "swapped"),
}
EVERY_DAY = {("migrate", "whole")}
KILLS = [
    pytest.param(what, moment, marks=() if (what, moment) in EVERY_DAY else pytest.mark.slow)
    for what, moments in MOMENTS.items()
    for moment in moments
]


@pytest.mark.parametrize(("what", "moment"), KILLS)
def test_kills(
    qdrant: State,
    where: str,
    here: Path,
    embedder: StandIn,
    other: Other,
    what: str,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = embedder, other
    known = {str(one.checkpoint.path): one for one in (old, new)}
    monkeypatch.setattr("beige.index.encoders.load", lambda model: known[str(model)])
    monkeypatch.setattr(alias, "STALE", timedelta(0))
    monkeypatch.setattr("beige.index.serving.LOOK", 0.0)
    names = list("abcdef")
    give(where, old, *names)
    if what == "rollback":
        with Index.open(where) as index:
            index.migrate(new)
        give(where, new, "g")
        names.append("g")
        old, new = new, old
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(root=str(ROOT)), what, moment, where, *map(str, known)], check=False
    )
    assert done.returncode == -signal.SIGKILL
    arrived = moment == "swapped"
    with Index.open(where) as index:
        assert index.manifest.encoders[0].fingerprint == (new if arrived else old).fingerprint
    assert found(where) == (["new"] if arrived and what == "rebuild" else names)
    time.sleep(0.9)  # the leases of the dead
    with Index.open(where) as index:
        if what == "rebuild":
            with Index.anew(where, new) as again:
                again.add(Text("new", "the stone of the new"))
            names = ["new"]
        elif not arrived:
            if what == "migrate":
                index.migrate(new)
            else:
                index.rollback()
        assert index.manifest.encoders[0].fingerprint == new.fingerprint
        assert found(where) == names
        with Searcher(index) as searcher:
            assert {hit.source for hit in searcher.search("the stone", 50)} == set(names)
    time.sleep(1.1 if moment == "made" else 0)  # the names of collections say when they were made, to a second
    with Index.open(where) as index:
        index.finish()
    assert collections(qdrant) == 1
    assert found(where) == names


def test_searches_go_on_while_the_index_is_replaced_again_and_again(where: str, here: Path, embedder: StandIn) -> None:
    check_searches(where, embedder, 5, 2)


def test_what_is_added_after_another_model_took_over_is_embedded_by_that(
    where: str, here: Path, embedder: StandIn, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beige.index.encoders.load", lambda model: other)
    with Index.open(where, embedder) as index:
        index.add(Text("a", "the stone of a"))
        with Index.open(where) as second:
            second.migrate(other)
        index.add(Text("b", "the stone of b"))  # nobody has looked at the index in between
        assert index.manifest.encoders[0].fingerprint == other.fingerprint
    assert embedder.texts == ["the stone of a"]
    assert other.texts == ["the stone of a", "the stone of b"]


def test_a_rebuild_keeps_writers_out_and_leaves_the_old_one_after_an_error(
    qdrant: State, where: str, here: Path, embedder: StandIn, other: Other
) -> None:
    def rebuild() -> None:
        with Index.anew(where, other) as new:
            new.add(Text("b", "the stone of b"))
            with pytest.raises(LockedError):
                give(where, embedder, "c")
            with pytest.raises(LockedError), Index.anew(where, other):
                pass
            raise ZeroDivisionError

    give(where, embedder, "a")
    with pytest.raises(ZeroDivisionError):
        rebuild()
    assert found(where) == ["a"]
    give(where, embedder, "c")
    assert found(where) == ["a", "c"]
    assert collections(qdrant) == 1


def test_a_writer_that_comes_while_another_collection_takes_the_place_writes_into_that(
    where: str, here: Path, embedder: StandIn, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has found the old collection, and gets its lease after the swap: what it wrote there would be lost."""
    give(where, embedder, "a")
    lend, swapped = lease.Lease, []

    def late(client: object, address: object) -> lease.Lease:
        if not swapped:
            swapped.append(1)
            with Index.anew(where, other) as new:
                new.add(Text("b", "the stone of b"))
        return lend(client, address)  # type: ignore[arg-type]

    monkeypatch.setattr(lease, "Lease", late)
    with place_of(where).open(write=True) as store:
        assert [stored.source for stored in store.documents()] == ["b"]
        assert store.manifest.encoders[0].fingerprint == other.fingerprint


def test_a_rebuilt_collection_is_spread_as_the_old_one(
    qdrant: State, where: str, here: Path, embedder: StandIn
) -> None:
    def spread() -> tuple[int | None, int | None]:
        params = qdrant.client.get_collection("notes").config.params
        return params.shard_number, params.replication_factor

    give(f"{where}?shards=6&replicas=3", embedder, "a")
    with Index.anew(where, embedder):
        assert spread() == (6, 3)
    assert spread() == (6, 3)
    with Index.anew(f"{where}?replicas=2", embedder):
        pass
    assert spread() == (6, 2)


def test_a_collection_of_an_earlier_beige_is_used_and_copied_and_not_replaced(
    where: str, here: Path, embedder: StandIn, other: Other
) -> None:
    new = f"{where}2"
    give(new, embedder, "a")
    made = place_of(new).manifest()
    assert made is not None
    with pytest.MonkeyPatch.context() as earlier, connected(parse(where)) as client:  # its name was its own
        earlier.setattr(collection, "new_generation", lambda name: name)
        earlier.setattr(collection, "is_there", lambda *_: False)
        earlier.setattr(collection, "point", lambda *_: None)
        earlier.setattr(collection, "resolved", lambda _, address: address)
        collection.create(client, parse(where), made)
    give(where, embedder, "a", "b")
    assert found(where) == ["a", "b"]
    with pytest.raises(UsageError, match=r"bears its name itself.*beige move"), Index.anew(where, other):
        pass
    with Index.open(where) as index:
        index._serving.look()
        for change in (lambda: index.migrate(other), index.rollback, index.finish):
            with pytest.raises(UsageError, match="bears its name itself"):
                change()
    move(place_of(where), place_of(f"{where}3"), lambda _: None)
    with Index.open(f"{where}3", embedder) as index:
        index.migrate(other)
    assert found(f"{where}3") == found(where) == ["a", "b"]


def test_what_kills_have_left_goes_and_nothing_else(qdrant: State, where: str, here: Path, embedder: StandIn) -> None:
    left = "notes.20200101000000abcdef"
    for name in (left, "notes.2020", f"{left}.x", f"other.{left}"):
        qdrant.client.create_collection(name, vectors_config={})
    qdrant.client.create_collection("notes.20200101000000123456", vectors_config={})
    named = models.CreateAlias(collection_name="notes.20200101000000123456", alias_name="kept")
    qdrant.client.update_collection_aliases([models.CreateAliasOperation(create_alias=named)])
    young = alias.new_generation("notes")
    qdrant.client.create_collection(young, vectors_config={})
    give(where, embedder, "a")
    before = {one.name for one in qdrant.client.get_collections().collections}
    with Index.open(where) as index:
        assert index.finish() == []
    after = {one.name for one in qdrant.client.get_collections().collections}
    assert before - after == {left}


def test_of_two_that_make_an_index_at_once_one_does(qdrant: State, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    point = alias.point

    def second_comes(*arguments: object) -> None:
        """Another process has asked whether there is one before this one told of its own."""
        point(*arguments)  # type: ignore[arg-type]
        if not made:
            made.append("other")
            with monkeypatch.context() as blind:
                blind.setattr(collection, "is_there", lambda _, address: bool(address.generation))
                blind.setattr(collection, "SETTLING", 0)
                place_of(where).create(manifest()).close()

    monkeypatch.setattr(collection, "point", second_comes)
    with pytest.raises(StoreError, match="there is a collection"):
        place_of(where).create(manifest())
    assert collections(qdrant) == 1
    place_of(where).open().close()
