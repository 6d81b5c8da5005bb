"""The family's members that cannot be had here, as tiny random checkpoints under their own names in the Hub's cache."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from beige.models.catalogue import find_card
from tests import decoder_checkpoints, xlmr_checkpoints

COMMIT = "0" * 40

BUILDERS: Mapping[str, Callable[[Path], Path]] = {
    "bge-m3": xlmr_checkpoints.tiny_m3,
    "bge-reranker-v2-m3": xlmr_checkpoints.tiny_reranker,
    "bge-en-icl": partial(decoder_checkpoints.tiny_decoder, architecture="mistral"),
    "bge-multilingual-gemma2": partial(decoder_checkpoints.tiny_decoder, architecture="gemma2"),
    "bge-code-v1": partial(decoder_checkpoints.tiny_decoder, architecture="qwen2"),
    "bge-reasoner-embed-qwen3-8b-0923": partial(decoder_checkpoints.tiny_decoder, architecture="qwen3"),
    "bge-reranker-v2-gemma": decoder_checkpoints.tiny_yes_reranker,
    "bge-reranker-v2-minicpm-layerwise": partial(decoder_checkpoints.tiny_layerwise_reranker, layers=40, start=8),
    "bge-reranker-v2.5-gemma2-lightweight": partial(decoder_checkpoints.tiny_lightweight_reranker, layers=42, start=8),
}


def stand_ins(cache: Path, *names: str) -> Path:
    """Put these, by default all, into a folder of the Hub's cache layout (`HF_HUB_CACHE`), in which they are found."""
    for name, build in BUILDERS.items():
        if names and name not in names:
            continue
        repository = cache / f"models--{find_card(name).repository.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT, encoding="ascii")
        build(repository / "snapshots" / COMMIT)
    return cache
