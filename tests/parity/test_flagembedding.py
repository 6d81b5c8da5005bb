"""Beige against FlagEmbedding itself, which runs in environments of its own: `run_flagembedding.py` makes every number.

The rerankers with layer exits need an older transformers than the rest.
"""

import dataclasses
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beige.embedder import Embedder
from beige.engines.precision import Choice
from beige.instructions import Example
from beige.models.catalogue import find_card
from beige.models.checkpoint import open_folder
from beige.models.pairs import Pairs
from beige.reranker import Reranker
from bench.environments import PeerError, python_of
from tests import decoder_checkpoints, xlmr_checkpoints

pytest.importorskip("torch")

from beige.engines.torch_engine import TorchEngine

SCRIPT = Path(__file__).with_name("run_flagembedding.py")
QUERIES = ["what is light", "the speed of water on the mountain?", "a"]
PASSAGES = [
    "light is a wave, and the speed of light is not that of water",
    "mountain paper engine wing flow heat plate pressure boundary layer " * 3,
    "stone",
    "中文信息检索",
    "Water: the river was as it is; this (paper) is for you.",
    "",
]
PAIRS = [[query, passage] for query in QUERIES for passage in PASSAGES]
TASK = "Given a question, find the passage"
EXAMPLES = [
    {"instruct": TASK, "query": "what is a river", "response": "A river is water."},
    {"instruct": TASK, "query": "stone", "response": "Stone is of the mountain."},
]
CURRENT, OLDER = "flagembedding", "flagembedding-decoders"


@dataclass(frozen=True)
class Job:
    """What FlagEmbedding is asked."""

    environment: str
    kind: str
    build: Any
    method: str
    given: list[Any]
    made: dict[str, Any] = field(default_factory=dict)
    called: dict[str, Any] = field(default_factory=dict)


def embedder(architecture):
    return lambda folder: decoder_checkpoints.tiny_decoder(folder, architecture)


def exits(**called):
    return Job(
        OLDER,
        "LightWeightFlagLLMReranker",
        decoder_checkpoints.tiny_lightweight_reranker,
        "compute_score",
        PAIRS,
        called=called,
    )


INSTRUCTED = {"query_instruction_for_retrieval": TASK, "query_instruction_format": "<instruct>{}\n<query>{}"}
JOBS = {
    "m3": Job(
        CURRENT,
        "BGEM3FlagModel",
        xlmr_checkpoints.tiny_m3,
        "encode",
        PASSAGES[:-1] + QUERIES,
        called={"return_dense": True, "return_sparse": True, "return_colbert_vecs": True},
    ),
    "reranker": Job(OLDER, "FlagReranker", xlmr_checkpoints.tiny_reranker, "compute_score", PAIRS),
    "yes": Job(CURRENT, "FlagLLMReranker", decoder_checkpoints.tiny_yes_reranker, "compute_score", PAIRS),
    "icl queries": Job(
        CURRENT,
        "FlagICLModel",
        embedder("mistral"),
        "encode_queries",
        QUERIES,
        made=INSTRUCTED | {"examples_for_task": EXAMPLES},
    ),
    "icl queries alone": Job(CURRENT, "FlagICLModel", embedder("mistral"), "encode_queries", QUERIES, made=INSTRUCTED),
    "icl passages": Job(CURRENT, "FlagICLModel", embedder("mistral"), "encode_corpus", PASSAGES),
    **{
        f"{architecture} {what}": Job(CURRENT, "FlagLLMModel", embedder(architecture), method, given, made=INSTRUCTED)
        for architecture in ("gemma2", "qwen2", "qwen3")
        for what, method, given in (("queries", "encode_queries", QUERIES), ("passages", "encode_corpus", PASSAGES))
    },
    "reasoner": Job(
        CURRENT,
        "FlagLLMModel",
        embedder("qwen3"),
        "encode_queries",
        QUERIES,
        made={"query_instruction_for_retrieval": TASK},
    ),
    "layerwise": Job(
        OLDER,
        "LayerWiseFlagLLMReranker",
        decoder_checkpoints.tiny_layerwise_reranker,
        "compute_score",
        PAIRS,
        called={"cutoff_layers": [2, 3, 4]},
    ),
    **{
        f"lightweight {layers} {ratio} {compressed}": exits(
            cutoff_layers=list(layers), compress_ratio=ratio, compress_layers=list(compressed)
        )
        for layers, ratio, compressed in (
            ((4,), 1, (8,)),
            ((3,), 2, (1,)),
            ((3,), 4, (2,)),
            ((2, 4), 8, (1, 3)),
            ((2, 3, 4), 2, (2,)),
        )
    },
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A folder for each job's checkpoint."""
    root = tmp_path_factory.mktemp("parity")
    return {name: job.build(root / name.replace(" ", "-")) for name, job in JOBS.items()}


@pytest.fixture(scope="session")
def answers(folders, tmp_path_factory):
    """What FlagEmbedding answers to every job, one process for each environment."""
    root = tmp_path_factory.mktemp("answers")
    found: dict[str, Any] = {}
    for environment in (CURRENT, OLDER):
        names = [name for name, job in JOBS.items() if job.environment == environment]
        asked = [
            {
                "class": JOBS[name].kind,
                "model": str(folders[name]),
                "made": {"devices": "cpu", "use_fp16": False, **JOBS[name].made},
                "method": JOBS[name].method,
                "given": JOBS[name].given,
                "called": JOBS[name].called,
            }
            for name in names
        ]
        jobs, results = root / f"{environment}-jobs.json", root / f"{environment}.json"
        jobs.write_text(json.dumps(asked), encoding="utf-8")
        try:
            python = python_of(environment)
        except PeerError as error:
            pytest.skip(f"FlagEmbedding {error}")
        done = subprocess.run([python, SCRIPT, jobs, results], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found |= zip(names, json.loads(results.read_text(encoding="utf-8")), strict=True)
    return found


def torch_engine(folder):
    return TorchEngine(open_folder(folder), "cpu", Choice("fp32", "asked for"))


def same_vectors(vectors, expected):
    expected = np.asarray(expected)
    assert vectors.shape == expected.shape
    assert (vectors * expected).sum(1).min() >= 0.99999
    between = vectors @ vectors.T
    assert between[~np.eye(len(vectors), dtype=bool)].min() < 0.95  # texts differ


def same_scores(scores, expected):
    expected = np.asarray(expected)
    assert scores.shape == expected.shape
    assert np.abs(scores - expected).max() < 1e-3
    assert np.ptp(scores, axis=0).min() > 0.05  # pairs differ


def scored(reranker):
    return np.concatenate([reranker.score(query, PASSAGES) for query in QUERIES])


def test_m3s_three_outputs(folders, answers):
    checkpoint = open_folder(folders["m3"])
    texts = checkpoint.tokenizer().encode(JOBS["m3"].given)
    raws = list(torch_engine(folders["m3"]).run(texts, ("dense", "sparse", "multi")))
    expected = answers["m3"]
    same_vectors(np.stack([raw["dense"] for raw in raws]), expected["dense_vecs"])
    special = set(range(4))
    weights = 0
    for text, raw, lexical, multi in zip(
        texts, raws, expected["lexical_weights"], expected["colbert_vecs"], strict=True
    ):
        ours: dict[str, float] = {}
        for token, weight in zip(text.ids.tolist(), raw["sparse"].tolist(), strict=True):
            if weight > 0 and token not in special:
                ours[str(token)] = max(weight, ours.get(str(token), 0.0))
        assert ours.keys() == lexical.keys()
        assert all(abs(ours[token] - lexical[token]) < 1e-4 for token in ours)
        assert np.abs(raw["multi"] - np.asarray(multi).reshape(raw["multi"].shape)).max(initial=0) < 1e-4
        weights += len(ours)
    assert weights > 20


def test_encoder_rerankers(folders, answers):
    engine, pairs = torch_engine(folders["reranker"]), Pairs(open_folder(folders["reranker"]))
    raws = [raw for query in QUERIES for raw in engine.run(pairs.encode(query, PASSAGES), ("score",))]
    same_scores(np.concatenate([raw["score"] for raw in raws]), answers["reranker"])


def test_yes_rerankers(folders, answers):
    same_scores(scored(Reranker(folders["yes"], precision="fp32")), answers["yes"])


def test_layer_exits(folders, answers):
    reranker = Reranker(folders["layerwise"], precision="fp32", layers=(2, 3, 4))
    same_scores(scored(reranker), np.transpose(answers["layerwise"]))


def opened(folder, name, **more):
    """An embedder of a tiny checkpoint with a published model's card: templates and tasks are the card's."""
    checkpoint = dataclasses.replace(open_folder(folder), card=find_card(name))
    checkpoint = dataclasses.replace(checkpoint, templates=checkpoint.card.templates)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("beige.embedder.open_kind", lambda *_: checkpoint)
        return Embedder(folder, precision="fp32", **more)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [("gemma2", "bge-multilingual-gemma2"), ("qwen2", "bge-code-v1"), ("qwen3", "bge-reasoner-embed-qwen3-8b-0923")],
)
def test_decoders(architecture, name, folders, answers):
    instruction = TASK if architecture != "qwen3" else f"<instruct>{TASK}\n<query>{{text}}"  # its own is another
    embedder = opened(folders[f"{architecture} queries"], name, instruction=instruction)
    same_vectors(embedder.encode_query(QUERIES).dense, answers[f"{architecture} queries"])
    same_vectors(embedder.encode_document(PASSAGES).dense, answers[f"{architecture} passages"])


@pytest.mark.parametrize(
    ("examples", "answer"),
    [
        ((), "icl queries alone"),
        ([Example(one["query"], one["response"]) for one in EXAMPLES], "icl queries"),
        ([Example(one["query"], one["response"], one["instruct"]) for one in EXAMPLES], "icl queries"),
    ],
)
def test_in_context_examples(examples, answer, folders, answers):
    embedder = opened(folders["icl queries"], "bge-en-icl", instruction=TASK, examples=examples)
    same_vectors(embedder.encode_query(QUERIES).dense, answers[answer])
    same_vectors(embedder.encode_document(PASSAGES).dense, answers["icl passages"])


def test_the_reasoners_template_is_the_references(folders, answers):
    embedder = opened(folders["reasoner"], "bge-reasoner-embed-qwen3-8b-0923", instruction=TASK)
    same_vectors(embedder.encode_query(QUERIES).dense, answers["reasoner"])


@pytest.mark.parametrize("name", [name for name in JOBS if name.startswith("lightweight")])
def test_layer_exits_and_token_compression(name, folders, answers):
    called = JOBS[name].called
    reranker = Reranker(
        folders[name],
        precision="fp32",
        layers=called["cutoff_layers"],
        compression=called["compress_ratio"],
        compressed=called["compress_layers"],
    )
    same_scores(scored(reranker), np.transpose(answers[name]))
