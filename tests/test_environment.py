import os

import pytest

from beige import environment


@pytest.mark.parametrize(
    ("share", "expected"),
    [("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8), ("", 8), (None, 8)],
)
def test_cores_are_those_that_a_container_may_use(share, expected, tmp_path, monkeypatch):
    file = tmp_path / "cpu.max"
    if share is not None:
        file.write_text(share)
    monkeypatch.setattr(environment, "_CPU_SHARE", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert environment.cores() == expected
