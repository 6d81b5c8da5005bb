import json
from pathlib import Path

import pytest

from beige.engines import capabilities, choose


def test_doctor_says_what_would_be_chosen_and_why(beige, tiny_bert: Path) -> None:
    done = beige("doctor", "--model", tiny_bert, "--json")
    assert done.code == 0
    said = json.loads(done.out)
    choice = choose("auto", capabilities(), None)
    assert (said["precision"], said["why"]) == (choice.precision, choice.reason)
    assert said["capabilities"] == sorted(capabilities())
    assert said["models"] == {}


def test_doctor_pulls_nothing(beige, beige_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("BEIGE_OFFLINE", "1")
    said = json.loads(beige("doctor", "--json").out)
    assert (said["precision"], said["offline"]) == (None, True)
    assert said["why"] == "it is not on this machine: beige pull bge-small-en-v1.5"
    assert not any(beige_home.iterdir())
    shown = beige("doctor").out
    assert "offline" in shown
    assert "not known yet for bge-small-en-v1.5" in shown


def test_an_unknown_model_is_an_error(beige) -> None:
    done = beige("doctor", "--model", "bge-smal-en")
    assert done.code == 2
    assert "bge-small-en" in done.err
