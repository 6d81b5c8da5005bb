"""What each kind of checkpoint computes in PyTorch for a batch: from ids to vectors, weights and scores.

Shapes in the comments: b texts, t tokens, h hidden, o numbers of a token's vector, e exits.
"""

import functools
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F  # noqa: N812

from beige.engines import torch_decoder, torch_exits
from beige.engines.batches import Batch
from beige.engines.encoders import ENCODERS, WORDS
from beige.engines.exits import Exits
from beige.engines.torch_decoder import Decoder
from beige.engines.torch_encoder import ACTIVATIONS, Encoder, norm
from beige.engines.torch_exits import ExitModel
from beige.engines.torch_weights import Linear, Weights
from beige.errors import EngineError, UsageError
from beige.models.card import MCLS_STRIDE, SPLADE
from beige.models.checkpoint import Checkpoint
from beige.models.heads import FILES, open_head
from beige.values import Output

Outputs = Mapping[str, torch.Tensor]
"""By output, float32, texts first: "dense" (b, h), "sparse" (b, t), "multi" (b, t - 1, o), "words" (b, v),
"score" (b, e)."""

Model = Callable[[Batch, torch.Tensor, torch.Tensor, tuple[str, ...]], Outputs]
"""A batch, its ids (b, t) padded at the right, its lengths (b,) and what is asked for, to what is asked for."""


def open_model(checkpoint: Checkpoint, weights: Weights, exits: Exits | None) -> Model:
    """The model of a checkpoint.

    Raises:
        EngineError: PyTorch has no such architecture here, or the configuration asks for what is not computed.
        UsageError: exits are asked of a model that has none, or those that it does not have.
        CheckpointError: a tensor is missing or of a wrong shape.
    """
    architecture = checkpoint.architecture
    if architecture in torch_exits.ARCHITECTURES:
        return ExitModel(checkpoint, weights, exits or Exits())
    if exits is not None:
        raise UsageError(f"{checkpoint.name} scores after its last layer alone: it takes no layers and no compression")
    if architecture in ENCODERS:
        return EncoderModel(checkpoint, weights)
    if architecture in torch_decoder.ARCHITECTURES:
        return DecoderModel(checkpoint, weights)
    known = (*ENCODERS, *torch_decoder.ARCHITECTURES)
    raise EngineError(f"{checkpoint.name}: PyTorch has no architecture {architecture!r} here, only {', '.join(known)}")


class EncoderModel:
    """BERT and XLM-RoBERTa, with every head that the checkpoint has."""

    def __init__(self, checkpoint: Checkpoint, weights: Weights) -> None:
        self._checkpoint = checkpoint
        self._encoder = Encoder(checkpoint, weights)
        heads = FILES if checkpoint.pooling not in SPLADE else ()
        self._heads = {output: _head(checkpoint, output, weights) for output in heads if output in checkpoint.outputs}
        self._classifier = _classifier(checkpoint, weights)
        self._words = WordHead(checkpoint, weights) if checkpoint.pooling in SPLADE else None

    def __call__(
        self, batch: Batch, ids: torch.Tensor, lengths: torch.Tensor, outputs: tuple[str, ...]
    ) -> dict[str, torch.Tensor]:
        """See `Model`."""
        first_only = outputs == ("score",) or (outputs == ("dense",) and self._checkpoint.pooling == "cls")
        types = _types(batch, ids) if self._checkpoint.types_passages else None  # (b, t)
        hidden = self._encoder(ids, lengths, types, first_only=first_only)  # (b, t or 1, h)
        return {output: self._give(output, hidden, lengths) for output in outputs}

    def _give(self, output: str, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        match output:
            case "dense":
                return _unit(_pool(hidden, lengths, self._checkpoint.pooling))
            case "sparse" if output in self._heads:
                return self._heads[output](hidden).squeeze(-1).relu().float()
            case "multi" if output in self._heads:
                return _unit(self._heads[output](hidden[:, 1:]))
            case "score" if self._classifier:
                within, out = self._classifier
                return out(within(hidden[:, 0]).tanh()).float()
            case "words" if self._words:
                # Padding repeats the first token, which changes no maximum.
                real = torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]  # (b, t)
                return self._words(torch.where(real[..., None], hidden, hidden[:, :1]))
        raise EngineError(f"{self._checkpoint.name} gives no output {output!r}")


class WordHead:
    """BERT's masked-language head as SPLADE uses it, https://arxiv.org/abs/2109.10086.

    The maximum over tokens of log(1 + relu(logit)): both grow with the logit, so the maximum is taken first, and of a
    part of the vocabulary at a time, for a batch's logits of all words would be its largest array.
    """

    def __init__(self, checkpoint: Checkpoint, weights: Weights) -> None:
        config, head = checkpoint.config, "cls.predictions"
        hidden, count = int(config["hidden_size"]), int(config["vocab_size"])
        self._transform = weights.linear(f"{head}.transform.dense", hidden, hidden, bias=True)
        self._activation = ACTIVATIONS[config.get("hidden_act", "gelu")]
        self._norm = norm(weights, f"{head}.transform.LayerNorm", config)
        tied = f"{head}.decoder.weight" not in weights.tensors
        matrix = weights.take("embeddings.word_embeddings.weight" if tied else f"{head}.decoder.weight", count, hidden)
        bias = weights.take(f"{head}.bias", count)
        self._parts = [Linear(matrix[at : at + WORDS], bias[at : at + WORDS]) for at in range(0, count, WORDS)]
        self._logs = SPLADE[checkpoint.pooling]

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """(b, t, h) to (b, v)."""
        states = self._norm(self._activation(self._transform(states)))  # (b, t, h)
        words = torch.cat([part(states).amax(1) for part in self._parts], 1).relu().float()  # (b, v)
        for _ in range(self._logs):
            words = words.log1p()
        return words


class DecoderModel:
    """Decoders: vectors of the last token, and scores by the logit of "Yes" there."""

    def __init__(self, checkpoint: Checkpoint, weights: Weights) -> None:
        self._checkpoint = checkpoint
        self._decoder = Decoder(checkpoint, weights)
        self._weights = weights

    def __call__(
        self, _: Batch, ids: torch.Tensor, lengths: torch.Tensor, outputs: tuple[str, ...]
    ) -> dict[str, torch.Tensor]:
        """See `Model`."""
        hidden = self._decoder(ids)  # (b, t, h)
        return {output: self._give(output, hidden, lengths) for output in outputs}

    def _give(self, output: str, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        match output:
            case "dense":
                return _unit(_pool(hidden, lengths, self._checkpoint.pooling))
            case "score":
                logits = _pool(hidden, lengths, "last") @ self._yes  # (b,)
                cap = self._checkpoint.config.get("final_logit_softcapping")
                return (torch.tanh(logits / cap) * cap if cap else logits).float()[:, None]
        raise EngineError(f"{self._checkpoint.name} gives no output {output!r}")

    @functools.cached_property
    def _yes(self) -> torch.Tensor:
        """What gives the logit of the token "Yes": its row of the head, which may be the embedding table, (h,)."""
        token = self._checkpoint.tokenizer().bare(["Yes"])[0][0]
        head, config, tensors = "lm_head.weight", self._checkpoint.config, self._weights.tensors
        if head not in tensors:
            return self._decoder.words[token]
        return self._weights.place(tensors.take(head, int(config["vocab_size"]), int(config["hidden_size"]))[token])


def _pool(hidden: torch.Tensor, lengths: torch.Tensor, pooling: str) -> torch.Tensor:
    """One state for each text: (b, t, h) to (b, h)."""
    match pooling:
        case "cls":
            return hidden[:, 0]
        case "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
    places = torch.arange(hidden.shape[1], device=hidden.device)  # (t,)
    real = places < lengths[:, None]  # (b, t)
    if pooling == "mcls":  # the last token is EOS wherever it stands
        real = (places % (MCLS_STRIDE + 1) == 0) & (places < lengths[:, None] - 1)
    # The unit length makes the sum as good as the mean.
    return (hidden.float() * real[..., None]).sum(1)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return F.normalize(vectors.float(), dim=-1)


def _types(batch: Batch, ids: torch.Tensor) -> torch.Tensor | None:
    """Token types (b, t): 1 from a pair's passage on; None where all are 0."""
    if not any(text.passage for text in batch.texts):
        return None
    first = [text.passage[0] if text.passage else ids.shape[1] for text in batch.texts]
    places = torch.arange(ids.shape[1], device=ids.device)
    return (places >= torch.tensor(first, device=ids.device)[:, None]).long()


def _head(checkpoint: Checkpoint, output: Output, weights: Weights) -> Linear:
    head = open_head(checkpoint.path, output, int(checkpoint.config["hidden_size"]))
    return Linear(weights.place(head.weight), weights.place(head.bias))


def _classifier(checkpoint: Checkpoint, weights: Weights) -> tuple[Linear, Linear] | None:
    """What scores a pair: two layers, which BERT and RoBERTa call by different names; None where there are none."""
    hidden = int(checkpoint.config["hidden_size"])
    within, out = ENCODERS[checkpoint.architecture].classifier
    if f"{out}.weight" not in weights.tensors:
        return None
    return weights.linear(within, hidden, hidden, bias=True), weights.linear(out, 1, hidden, bias=True)
