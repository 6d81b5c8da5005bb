import json

import pytest
from typer.testing import CliRunner

from beige.cli import build
from beige.errors import InputError


def test_tells_a_program_the_figures_and_the_machine(tiny_bert, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("light and water\nstone\n", encoding="utf-8")
    done = CliRunner().invoke(
        build(), ["bench", "--model", str(tiny_bert), "--precision", "fp32", "--texts", str(texts), "--json"]
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["texts"], said["tokens"], said["precision"], said["source"]) == (2, 8, "fp32", str(texts))
    assert said["rate"] > 0
    assert said["machine"]["cores"] >= 1


def test_tells_a_person(tiny_bert):
    done = CliRunner().invoke(build(), ["bench", "--model", str(tiny_bert), "--precision", "fp32"])
    assert done.exit_code == 0, done.output
    assert "tokens a second (384 texts" in done.stdout
    assert "ms for one query" in done.stdout
    assert "words drawn at random" in done.stderr


def test_a_missing_file_is_an_error_of_the_user(tiny_bert):
    with pytest.raises(InputError, match="absent"):
        CliRunner().invoke(build(), ["bench", "--model", str(tiny_bert), "--texts", "absent"], catch_exceptions=False)
