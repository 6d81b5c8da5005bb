import json
from dataclasses import replace

import pytest

from beige.analyser import AVERAGE_LENGTH
from beige.errors import StoreError
from beige.index.manifest import Calibration, Encoder, Leg, Manifest
from tests.index.samples import manifest


def test_a_manifest_survives_its_rows() -> None:
    encoder = Encoder("tiny", "0" * 64, "bf16", "für: {}", "{}")
    given = manifest().changed(average_length=0.25, encoders=(encoder,))
    assert Manifest.from_rows(given.to_rows()) == given
    fitted = (Calibration({"dense": 1.5, "bm25": 0.0}, -3.25, 900, 30), Calibration({"bm25": 9.0}, -4.0, 900, 30))
    assert Manifest.from_rows(given.changed(calibration=fitted).to_rows()).calibration == fitted


def test_an_older_manifest_without_a_word_has_the_average_length_of_all() -> None:
    rows = manifest().to_rows() | {"average_length": "null"}
    assert Manifest.from_rows(rows).average_length == AVERAGE_LENGTH


def test_a_manifest_from_before_calibrations_has_none() -> None:
    rows = manifest().to_rows()
    del rows["calibration"]
    assert Manifest.from_rows(rows) == manifest()


@pytest.mark.parametrize(
    "change",
    [
        {"colour": '"blue"'},
        {"legs": '[{"name": "dense", "kind": "dense", "dimension": 3, "colour": "blue"}]'},
        {"legs": "3"},
        {"encoders": "[]"},
        {"encoders": '[{"model": "tiny"}]'},
        {"created": "{"},
        {"calibration": '[{"weights": {"dense": -1}, "bias": 0, "pairs": 2, "relevant": 1}]'},
        {"calibration": '[{"weights": {"dense": NaN}, "bias": 0, "pairs": 2, "relevant": 1}]'},
        {"calibration": '[{"weights": {}, "bias": Infinity, "pairs": 2, "relevant": 1}]'},
        {"calibration": '[{"bias": 1.0}]'},
    ],
)
def test_a_manifest_that_is_not_understood_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(StoreError, match=r"cannot be understood.*update Beige, or .*--rebuild"):
        Manifest.from_rows(manifest().to_rows() | change)


def test_a_manifest_that_lacks_a_value_is_refused() -> None:
    rows = manifest().to_rows()
    del rows["analyser"]
    with pytest.raises(StoreError, match="analyser"):
        Manifest.from_rows(rows)


def test_rows_are_plain_json() -> None:
    rows = manifest().to_rows()
    assert json.loads(rows["legs"])[1] == {
        "name": "bm25",
        "kind": "sparse",
        "dimension": None,
        "idf": True,
        "storage": "float32",
        "pool": 1,
        "encoder": None,
    }


def test_legs_are_found_by_name() -> None:
    assert manifest().leg("bm25") == Leg("bm25", "sparse", idf=True)
    with pytest.raises(StoreError, match="no leg 'colour'; it has dense, bm25, sparse, multi"):
        manifest().leg("colour")


def test_encoders_are_found_by_model_and_legs_by_encoder() -> None:
    assert manifest().encoder("tiny").fingerprint == "0" * 64
    with pytest.raises(StoreError, match="no vectors of huge; it has those of tiny"):
        manifest().encoder("huge")
    assert [leg.name for leg in manifest().legs_of("tiny")] == ["dense", "sparse", "multi"]
    assert [leg.name for leg in manifest().legs_of(None)] == ["bm25"]


@pytest.mark.parametrize("leg", [("Dense", "dense", 3), ("../x", "sparse", None), ("a", "dense", None),
                                 ("a", "sparse", 3), ("", "sparse", None), ("a", "multi", None),
                                 ("a", "multi", 3, False, 0), ("a", "dense", 3, False, 2)])  # fmt: skip
def test_impossible_legs_are_refused(leg: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match="the leg"):
        Leg(*leg)  # type: ignore[arg-type]


def test_a_leg_of_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match="the leg 'dense' is of tiny, which is not among"):
        replace(manifest(), encoders=())
