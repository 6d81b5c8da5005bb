"""Models that run here: Beige's own, and sentence-transformers'."""

from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from beige.errors import MissingExtraError, ModelNotFoundError
from beige.evaluate.encoder import Batch, Limit
from beige.evaluate.systems import Model
from beige.values import Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from beige.embedder import Embedder


_LIMIT = Limit(texts=512, characters=1 << 24)
_ALONE = 300


class Local:
    """A model that Beige runs."""

    limit, alone = _LIMIT, _ALONE

    def __init__(self, model: Model) -> None:
        self._model = model

    @cached_property
    def embedder(self) -> "Embedder":
        """Opened at the first use, and warm, so that no measured call waits for it."""
        from beige.embedder import Embedder

        embedder = Embedder(
            self._model.name, precision=self._model.precision or "auto", instruction=self._model.instruction
        )
        embedder.encode_query("warm")
        return embedder

    def space(self, role: Role) -> str:
        """The fingerprint, which is the document template's too, the precision, and how a query is written."""
        embedder = self.embedder
        written = (embedder.checkpoint.templates["query"], str(self._model.instruction)) if role == "query" else ()
        return " ".join((embedder.checkpoint.name, embedder.fingerprint, embedder.precision, role, *written))

    def encode(self, texts: Sequence[str], role: Role) -> Batch:
        """Vectors of the texts, in their order."""
        found = self.embedder.encode(list(texts), role)
        assert found.dense is not None
        read = np.minimum(found.tokens, self.embedder.max_tokens)
        return Batch(found.dense, read.astype(np.float64), found.truncated)


class Sentences:
    """A model that sentence-transformers runs, with the prompts that its own files name."""

    limit, alone = _LIMIT, _ALONE

    def __init__(self, model: Model) -> None:
        self._model = model

    @cached_property
    def transformer(self) -> "SentenceTransformer":
        """Opened at the first use, and warm."""
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError(f"the system st:{self._model.name}", "evaluate") from error
        try:
            transformer = SentenceTransformer(self._model.name)
        except (OSError, ValueError) as error:
            said = str(error).strip().partition("\n")[0]
            raise ModelNotFoundError(
                f"sentence-transformers cannot open {self._model.name!r} ({said}): give a folder, or a name of the Hub"
            ) from error
        transformer.encode(["warm"], show_progress_bar=False)
        return transformer

    def space(self, role: Role) -> str:
        """The tensors, the library's version, how a query is written."""
        from sentence_transformers import __version__

        return f"sentence-transformers {__version__} {self._tensors} {role} {self._written('', role)}"

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
