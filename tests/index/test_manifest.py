import json

import pytest

from beige.errors import StoreError
from beige.index.manifest import Calibration, Leg, Manifest
from tests.index.samples import manifest


def test_a_manifest_survives_its_rows() -> None:
    given = manifest().changed(average_length=0.25, query_template="für: {}")
    assert Manifest.from_rows(given.to_rows()) == given
    fitted = (Calibration({"dense": 1.5, "bm25": 0.0}, -3.25, 900, 30), Calibration({"bm25": 9.0}, -4.0, 900, 30))
    assert Manifest.from_rows(given.changed(calibration=fitted).to_rows()).calibration == fitted


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
    del rows["fingerprint"]
    with pytest.raises(StoreError, match="fingerprint"):
        Manifest.from_rows(rows)


def test_rows_are_plain_json() -> None:
    rows = manifest().to_rows()
    assert json.loads(rows["legs"])[1] == {
        "name": "bm25",
        "kind": "sparse",
        "dimension": None,
        "idf": True,
        "storage": "float32",
    }


def test_legs_are_found_by_name() -> None:
    assert manifest().leg("bm25") == Leg("bm25", "sparse", idf=True)
    with pytest.raises(StoreError, match="no leg 'multi'; it has dense, bm25, sparse"):
        manifest().leg("multi")


@pytest.mark.parametrize("leg", [("Dense", "dense", 3), ("../x", "sparse", None), ("a", "dense", None),
                                 ("a", "sparse", 3), ("", "sparse", None)])  # fmt: skip
def test_impossible_legs_are_refused(leg: tuple[str, str, int | None]) -> None:
    with pytest.raises(ValueError, match="the leg"):
        Leg(*leg)  # type: ignore[arg-type]
