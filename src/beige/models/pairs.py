"""A query and a passage as one input of a reranker: what stands around them, and how only the passage is cut."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beige.errors import InputError
from beige.models.checkpoint import Checkpoint
from beige.models.layout import TOKENIZER_CONFIG, read_json, special_token
from beige.models.tokenizer import Tokenizer, Tokens

_ASKS = (
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
    "prediction of either 'Yes' or 'No'."
)
_PROMPTS: Mapping[str, str] = {"cost_wise_gemma": "Predict whether passage B contains an answer to query A."}
"""What decoders are asked, where it is not `_ASKS`, by architecture."""

_TOGETHER = 256
"""Passages that are tokenized at a time."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a pair.

    Attributes:
        before: ids before the query.
        between: ids between the query and the passage.
        after: ids after the passage.
        query: text that begins every query.
        passage: text that begins every passage.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    query: str = ""
    passage: str = ""


class Pairs:
    """Puts pairs together for one checkpoint.

    Args:
        checkpoint: a reranker.

    Raises:
        CheckpointError: its tokenizer is missing or damaged.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._tokenizer = checkpoint.tokenizer()
        self._frame = _frame(checkpoint, self._tokenizer)

    def encode(self, query: str, passages: Sequence[str], most: int | None = None) -> Iterator[Tokens]:
        """One input for each passage; the passage is cut where the whole is longer than the model reads.

        Args:
            query: one question.
            passages: any number of texts.
            most: tokens of a passage beyond which it is cut in any case.

        Raises:
            InputError: the query leaves no room for a passage.
        """
        frame = self._frame
        (asked,) = self._tokenizer.bare([frame.query + query])
        head = [*frame.before, *asked, *frame.between]
        room = self._tokenizer.max_tokens - len(head) - len(frame.after)
        if room < 1:
            raise InputError(
                f"the query has {len(asked)} tokens, which leaves no room for a passage: the model reads "
                f"{self._tokenizer.max_tokens} in all; shorten it"
            )
        room = room if most is None else min(room, most)
        for first in range(0, len(passages), _TOGETHER):
            part = passages[first : first + _TOGETHER]
            for own in self._tokenizer.bare([frame.passage + passage for passage in part]):
                kept = own[:room]
                yield Tokens(
                    np.array([*head, *kept, *frame.after], np.int32),
                    count=len(head) + len(own) + len(frame.after),
                    truncated=len(kept) < len(own),
                    passage=(len(head), len(head) + len(kept)),
                )


def _frame(checkpoint: Checkpoint, tokenizer: Tokenizer) -> Frame:
    if not checkpoint.is_decoder:
        return Frame(*tokenizer.pair_affixes())
    line, prompt = tokenizer.bare(["\n", _PROMPTS.get(checkpoint.architecture, _ASKS)])
    stated = read_json(checkpoint.path / TOKENIZER_CONFIG)
    begin, fill = (tokenizer.id_of(special_token(stated, name)) for name in ("bos_token", "pad_token"))
    before = () if begin is None or begin == fill else (begin,)
    return Frame(before, tuple(line), (*line, *prompt), query="A: ", passage="B: ")
