"""An ONNX export becomes a checkpoint that every library loads, with the tensors and vectors of the original."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from beige.errors import CheckpointError
from beige.models.card import ModelCard
from beige.models.catalogue import find_card
from beige.models.checkpoint import open_checkpoint
from beige.models.onnx_import import import_onnx
from tests.models import onnx_file

Tensors = dict[str, np.ndarray]


@pytest.fixture
def tensors(tiny_bert: Path) -> Tensors:
    """Those that an export has: all but the pooler's."""
    return {name: tensor for name, tensor in load_file(tiny_bert / "model.safetensors").items() if "pooler" not in name}


@pytest.fixture
def tiny_card() -> ModelCard:
    return replace(find_card("e5-small-v2"), name="tiny", max_tokens=128, dimension=32)


def test_tensors_and_configuration_come_back(
    tmp_path: Path, tiny_bert: Path, tensors: Tensors, tiny_card: ModelCard
) -> None:
    onnx = onnx_file.write_bert(tmp_path / "tiny.onnx", tensors)
    import_onnx(onnx, tiny_bert / "tokenizer.json", tiny_card, 4, tmp_path / "tiny")
    written = load_file(tmp_path / "tiny" / "model.safetensors")
    assert set(written) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(written[name], tensor)
    original = json.loads((tiny_bert / "config.json").read_text())
    config = json.loads((tmp_path / "tiny" / "config.json").read_text())
    assert {key: config[key] for key in original} == original
    opened = open_checkpoint(tmp_path / "tiny")
    assert (opened.pooling, opened.max_tokens, opened.dimension) == ("mean", 128, 32)
    assert opened.templates == tiny_card.templates


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda tensors: tensors.pop("encoder.layer.1.attention.self.key.weight"),
            "lacks encoder.layer.1.attention.self.key",
        ),
        (lambda tensors: tensors.pop("embeddings.position_embeddings.weight"), "lacks embeddings.position_embeddings"),
        (
            lambda tensors: tensors.pop("encoder.layer.2.output.LayerNorm.bias"),
            "lacks encoder.layer.2.output.LayerNorm",
        ),
        (
            lambda tensors: tensors.update({"encoder.layer.0.adapter.weight": np.ones((32, 32), np.float32)}),
            "also holds encoder.layer.0.adapter",
        ),
        (lambda tensors: tensors.clear(), "lacks"),
    ],
    ids=["no key weight", "no positions", "no norm", "an adapter", "nothing"],
)
def test_missing_and_surplus_tensors_are_named(
    tmp_path: Path,
    tiny_bert: Path,
    tensors: Tensors,
    tiny_card: ModelCard,
    change: Callable[[Tensors], object],
    named: str,
) -> None:
    change(tensors)
    onnx = onnx_file.write_bert(tmp_path / "tiny.onnx", tensors)
    with pytest.raises(CheckpointError, match=rf"tiny\.onnx is not the export of a BERT.*{named}"):
        import_onnx(onnx, tiny_bert / "tokenizer.json", tiny_card, 4, tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_named(
    tmp_path: Path, tiny_bert: Path, tensors: Tensors, tiny_card: ModelCard, keep: float
) -> None:
    onnx = onnx_file.write_bert(tmp_path / "tiny.onnx", tensors)
    content = onnx.read_bytes()
    onnx.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(CheckpointError, match=r"tiny\.onnx is no readable ONNX file"):
        import_onnx(onnx, tiny_bert / "tokenizer.json", tiny_card, 4, tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + bytes(500), b"<html>not found</html>"])
def test_another_kind_of_file_is_named(tmp_path: Path, tiny_bert: Path, tiny_card: ModelCard, content: bytes) -> None:
    (tmp_path / "tiny.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tiny\.onnx"):
        import_onnx(tmp_path / "tiny.onnx", tiny_bert / "tokenizer.json", tiny_card, 4, tmp_path / "tiny")


TEXTS = [
    "What is a BERT?",
    "",
    "naïve Café über 中文信息检索 of... query!",
    "Ça va? Привет мир. مرحبا بالعالم",
    "the boundary layer over a flat plate " * 100,
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_sentence_transformers_loads_the_real_ones_and_gives_the_exports_vectors(
    published_model: Path, tmp_path: Path
) -> None:
    """The reference is the ONNX file itself, run as it was published."""
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from beige._openvino import ov

    card = find_card(published_model.name)
    if (onnx := real_onnx(card, tmp_path)) is None:
        pytest.skip(f"needs mvn and its repository for the ONNX file of {card.name}")
    model = SentenceTransformer(str(published_model), device="cpu")
    assert model.max_seq_length == card.max_tokens
    assert {role: prompt + "{text}" for role, prompt in model.prompts.items()} == card.templates
    vectors = model.encode(TEXTS)
    assert np.abs(vectors[0] @ vectors[2]) < 0.95  # vectors that all agree would prove nothing
    graph = ov.Core().compile_model(onnx, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    tokenizer = Tokenizer.from_file(str(published_model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(card.max_tokens)
    for text, vector in zip(TEXTS, vectors, strict=True):
        ids = np.array([tokenizer.encode(text).ids], np.int64)  # (1, t)
        hidden = graph([ids, np.ones_like(ids), np.zeros_like(ids)])[0][0]  # (t, d)
        pooled = hidden[0] if card.pooling == "cls" else hidden.mean(axis=0)  # (d,)
        assert pooled @ vector / np.linalg.norm(pooled) > 0.999999


def real_onnx(card: ModelCard, folder: Path) -> Path | None:
    """The published ONNX file, out of the local Maven repository that the pull filled."""
    assert card.maven is not None
    group, artifact, version = card.maven.artifact.split(":")
    jar = (
        Path.home() / ".m2" / "repository" / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.jar"
    )
    if not jar.is_file():
        return None
    with zipfile.ZipFile(jar) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".onnx"))
        return Path(archive.extract(name, folder))
