"""What sets one encoder architecture apart from another; everything else they have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Encoder:
    """An architecture.

    Attributes:
        shifted: whether positions begin after the padding id, not at 0.
        classifier: the layers that score a pair by its first token's state: the one within, which a tanh follows, and
            the last.
    """

    shifted: bool
    classifier: tuple[str, str]

    def first_position(self, config: Mapping[str, Any]) -> int:
        """The row of the position table that a text's first token takes."""
        return int(config.get("pad_token_id", 1)) + 1 if self.shifted else 0


_ROBERTA = Encoder(shifted=True, classifier=("classifier.dense", "classifier.out_proj"))

ENCODERS: Mapping[str, Encoder] = {
    "bert": Encoder(shifted=False, classifier=("pooler.dense", "classifier")),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
"""By `model_type` of the configuration."""

WORDS = 4096
"""Words of the vocabulary whose logits are held at once."""
