import pytest

from beige.errors import CheckpointError
from beige.models.checkpoint import open_checkpoint, open_folder
from beige.models.modules import read_modules
from tests import splade_checkpoints
from tests.checkpoints import write_json


def test_a_folder_without_modules_has_none(tmp_path):
    assert read_modules(tmp_path).document == ()


def test_a_router_leads_documents_and_queries_apart(tmp_path):
    folder = splade_checkpoints.tiny_doc_only(tmp_path / "doc-only")
    modules = read_modules(folder)
    assert [module.kind for module in modules.query] == ["SparseStaticEmbedding"]
    assert [module.kind for module in modules.document] == ["Transformer", "SpladePooling"]
    checkpoint = open_checkpoint(str(folder))
    assert checkpoint.path == folder / "document_0_Transformer"
    assert (checkpoint.pooling, checkpoint.outputs) == ("splade", ("sparse",))
    assert checkpoint.query_weights().shape == (checkpoint.config["vocab_size"],)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([{"path": "", "type": "a.b.Dense"}], "names the module Dense, which Beige does not run"),
        ([{"type": "a.b.Transformer"}], "no list of modules"),
        ({"path": ""}, "no list of modules"),
    ],
)
def test_modules_that_are_not_understood_are_named(tmp_path, modules, message):
    write_json(tmp_path / "modules.json", modules)
    with pytest.raises(CheckpointError, match=message):
        read_modules(tmp_path)


def test_a_model_of_its_own_for_queries_is_refused(tmp_path):
    kind = "sentence_transformers.base.modules.transformer.Transformer"
    write_json(tmp_path / "modules.json", [{"path": "", "type": "a.b.Router"}])
    router = {"types": {"one": kind, "two": kind}, "structure": {"query": ["one"], "document": ["two"]}}
    write_json(tmp_path / "router_config.json", router)
    with pytest.raises(CheckpointError, match="gives queries a model of their own"):
        read_modules(tmp_path)


def test_a_pooling_of_words_that_is_not_run_is_refused(tmp_path):
    folder = splade_checkpoints.tiny_splade(tmp_path / "splade")
    write_json(folder / "1_SpladePooling" / "config.json", {"pooling_strategy": "sum", "activation_function": "relu"})
    with pytest.raises(CheckpointError, match="asks for pooling by sum of relu"):
        open_folder(folder)
