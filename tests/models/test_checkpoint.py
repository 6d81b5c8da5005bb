"""A folder's own files decide, the card fills what they leave open, and differences are said once."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from beige.errors import CheckpointError, ModelNotFoundError, SourceError
from beige.models.checkpoint import open_checkpoint
from tests import checkpoints, xlmr_checkpoints

Edit = Callable[[Callable[[Any], None]], None]


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of the test's own, to be changed; its name is in no catalogue."""
    return checkpoints.tiny_bert(tmp_path / "anything")


@pytest.fixture
def like_minilm(tmp_path: Path) -> Path:
    """A folder that the catalogue knows: its name, its kind of model and its dimension."""
    return checkpoints.tiny_bert(tmp_path / "all-MiniLM-L6-v2", hidden=384, layers=1, pooling="mean", max_tokens=256)


def test_a_plain_folder_works_from_its_files_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened = open_checkpoint(folder)
    assert opened.path == folder
    assert opened.name == "anything"
    assert opened.card is None
    assert opened.architecture == "bert"
    assert opened.pooling == "cls"
    assert opened.dimension == 32
    assert opened.max_tokens == 128
    assert opened.outputs == ("dense",)
    assert opened.templates == {"query": "{text}", "document": "{text}"}
    assert open_checkpoint(str(folder)) == opened
    assert not caplog.records


def test_its_tensors_and_tokenizer_are_the_files(folder: Path) -> None:
    opened = open_checkpoint(folder)
    np.testing.assert_array_equal(
        opened.tensors()["encoder.layer.0.output.dense.weight"],
        load_file(folder / "model.safetensors")["encoder.layer.0.output.dense.weight"],
    )
    tokenizer = opened.tokenizer()
    assert (tokenizer.max_tokens, tokenizer.pad_id) == (128, 0)
    assert tokenizer.vocabulary_size == opened.config["vocab_size"]


@pytest.mark.parametrize(
    ("stated", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "mean", "include_prompt": True}, "mean"),
        ({"pooling_mode": ["cls"]}, "cls"),
        ({"pooling_mode": "lasttoken"}, "last"),
    ],
)
def test_pooling_is_read_in_the_old_spelling_and_the_new(folder: Path, stated: dict[str, Any], pooling: str) -> None:
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(stated))
    assert open_checkpoint(folder).pooling == pooling


@pytest.mark.parametrize(
    ("stated", "named"),
    [
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode": "weightedmean"}, "weightedmean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, r"cls \+ mean"),
        ({"pooling_mode": "mean", "include_prompt": False}, "mean"),
        ({}, "nothing"),
    ],
)
def test_a_pooling_that_is_not_run_is_refused(folder: Path, stated: dict[str, Any], named: str) -> None:
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(stated))
    with pytest.raises(CheckpointError, match=f"1_Pooling.*{named}"):
        open_checkpoint(folder)


def test_a_module_that_is_not_run_is_refused(folder: Path) -> None:
    edit(folder / "modules.json", lambda modules: modules.append({"path": "3", "type": "x.models.Dense"}))
    with pytest.raises(CheckpointError, match="Dense"):
        open_checkpoint(folder)


def test_without_a_word_on_pooling_cls_is_taken_and_said_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "modules.json").unlink()
    for _ in range(3):
        assert open_checkpoint(folder).pooling == "cls"
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}: no file says how to pool; CLS is taken, as in the BGE family"
    ]
    assert (caplog.records[0].name, caplog.records[0].levelno) == ("beige", logging.WARNING)


@pytest.mark.parametrize(
    ("sbert", "tokenizer", "positions", "expected"),
    [(100, 120, 128, 100), (None, 120, 128, 120), (None, 1e30, 128, 128), (None, None, 128, 128), (512, 512, 128, 128)],
)
def test_the_length_is_the_first_stated_and_never_above_the_positions(
    folder: Path, sbert: int | None, tokenizer: float | None, positions: int, expected: int
) -> None:
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": sbert} if sbert else {}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": tokenizer} if tokenizer else {}))
    edit(folder / "config.json", lambda config: config.update(max_position_embeddings=positions))
    assert open_checkpoint(folder).max_tokens == expected


def test_a_cross_encoder_of_several_labels_is_no_reranker(tmp_path: Path) -> None:
    folder = xlmr_checkpoints.tiny_bert_reranker(tmp_path / "nli")
    assert open_checkpoint(folder).kind == "reranker"
    labels = {"id2label": {"0": "contradiction", "1": "entailment", "2": "neutral"}}
    edit(folder / "config.json", lambda config: config.update(labels))
    with pytest.raises(CheckpointError, match="sorts pairs into 3 classes, and a reranker gives one score"):
        open_checkpoint(folder)


def test_robertas_positions_begin_after_the_padding(folder: Path) -> None:
    edit(
        folder / "config.json",
        lambda config: config.update(model_type="xlm-roberta", max_position_embeddings=114, pad_token_id=1),
    )
    assert open_checkpoint(folder).max_tokens == 112


@pytest.mark.parametrize("name", ["document", "passage", "corpus"])
def test_named_prompts_are_templates(folder: Path, name: str) -> None:
    prompts = {"query": "find {this}: ", name: "text: ", "clustering": "group: "}
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    templates = open_checkpoint(folder).templates
    assert templates["query"].format(text="a {b}") == "find {this}: a {b}"
    assert templates["document"].format(text="c") == "text: c"


def test_the_card_fills_what_the_files_leave_open(like_minilm: Path, caplog: pytest.LogCaptureFixture) -> None:
    (like_minilm / "modules.json").unlink()
    (like_minilm / "sentence_bert_config.json").unlink()
    (like_minilm / "tokenizer_config.json").unlink()
    empty = {"prompts": {"query": "", "document": ""}}  # what sentence-transformers writes for every model
    (like_minilm / "config_sentence_transformers.json").write_text(json.dumps(empty))
    opened = open_checkpoint(like_minilm)
    assert opened.card is not None
    assert opened.name == opened.card.name == "all-MiniLM-L6-v2"
    assert (opened.pooling, opened.max_tokens) == ("mean", 256)
    assert opened.templates == opened.card.templates
    assert not caplog.records


def test_where_files_and_card_differ_the_files_win_and_it_is_said(
    like_minilm: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (like_minilm / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "cls"}))
    (like_minilm / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64}))
    prompts = {"query": "find: ", "document": "", "other": "x"}
    (like_minilm / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    for _ in range(2):
        opened = open_checkpoint(like_minilm)
        assert (opened.pooling, opened.max_tokens) == ("cls", 64)
        assert opened.templates == {"query": "find: {text}", "document": "{text}"}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert "pooling 'cls', the model card 'mean'" in said[0]
    assert "max_tokens 64, the model card 256" in said[1]
    assert "query template 'find: {text}', the model card '{text}'" in said[2]


def test_a_folder_with_a_cards_name_and_another_size_is_not_that_model(tmp_path: Path) -> None:
    other = checkpoints.tiny_bert(tmp_path / "all-MiniLM-L6-v2")
    assert open_checkpoint(other).card is None


def test_head_files_add_outputs(folder: Path) -> None:
    (folder / "sparse_linear.pt").touch()
    assert open_checkpoint(folder).outputs == ("dense", "sparse")
    (folder / "colbert_linear.pt").touch()
    assert open_checkpoint(folder).outputs == ("dense", "sparse", "multi")


def test_a_name_that_nobody_knows_suggests_another() -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean bge-small-en"):
        open_checkpoint("bge-smal-en")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=f"no folder {tmp_path}/missing"):
        open_checkpoint(tmp_path / "missing")
    with pytest.raises(ModelNotFoundError, match=f"no folder {tmp_path}/missing"):
        open_checkpoint(str(tmp_path / "missing"))


def test_a_model_that_is_not_here_names_the_command_or_is_fetched() -> None:
    with pytest.raises(ModelNotFoundError, match=r"beige pull bge-base-en-v1\.5"):
        open_checkpoint("bge-base-en-v1.5", pull=False)
    with pytest.raises(SourceError, match=r"bge-base-en-v1\.5"):
        open_checkpoint("bge-base-en-v1.5")


def test_a_name_in_the_current_folder_is_that_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.tiny_bert(tmp_path / "bge-m3")
    monkeypatch.chdir(tmp_path)
    assert open_checkpoint("bge-m3").dimension == 32


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"hidden_size": 3}'),
        ("config.json", '{"model_type": "bert"}'),
        ("config.json", '{"model_type": ["bert"], "max_position_embeddings": 128}'),
        ("config.json", '{"model_type": "bert", "max_position_embeddings": "128"}'),
        ("config.json", '{"model_type": "bert", "max_position_embeddings": 128, "hidden_size": [32]}'),
        ("config.json", '{"model_type": "xlm-roberta", "max_position_embeddings": 2, "pad_token_id": 1}'),
        ("modules.json", "{"),
        ("modules.json", '["x"]'),
        ("modules.json", "3"),
        ("1_Pooling/config.json", "]"),
        ("sentence_bert_config.json", '{"max_seq_length": "many"}'),
        ("sentence_bert_config.json", '{"max_seq_length": 0}'),
        ("config_sentence_transformers.json", '{"prompts": ["x"]}'),
        ("config_sentence_transformers.json", "\x00"),
    ],
)
def test_damaged_files_are_named(folder: Path, file: str, content: str) -> None:
    (folder / file).write_text(content)
    with pytest.raises(CheckpointError, match=Path(file).name):
        open_checkpoint(folder)


def test_missing_weights_and_tokenizer_are_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "tokenizer.json").unlink()
    opened = open_checkpoint(folder)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        opened.tensors()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        opened.tokenizer()


def test_a_tokenizer_of_another_checkpoint_is_refused(folder: Path) -> None:
    edit(folder / "config.json", lambda config: config.update(vocab_size=10))
    with pytest.raises(CheckpointError, match="the model 10"):
        open_checkpoint(folder).tokenizer()


def test_published_checkpoints_say_what_their_cards_say(
    published_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = open_checkpoint(published_model)
    card = opened.card
    assert card is not None
    assert card.maven is not None
    assert (opened.pooling, opened.max_tokens, opened.dimension) == (card.pooling, card.max_tokens, card.dimension)
    assert opened.templates == card.templates
    assert opened.config["num_attention_heads"] == card.maven.heads
    assert abs(sum(tensor.size for tensor in opened.tensors().values()) / card.parameters - 1) < 0.02
    assert not caplog.records


class TestFingerprint:
    """It changes with whatever changes vectors, and with nothing else."""

    def of(self, folder: Path) -> str:
        return open_checkpoint(folder).fingerprint

    def rewrite(self, folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    def test_the_same_content_elsewhere_is_the_same(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "copy")
        assert self.of(folder) == self.of(tmp_path / "copy")
        assert len(self.of(folder)) == 64

    def test_prefix_unused_tensors_and_shards_do_not_matter(self, folder: Path) -> None:
        before = self.of(folder)
        tensors = load_file(folder / "model.safetensors")
        tensors = {f"bert.{name}": tensor for name, tensor in tensors.items() if not name.startswith("pooler")}
        tensors["bert.embeddings.position_ids"] = np.arange(128)[None]
        tensors["cls.predictions.bias"] = np.zeros(3, np.float32)
        (folder / "model.safetensors").unlink()
        names = sorted(tensors)
        for file, kept in (("model-1.safetensors", names[::2]), ("model-2.safetensors", names[1::2])):
            save_file({name: tensors[name] for name in kept}, folder / file)
        weight_map = {name: f"model-{1 + position % 2}.safetensors" for position, name in enumerate(names)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        assert self.of(folder) == before

    @pytest.mark.parametrize("name", ["embeddings.word_embeddings.weight", "encoder.layer.2.output.LayerNorm.bias"])
    def test_one_bit_of_a_used_tensor_matters(self, folder: Path, name: str) -> None:
        before = self.of(folder)

        def flip(tensors: dict[str, np.ndarray]) -> None:
            tensors[name].reshape(-1).view(np.uint32)[-1] ^= 1

        self.rewrite(folder, flip)
        assert self.of(folder) != before

    def test_the_tokenizer_matters_but_not_its_truncation_and_padding(self, folder: Path) -> None:
        before = self.of(folder)
        edit(
            folder / "tokenizer.json", lambda tokenizer: tokenizer.update(truncation=None, padding=None, version="2.0")
        )
        assert self.of(folder) == before
        edit(folder / "tokenizer.json", lambda tokenizer: tokenizer["normalizer"].update(lowercase=False))
        assert self.of(folder) != before

    def test_pooling_and_the_document_template_matter_and_the_query_template_does_not(self, folder: Path) -> None:
        seen = [self.of(folder)]
        prompts = folder / "config_sentence_transformers.json"
        prompts.write_text(json.dumps({"prompts": {"query": "find: "}}))
        assert self.of(folder) == seen[0]
        prompts.write_text(json.dumps({"prompts": {"document": "text: "}}))
        seen.append(self.of(folder))
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "mean"}))
        seen.append(self.of(folder))
        assert len(set(seen)) == 3

    def test_it_is_cached_by_size_and_time(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from beige.models import fingerprint as module

        before = self.of(folder)
        monkeypatch.setattr(module, "_contents", lambda *_: pytest.fail("hashed again"))
        assert self.of(folder) == before

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"files": 3}', "\x00"])
    def test_a_damaged_record_costs_only_time(self, folder: Path, beige_home: Path, content: str) -> None:
        before = self.of(folder)
        (record,) = (beige_home / "fingerprints").iterdir()
        record.write_text(content)
        assert self.of(folder) == before
        assert json.loads(record.read_text())["files"]

    def test_a_home_that_cannot_be_written_costs_only_time(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = self.of(folder)
        (tmp_path / "file").touch()
        monkeypatch.setenv("BEIGE_HOME", str(tmp_path / "file" / "home"))
        assert self.of(folder) == before
