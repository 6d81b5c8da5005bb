"""`beige models` and `beige pull`, as a person and as a program sees them."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from beige.cli import models, pull
from beige.errors import ModelNotFoundError
from beige.models.catalogue import CATALOGUE


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    return CliRunner()


def app(module: object) -> typer.Typer:
    made = typer.Typer()
    made.command()(module.run)  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("width", ["80", "120"])
def test_the_table_names_every_model_and_what_it_is(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    result = runner.invoke(app(models), [])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    for card in CATALOGUE:
        (line,) = [line for line in lines if line.split()[:1] == [card.name]]
        assert str(card.max_tokens) in line
        assert card.licence in line
        assert "●" not in line
    assert "…" not in result.stdout


def test_json_gives_the_cards_whole(runner: CliRunner) -> None:
    result = runner.invoke(app(models), ["--json"])
    listed = json.loads(result.stdout)
    assert [entry["name"] for entry in listed] == [card.name for card in CATALOGUE]
    first, card = listed[0], CATALOGUE[0]
    assert first["templates"] == dict(card.templates)
    assert first["outputs"] == ["dense"]
    assert (first["size"], first["dimension"], first["licence"]) == (card.size, card.dimension, card.licence)
    assert {entry["path"] for entry in listed} == {None}


def test_a_model_that_is_here_is_marked(runner: CliRunner, beige_home: Path, bge_small: Path) -> None:
    (beige_home / "models").mkdir()
    (beige_home / "models" / "bge-small-en-v1.5").symlink_to(bge_small)
    table = runner.invoke(app(models), []).stdout
    marked = [line.split()[0] for line in table.splitlines() if "●" in line]
    assert marked == ["bge-small-en-v1.5", "●"]  # the second is the legend
    (entry,) = [entry for entry in json.loads(runner.invoke(app(models), ["--json"]).stdout) if entry["path"]]
    assert entry["path"] == str(beige_home / "models" / "bge-small-en-v1.5")


def test_pull_says_where_the_model_is(runner: CliRunner, tiny_bert: Path) -> None:
    result = runner.invoke(app(pull), [str(tiny_bert)])
    assert result.exit_code == 0
    assert str(tiny_bert) in result.stdout.splitlines()
    assert "7 files verified" in result.stdout


def test_pull_gives_one_json_document(runner: CliRunner, tiny_bert: Path) -> None:
    result = runner.invoke(app(pull), [str(tiny_bert), "--json"])
    value = json.loads(result.stdout)
    assert set(value) == {"model", "path", "source", "files"}
    assert (value["path"], value["source"]) == (str(tiny_bert), "folder")
    assert all(len(digest) == 64 for digest in value["files"].values())


def test_pull_of_an_unknown_model_suggests_another(runner: CliRunner) -> None:
    result = runner.invoke(app(pull), ["bge-smal-en"])
    assert isinstance(result.exception, ModelNotFoundError)
    assert "did you mean" in str(result.exception)


def test_the_wide_table_says_what_each_model_takes_and_where_it_runs(runner: CliRunner) -> None:
    lines = runner.invoke(app(models), ["--wide"]).stdout.splitlines()
    heads = [line for line in lines if line.split()[:1] == ["model"]]
    assert len(heads) == 2
    for head in heads:
        for column in ("on disk", "tokens", "languages", "outputs", "licence", "before a query", "runs on", "note"):
            assert column in head
    rows = {line.split()[0]: line for line in lines if line.strip()}
    for card in CATALOGUE:
        assert str(card.max_tokens) in rows[card.name]
    for name, said in {
        "bge-m3": ("2.3 GB", "1.1 GB", "8192", "dense sparse", "MIT", "OpenVINO"),
        "bge-multilingual-gemma2": ("37 GB", "18 GB", "Gemma", "PyTorch"),
        "bge-small-en-v1.5": ("134 MB", "67 MB", "512", "Represent this"),
        "bge-reranker-v2-m3": ("score", "Apache-2.0", "OpenVINO"),
        "bge-vl-base": ("not yet",),
    }.items():
        for each in said:
            assert each in rows[name]
    listed = {entry["name"]: entry for entry in json.loads(runner.invoke(app(models), ["--json"]).stdout)}
    assert (listed["bge-m3"]["memory"], listed["bge-m3"]["runs_on"]) == (2 * 568_000_000, "OpenVINO, PyTorch")
