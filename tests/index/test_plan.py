from dataclasses import replace
from pathlib import Path

import pytest

from beige.errors import StoreError, UsageError
from beige.index.manifest import Encoder, Leg, Manifest
from beige.index.plan import Plan, Wanted, agree, models_of, wanted
from beige.models.checkpoint import open_checkpoint
from tests.standin import StandIn


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("bm25", Wanted("bm25", None)),
        (" dense ", Wanted("dense", "dense")),
        ("sparse:naver/splade-v3", Wanted("sparse", "sparse", "naver/splade-v3")),
        ("splade=sparse:./a:b/c", Wanted("splade", "sparse", "./a:b/c")),
        ("late_2=multi", Wanted("late_2", "multi")),
        ("multi/2", Wanted("multi", "multi", None, 2)),
        ("late=multi/3:bge-m3", Wanted("late", "multi", "bge-m3", 3)),
    ],
)
def test_a_leg_is_asked_for(spelling: str, expected: Wanted) -> None:
    assert wanted(spelling) == expected


@pytest.mark.parametrize("spelling", ["", "splade", "Dense", "a=colour", "bm25=bm25", "dense:", "multi/0", "dense/2",
                                      "bm25:x", "multi/x", "../x=dense", "a b=dense"])  # fmt: skip
def test_what_is_no_leg_is_refused(spelling: str) -> None:
    with pytest.raises(UsageError, match="the leg"):
        wanted(spelling)


@pytest.fixture
def one(tiny_bert: Path) -> StandIn:
    return StandIn(open_checkpoint(tiny_bert))


@pytest.fixture
def three(tiny_m3: Path) -> StandIn:
    return StandIn(open_checkpoint(tiny_m3))


def test_the_usual_legs_are_words_and_what_the_model_gives_one_vector_of(one: StandIn, three: StandIn) -> None:
    assert [leg.name for leg in Plan.of([one], None).legs] == ["dense", "bm25"]
    assert [leg.name for leg in Plan.of([three], None).legs] == ["dense", "bm25", "sparse"]
    splade = replace(three.checkpoint, outputs=("sparse",))
    assert [leg.name for leg in Plan.of([StandIn(splade)], None).legs] == ["sparse", "bm25"]


def test_legs_say_what_the_manifest_needs(three: StandIn) -> None:
    model = str(three.checkpoint.folder)
    plan = Plan.of([three], ["bm25", "dense", "sparse", "late=multi/2"])
    assert plan.legs == (
        Leg("bm25", "sparse", idf=True),
        Leg("dense", "dense", 32, encoder=model),
        Leg("sparse", "sparse", encoder=model),
        Leg("late", "multi", 32, pool=2, encoder=model),
    )
    assert plan.encoders == (Encoder(model, three.fingerprint, "fp32", "{text}", "{text}"),)


def test_several_models(one: StandIn, three: StandIn) -> None:
    beside = str(three.checkpoint.folder)
    plan = Plan.of([one, three], ["dense", "bm25", f"m3=sparse:{beside}"])
    assert [(leg.name, leg.encoder) for leg in plan.legs] == [
        ("dense", str(one.checkpoint.folder)),
        ("bm25", None),
        ("m3", beside),
    ]
    assert [encoder.fingerprint for encoder in plan.encoders] == [one.fingerprint, three.fingerprint]
    with pytest.raises(UsageError, match=r"no leg is of the model .*tiny-m3"):
        Plan.of([one, three], ["dense", "bm25"])


@pytest.mark.parametrize(
    ("legs", "said"),
    [
        ([], "needs a leg"),
        (["dense", "dense"], "two legs are called 'dense'"),
        (["sparse"], "gives no output 'sparse' for the leg 'sparse', only dense"),
    ],
)
def test_what_cannot_be_is_refused(one: StandIn, legs: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Plan.of([one], legs)


def test_without_a_model_there_is_no_plan() -> None:
    with pytest.raises(StoreError, match="--model"):
        Plan.of([], None)


def old(plan: Plan) -> Manifest:
    return Manifest(plan.encoders, plan.legs, 128, "words-1/english")


def test_an_index_that_is_made_anew_keeps_its_legs_unless_its_first_model_changes(one: StandIn, three: StandIn) -> None:
    made = Plan.of([three], ["bm25", "multi/2"])
    assert Plan.of([three], None, old(made)).legs == made.legs
    assert [leg.name for leg in Plan.of([three], ["dense"], old(made)).legs] == ["dense"]
    assert [leg.name for leg in Plan.of([one], None, old(made)).legs] == ["dense", "bm25"]


def test_legs_that_agree(three: StandIn, tiny_bert: Path) -> None:
    legs = Plan.of([three], ["dense", "bm25", "multi/2"]).legs
    folder = three.checkpoint.folder
    assert agree(["bm25", "dense", f"multi/2:{folder}"], legs)
    assert agree([f"dense:{folder}/../{folder.name}", "bm25", "multi/2"], legs)
    for asked in (["dense", "bm25"], ["dense", "bm25", "multi"], ["dense", "sparse", "multi/2"],
                  [f"dense:{tiny_bert}", "bm25", "multi/2"], ["dense:nowhere/else", "bm25", "multi/2"],
                  ["dense", "bm25", "multi/2", "bm25"]):  # fmt: skip
        assert not agree(asked, legs)


def test_the_models_that_an_index_needs(one: StandIn) -> None:
    made = old(Plan.of([one], None))
    model = str(one.checkpoint.folder)
    assert models_of(None, None, None, "small") == ["small"]
    assert models_of(None, None, made, "small") == [model]
    assert models_of("m3", None, made, "small") == ["m3"]
    assert models_of(None, ["dense", "splade=sparse:s"], None, "small") == ["small", "s"]
    assert models_of(None, ["bm25", "splade=sparse:s"], None, "small") == ["s"]
    assert models_of(None, ["bm25"], None, "small") == ["small"]
    assert models_of("m3", ["bm25", "sparse", "dense:m3", "a=dense:b"], None, "small") == ["m3", "b"]
    assert models_of(None, ["dense", "a=dense:b"], made, "small") == [model, "b"]


def trained(model: StandIn, **config: object) -> StandIn:
    return StandIn(replace(model.checkpoint, config={**model.checkpoint.config, **config}))


def test_vectors_are_cut_where_the_model_was_trained_for_it(one: StandIn) -> None:
    for said in ({"matryoshka_dimensions": [8, 16]}, {"is_matryoshka": True}):
        plan = Plan.of([trained(one, **said)], None, dimensions=16)
        assert [(leg.name, leg.dimension) for leg in plan.legs] == [("dense", 16), ("bm25", None)]
        assert [leg.dimension for leg in Plan.of([one], None, old(plan)).legs] == [16, None], "as the old index"
    with pytest.raises(UsageError, match=r"not trained for vectors of 9 dimensions.*--untrained"):
        Plan.of([trained(one, matryoshka_dimensions=[8, 16])], None, dimensions=9)


def test_vectors_of_other_models_are_cut_with_a_warning(one: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UsageError, match=r"not trained.*--untrained.*--storage int8"):
        Plan.of([one], None, dimensions=16)
    assert Plan.of([one], None, dimensions=16, untrained=True).legs[0].dimension == 16
    assert "was not trained for vectors of 16 dimensions" in caplog.text
    for dimensions in (0, -1, 33):
        with pytest.raises(UsageError, match=f"have 32 dimensions: they cannot be cut to {dimensions}"):
            Plan.of([one], None, dimensions=dimensions, untrained=True)
