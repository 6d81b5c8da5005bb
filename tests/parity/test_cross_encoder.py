"""Rerankers against sentence-transformers' CrossEncoder, from folders as it saves them, on both engines."""

import json

import numpy as np
import pytest

from beige import Reranker
from beige.engines.precision import Choice
from tests import xlmr_checkpoints

torch = pytest.importorskip("torch")
CrossEncoder = pytest.importorskip("sentence_transformers").CrossEncoder

QUERY = "what is light"
PASSAGES = [
    "light is a wave, and the speed of light is not that of water",
    "mountain paper engine wing flow heat plate pressure boundary layer " * 3,
    "stone",
    "",
    "中文信息检索",
    "the river " * 400,
]
TYPED = ["input_ids", "token_type_ids", "attention_mask"]
BUILDERS = {
    "bert": (xlmr_checkpoints.tiny_bert_reranker, TYPED),
    "bert without token types": (xlmr_checkpoints.tiny_bert_reranker, ["input_ids", "attention_mask"]),
    "bert that says nothing": (xlmr_checkpoints.tiny_bert_reranker, None),
    "xlm-roberta": (xlmr_checkpoints.tiny_reranker, None),
}


@pytest.fixture(scope="module", params=BUILDERS)
def saved(request, tmp_path_factory):
    """A folder that a CrossEncoder saved, and the CrossEncoder."""
    build, inputs = BUILDERS[request.param]
    root = tmp_path_factory.mktemp("cross-encoders")
    made = build(root / "made")
    if inputs is not None:
        stated = json.loads((made / "tokenizer_config.json").read_text())
        (made / "tokenizer_config.json").write_text(json.dumps({**stated, "model_input_names": inputs}))
    encoder = CrossEncoder(str(made), device="cpu")
    assert ("token_type_ids" in encoder.tokenizer(["a"], ["b"])) == (inputs is TYPED)
    encoder.save_pretrained(str(root / "saved"))
    return root / "saved", encoder


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_scores_are_those_of_the_cross_encoder(saved, engine):
    folder, encoder = saved
    reranker = Reranker(folder, device="cpu", precision="fp32")
    if engine == "torch":
        from beige.engines.torch_engine import TorchEngine

        reranker._engine = TorchEngine(reranker.checkpoint, "cpu", Choice("fp32", "asked for"))
    pairs = [(QUERY, passage) for passage in PASSAGES]
    expected = encoder.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    assert np.ptp(expected) > 0.05  # pairs differ
    assert np.abs(reranker.score(QUERY, PASSAGES) - expected).max() < 1e-3
    logistic = encoder.predict(pairs, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False)
    assert np.abs(reranker.score(QUERY, PASSAGES, normalise=True) - logistic).max() < 1e-3
    ranked = [row["corpus_id"] for row in encoder.rank(QUERY, PASSAGES, show_progress_bar=False)]
    assert [one.index for one in reranker.rerank(QUERY, PASSAGES)] == ranked
    assert [one.truncated for one in sorted(reranker.rerank(QUERY, PASSAGES), key=lambda one: one.index)] == [
        *[False] * 5,
        True,
    ]
