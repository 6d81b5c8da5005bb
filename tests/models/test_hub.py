"""The Hub as a source, against a stand-in of its HTTP API on this machine."""

from pathlib import Path

import pytest

from beige.environment import hub_cache
from beige.errors import ChecksumError, SourceError
from beige.models import hub as source
from beige.models.checkpoint import open_checkpoint
from tests.models.hub_server import COMMIT, Hub

REPOSITORY = "example/tiny"
NEEDED = {
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "model.safetensors",
}
WEIGHTS = "model.safetensors"


@pytest.fixture
def published(hub: Hub, tiny_bert: Path) -> Hub:
    """The tiny BERT on the Hub, among files that Beige does not need."""
    hub.publish(REPOSITORY, tiny_bert)
    others = ("README.md", "onnx/model.onnx", "onnx/config.json", "pytorch_model.bin", "modeling.py", "imgs/a.jpg")
    hub.repositories[REPOSITORY] |= dict.fromkeys(others, b"not needed")
    return hub


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write what arrives every 16 kB, not every 10 MB, and do not wait long before trying again."""
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 14)
    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)


def test_what_is_needed_is_fetched_and_nothing_else(published: Hub, tiny_bert: Path) -> None:
    snapshot = source.fetch(REPOSITORY)
    assert {file.relative_to(snapshot).as_posix() for file in snapshot.rglob("*") if file.is_file()} == NEEDED
    for name in NEEDED:
        assert (snapshot / name).read_bytes() == (tiny_bert / name).read_bytes()
    assert set(published.downloads()) == NEEDED
    assert open_checkpoint(snapshot).dimension == 32


def test_the_weights_come_last(published: Hub) -> None:
    source.fetch(REPOSITORY)
    assert published.downloads()[-1] == WEIGHTS


def test_a_fetched_repository_is_present_without_a_request(published: Hub) -> None:
    assert source.present(REPOSITORY) is None
    snapshot = source.fetch(REPOSITORY)
    published.requests.clear()
    assert source.present(REPOSITORY) == snapshot
    assert snapshot == hub_cache() / "models--example--tiny" / "snapshots" / COMMIT
    assert not published.requests


def test_sharded_weights_are_fetched_whole(published: Hub, tmp_path: Path) -> None:
    files = published.repositories[REPOSITORY]
    shard = files.pop(WEIGHTS)
    files["model-00001-of-00001.safetensors"] = shard
    files["model.safetensors.index.json"] = b'{"weight_map": {"a": "model-00001-of-00001.safetensors"}}'
    snapshot = source.fetch(REPOSITORY)
    assert (snapshot / "model-00001-of-00001.safetensors").read_bytes() == shard
    assert source.present(REPOSITORY) == snapshot


@pytest.mark.usefixtures("small_steps")
def test_a_broken_connection_goes_on_where_it_stopped(published: Hub, tiny_bert: Path) -> None:
    published.breaks[WEIGHTS] = 2
    snapshot = source.fetch(REPOSITORY)
    assert (snapshot / WEIGHTS).read_bytes() == (tiny_bert / WEIGHTS).read_bytes()
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for name, asked in published.ranges if name == WEIGHTS]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1]


@pytest.mark.usefixtures("small_steps")
def test_a_download_that_breaks_for_good_is_no_checkpoint_until_the_next_one(published: Hub) -> None:
    published.breaks[WEIGHTS] = 1000
    with pytest.raises(SourceError, match="example/tiny could not be fetched"):
        source.fetch(REPOSITORY)
    assert source.present(REPOSITORY) is None
    published.breaks.clear()
    published.requests.clear()
    assert source.present(REPOSITORY) is None
    snapshot = source.fetch(REPOSITORY)
    assert published.downloads() == [WEIGHTS]
    assert open_checkpoint(snapshot).tensors()


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_file_with_another_checksum_is_refused_and_deleted(published: Hub, name: str) -> None:
    published.forged.add(name)
    with pytest.raises(ChecksumError, match=f"{name} has not the checksum"):
        source.fetch(REPOSITORY)
    assert source.present(REPOSITORY) is None
    published.forged.clear()
    snapshot = source.fetch(REPOSITORY)
    source.verify(snapshot)


@pytest.mark.parametrize("name", [WEIGHTS, "1_Pooling/config.json"])
def test_a_file_that_is_damaged_later_is_found_and_alone_fetched_anew(published: Hub, name: str) -> None:
    snapshot = source.fetch(REPOSITORY)
    blob = (snapshot / name).resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(ChecksumError, match=Path(name).name):
        source.verify(snapshot)
    assert source.present(REPOSITORY) is None
    published.requests.clear()
    source.verify(source.fetch(REPOSITORY))
    assert published.downloads() == [name]


def test_a_repository_that_is_not_there_is_named(hub: Hub) -> None:
    with pytest.raises(SourceError, match="no repository example/tiny"):
        source.fetch(REPOSITORY)
    assert len(hub.requests) == 1


def test_a_licence_to_accept_is_said(published: Hub) -> None:
    published.gated.add(REPOSITORY)
    with pytest.raises(SourceError, match=r"licence.*HF_TOKEN"):
        source.fetch(REPOSITORY)


def test_torch_files_are_fetched_where_there_are_no_safetensors(published: Hub) -> None:
    del published.repositories[REPOSITORY][WEIGHTS]
    source.fetch(REPOSITORY)
    assert published.downloads()[-1] == "pytorch_model.bin"


def test_a_repository_without_weights_is_said_before_anything_is_fetched(published: Hub) -> None:
    for name in (WEIGHTS, "pytorch_model.bin"):
        del published.repositories[REPOSITORY][name]
    with pytest.raises(SourceError, match=r"holds neither model\.safetensors"):
        source.fetch(REPOSITORY)
    assert not published.downloads()


def test_a_repository_without_a_tokenizer_is_said(published: Hub) -> None:
    del published.repositories[REPOSITORY]["tokenizer.json"]
    with pytest.raises(SourceError, match="lacks"):
        source.fetch(REPOSITORY)


def test_a_hub_that_does_not_answer_is_said() -> None:
    with pytest.raises(SourceError, match=r"could not be fetched: .*[Cc]onnection refused"):
        source.fetch(REPOSITORY)


@pytest.mark.parametrize("repository", ["a", "a/b/c", "-/-", "a/b..c"])
def test_a_name_that_no_repository_can_have_is_said(hub: Hub, repository: str) -> None:
    with pytest.raises(SourceError, match=r"could not be fetched|no repository"):
        source.fetch(repository)


def test_half_a_snapshot_is_not_present(published: Hub) -> None:
    snapshot = source.fetch(REPOSITORY)
    for name in ("config.json", "tokenizer.json", WEIGHTS):
        target = (snapshot / name).readlink()
        (snapshot / name).unlink()
        assert source.present(REPOSITORY) is None
        (snapshot / name).symlink_to(target)
    assert source.present(REPOSITORY) == snapshot
