"""Models that run here: Beige's own, and sentence-transformers'."""

from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from beige.errors import MissingExtraError, ModelNotFoundError
from beige.evaluate.encoder import PLACE, Batch, Limit
from beige.evaluate.systems import Model
from beige.models.catalogue import find_card
from beige.models.checkpoint import open_checkpoint
from beige.values import Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from beige.embedder import Embedder


_LIMIT = Limit(texts=512, characters=1 << 24)
_ALONE = 300


class Local:
    """A model that Beige runs; it is pulled at once, where it has to be, and loaded at the first use.

    Raises:
        BeigeError: there is no such model, or no source gave it.
    """

    limit, alone = _LIMIT, _ALONE

    def __init__(self, model: Model) -> None:
        self._model = model
        open_checkpoint(model.name)

    @cached_property
    def embedder(self) -> "Embedder":
        """Warm, so that no measured call waits for it."""
        from beige.embedder import Embedder

        embedder = Embedder(
            self._model.name, precision=self._model.precision or "auto", instruction=self._model.instruction
        )
        embedder.encode_query("warm")
        return embedder

    @property
    def precision(self) -> str:
        """What the engine computes in, which "auto" leaves to it."""
        return self.embedder.precision

    def space(self, role: Role) -> str:
        """The fingerprint, the precision, and what is written around a text."""
        embedder = self.embedder
        around = repr(embedder.affixes[role])
        return " ".join((embedder.checkpoint.name, embedder.fingerprint, embedder.precision, role, around))

    def encode(self, texts: Sequence[str], role: Role) -> Batch:
        """Vectors of the texts, in their order."""
        found = self.embedder.encode(list(texts), role)
        assert found.dense is not None
        read = np.minimum(found.tokens, self.embedder.max_tokens)
        return Batch(found.dense, read.astype(np.float64), found.truncated)


class Sentences:
    """A model that sentence-transformers runs, with the prompts that its own files name.

    Raises:
        BeigeError: it is a model of the catalogue, which is pulled at once, and no source gave it.
    """

    limit, alone = _LIMIT, _ALONE

    def __init__(self, model: Model) -> None:
        self._model = model
        self._place = _place(model.name)

    @cached_property
    def transformer(self) -> "SentenceTransformer":
        """Opened at the first use, and warm."""
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError(f"the system st:{self._model.name}", "evaluate") from error
        try:
            transformer = SentenceTransformer(self._place)
        except (OSError, ValueError) as error:
            said = str(error).strip().partition("\n")[0]
            raise ModelNotFoundError(
                f"sentence-transformers cannot open {self._model.name!r} ({said}): give a folder, or a name of the Hub"
            ) from error
        transformer.encode(["warm"], show_progress_bar=False)
        return transformer

    @property
    def precision(self) -> str:
        """The type of the tensors, as our own precisions are called."""
        kind = str(self.transformer.dtype).removeprefix("torch.")
        return {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}.get(kind, kind)

    def space(self, role: Role) -> str:
        """The tensors, the library's version, how a query is written."""
        from sentence_transformers import __version__

        return f"sentence-transformers {__version__} {self._tensors} {role} {self._written(PLACE, role)}"

    def encode(self, texts: Sequence[str], role: Role) -> Batch:
        """Vectors of the texts, in their order."""
        encode = self.transformer.encode_query if role == "query" else self.transformer.encode_document
        written = [self._written(text, role) for text in texts]
        vectors = encode(written, prompt="", show_progress_bar=False)
        counted = self.transformer.tokenizer(written, verbose=False)
        lengths = np.array([len(ids) for ids in counted["input_ids"]])  # (n,)
        longest = self.transformer.max_seq_length or lengths.max()
        return Batch(
            np.asarray(vectors, np.float32), np.minimum(lengths, longest).astype(np.float64), lengths > longest
        )

    def _written(self, text: str, role: Role) -> str:
        """The text behind the user's instruction, else behind the model's own prompt for the role."""
        if role == "query" and self._model.instruction is not None:
            return self._model.written(text, role)
        return (self.transformer.prompts.get(role) or "") + text

    @cached_property
    def _tensors(self) -> str:
        digest = blake2b(digest_size=16)
        for name, tensor in sorted(self.transformer.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _place(name: str) -> str:
    """A folder, or a name of the Hub; of a model of the catalogue the folder that Beige runs, so that both run one."""
    if Path(name).expanduser().is_dir():
        return str(Path(name).expanduser())
    try:
        card = find_card(name)
    except ModelNotFoundError:
        return name
    return str(open_checkpoint(card.name).path)
