"""Token ids equal the library's and transformers'; texts are cut before their closing token, and counted truly."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from beige.errors import CheckpointError
from beige.models import tokenizer as module
from beige.models.tokenizer import Tokenizer
from tests import checkpoints

TEXTS = [
    "the light of the speed",
    "",
    "   \t\n ",
    "naïve Café über 中文信息检索 of... query!",
    "a" * 150 + " b",
    "[SEP] in the text [CLS][PAD]",
    "\x00\x1f control\x0bbytes\u200b",
    "🙂👩‍👩‍👧 emoji",
    "the query " * 200,
]


def bert() -> tokenizers.Tokenizer:
    return checkpoints.wordpiece_tokenizer(64)


def unigram(*, split: bool) -> tokenizers.Tokenizer:
    """As XLM-RoBERTa's: `<s> text </s>`, with or without a division at white space before the Metaspace."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁the", "▁query", "▁a", "e", "qu", "er", "y", *"abcdthru.,-中文"]
    vocabulary = [(piece, -float(number)) for number, piece in enumerate(dict.fromkeys(pieces))]
    tokenizer = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]
    )
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace]) if split else metaspace
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def byte_level() -> tokenizers.Tokenizer:
    """As the decoders': bytes, with an end-of-text token and none before."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {letter: number for number, letter in enumerate([*alphabet, "<|end|>"])}
    tokenizer = tokenizers.Tokenizer(models.BPE(words, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|end|>", special_tokens=[("<|end|>", words["<|end|>"])]
    )
    return tokenizer


KINDS: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "bert": bert,
    "unigram": lambda: unigram(split=False),
    "unigram-split": lambda: unigram(split=True),
    "byte-level": byte_level,
}


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Tokenizer, tokenizers.Tokenizer]:
    """Ours and the library's over one file; the file asks for truncation and padding, which ours must not follow."""
    return make_pair(request.param, tmp_path)


def make_pair(kind: str, folder: Path) -> tuple[Tokenizer, tokenizers.Tokenizer]:
    library = KINDS[kind]()
    library.enable_truncation(5)
    library.enable_padding(length=9)
    library.save(str(folder / "tokenizer.json"))
    library.no_truncation()
    library.no_padding()
    return Tokenizer(folder / "tokenizer.json", 16, 1), library


def test_uncut_ids_equal_the_librarys(pair: tuple[Tokenizer, tokenizers.Tokenizer]) -> None:
    ours, library = pair
    for text, tokens in zip(TEXTS, ours.encode(TEXTS), strict=True):
        ids = library.encode(text).ids
        assert tokens.count == len(ids) == ours.count(text)
        assert tokens.truncated == (len(ids) > 16)
        assert tokens.ids.dtype == np.int32
        if not tokens.truncated:
            assert tokens.ids.tolist() == ids


def test_a_cut_text_equals_the_librarys_truncation(pair: tuple[Tokenizer, tokenizers.Tokenizer]) -> None:
    ours, library = pair
    library.enable_truncation(16)
    cut = [tokens for tokens in ours.encode(TEXTS) if tokens.truncated]
    assert cut
    for text, tokens in zip(TEXTS, ours.encode(TEXTS), strict=True):
        assert tokens.ids.tolist() == library.encode(text).ids
        assert len(tokens.ids) <= 16


def test_ids_equal_those_of_transformers(tiny_bert: Path) -> None:
    ours = Tokenizer(tiny_bert / "tokenizer.json", 16, 0)
    theirs = PreTrainedTokenizerFast.from_pretrained(tiny_bert)
    ids = theirs(TEXTS, truncation=True, max_length=16)["input_ids"]
    assert [tokens.ids.tolist() for tokens in ours.encode(TEXTS)] == ids


def test_spans_are_the_librarys_offsets_without_special_tokens(pair: tuple[Tokenizer, tokenizers.Tokenizer]) -> None:
    ours, library = pair
    for text in TEXTS:
        spans = ours.spans(text)
        assert spans.dtype == np.int32
        assert spans.shape == (len(library.encode(text, add_special_tokens=False).ids), 2)
        assert spans.tolist() == [list(span) for span in library.encode(text, add_special_tokens=False).offsets]


ODD = st.text(
    st.sampled_from("a the.,-\n\t\r \x0b\x0c\x1c\x85\xa0\u3000\u200d\u0301\u4e2d\u6587\u3002[SEP]0\ufffd🙂é"),
    max_size=200,
)


@pytest.mark.parametrize("kind", KINDS)
@given(text=ODD | st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_a_text_in_pieces_gives_the_tokens_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, kind: str, text: str
) -> None:
    ours, library = make_pair(kind, tmp_path_factory.mktemp("pieces"))
    whole = library.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", 5)
        tokens, spans = ours.encode([text, "the", text])[2], ours.spans(text)
    assert tokens.count == len(library.encode(text.encode("utf-8", "replace").decode()).ids)
    assert (
        tokens.ids[:8].tolist() == library.encode(text.encode("utf-8", "replace").decode()).ids[: min(8, tokens.count)]
    )
    assert spans.tolist() == [list(span) for span in whole.offsets]


@pytest.mark.parametrize("kind", ["bert", "unigram", "unigram-split"])
def test_long_texts_are_divided_indeed(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = make_pair(kind, tmp_path)
    monkeypatch.setattr(module, "PIECE", 50)
    assert len(ours._bounds("the query " * 100)) > 10
    assert (len(ours._bounds("中文。" * 100)) > 3) == (kind == "bert")


def test_megabytes_on_one_line_are_counted_truly(tiny_bert: Path) -> None:
    ours = Tokenizer(tiny_bert / "tokenizer.json", 128, 0)
    for text, count in (
        ("the query of light " * 50_000, 200_000),
        ("中文" * 100_000, 200_000),
        ("." * 300_000, 300_000),
        ("x" * 1_000_000, 1),
        (" " * 1_000_000, 0),
    ):
        tokens = ours.encode([text])[0]
        assert (tokens.count, tokens.truncated) == (count + 2, count > 126)
        assert len(tokens.ids) == min(count + 2, 128)
        assert tokens.ids[-1] == ours.encode([""])[0].ids[-1]


def test_lone_surrogates_are_read_as_the_replacement_character(pair: tuple[Tokenizer, tokenizers.Tokenizer]) -> None:
    ours, _ = pair
    torn, mended = ours.encode(["the \ud800 query \udfff", "the \ufffd query \ufffd"])
    assert torn.ids.tolist() == mended.ids.tolist()
    assert torn.count == mended.count
    assert ours.spans("the \ud800 query").tolist() == ours.spans("the \ufffd query").tolist()


def test_no_texts_give_no_tokens(pair: tuple[Tokenizer, tokenizers.Tokenizer]) -> None:
    assert pair[0].encode([]) == []
    assert pair[0].spans("").shape == (0, 2)


def test_threads_share_one_tokenizer(tiny_bert: Path) -> None:
    ours = Tokenizer(tiny_bert / "tokenizer.json", 64, 0)
    expected = [tokens.ids.tolist() for tokens in ours.encode(TEXTS)]
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: ours.encode(TEXTS), range(64)):
            assert [tokens.ids.tolist() for tokens in result] == expected


def test_the_vocabulary_reaches_to_the_largest_id(tmp_path: Path) -> None:
    library = bert()
    size = library.get_vocab_size()
    library.add_special_tokens(["<extra>"])
    library.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer(tmp_path / "tokenizer.json", 16, 0).vocabulary_size == size + 1


@pytest.mark.parametrize("content", ["", "{", "{}", "[1, 2]", json.dumps({"model": {"type": "Nonsense"}})])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read"):
        Tokenizer(tmp_path / "tokenizer.json", 16, 0)


def test_binary_instead_of_a_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe\x00" * 50)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read"):
        Tokenizer(tmp_path / "tokenizer.json", 16, 0)


def test_real_tokenizers_equal_transformers(published_model: Path) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(published_model)
    ours = Tokenizer(published_model / "tokenizer.json", theirs.model_max_length, 0)
    ids = theirs(TEXTS, truncation=True)["input_ids"]
    assert [tokens.ids.tolist() for tokens in ours.encode(TEXTS)] == ids
