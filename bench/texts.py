"""What is encoded: texts of SciFact, and how many tokens a model reads of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from beige.evaluate.data import Retrieval
from beige.models.tokenizer import Tokenizer

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Where the data sets stand beside the checkout; `--data` names another place."""

ABSTRACTS, CLAIMS = 128, 256


def workloads(task: Retrieval, share: float = 1.0) -> Mapping[str, tuple[str, ...]]:
    """Texts by the workload's name: abstracts (long) and claims (short) together, and each alone.

    Args:
        task: SciFact.
        share: how much of the full size, above 0 to 1, for a quick run.
    """
    abstracts = tuple(record.whole for record in task.documents.values())[: round(ABSTRACTS * share)]
    claims = tuple(task.queries.values())[: round(CLAIMS * share)]
    return {"mixed": abstracts + claims, "short": claims, "long": abstracts}


def tokens_read(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    """How many tokens the model reads of these texts: special tokens included, what is cut not."""
    return sum(len(tokens.ids) for tokens in tokenizer.encode(texts))
