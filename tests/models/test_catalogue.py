"""The catalogue agrees with itself and with what is known of the family, and finds what a person means."""

import re
import string

import pytest

from beige.errors import ModelNotFoundError
from beige.models.card import ModelCard
from beige.models.catalogue import CATALOGUE, find_card

EVERY = pytest.mark.parametrize("card", CATALOGUE, ids=lambda card: card.name)

FAMILY = {
    *(
        f"bge-{size}-{language}{version}"
        for size in ("small", "base", "large")
        for language in ("en", "zh")
        for version in ("", "-v1.5")
    ),
    *("bge-m3", "bge-m3-unsupervised", "bge-m3-retromae"),
    *("bge-en-icl", "bge-multilingual-gemma2", "bge-code-v1", "bge-reasoner-embed-qwen3-8b-0923"),
    *("bge-reranker-base", "bge-reranker-large", "bge-reranker-v2-m3", "bge-reranker-v2-gemma"),
    *("bge-reranker-v2-minicpm-layerwise", "bge-reranker-v2.5-gemma2-lightweight"),
    *("bge-visualized-base-en-v1.5", "bge-visualized-m3", "bge-vl-base", "bge-vl-large"),
    *("e5-small-v2", "all-MiniLM-L6-v2"),
}


def test_it_holds_the_whole_family_and_two_rivals() -> None:
    assert {card.name for card in CATALOGUE} == FAMILY


def test_no_two_cards_answer_to_one_name() -> None:
    names = [name.casefold() for card in CATALOGUE for name in (card.name, *card.aliases)]
    assert len(names) == len(set(names))


@EVERY
def test_an_embedder_has_what_a_vector_needs_and_a_reranker_has_not(card: ModelCard) -> None:
    embeds = card.kind == "embedder"
    assert bool(card.outputs) == embeds
    assert bool(card.dimension) == embeds
    assert set(card.templates) == ({"query", "document"} if embeds else set())
    assert (card.pooling is not None) == (embeds and card.architecture != "clip")


@EVERY
def test_sizes_are_plausible(card: ModelCard) -> None:
    assert card.parameters > 20_000_000
    assert 77 <= card.max_tokens <= 32768
    assert card.size == card.parameters * card.width
    assert card.width in {2, 4}


@EVERY
def test_templates_have_the_text_and_known_placeholders_only(card: ModelCard) -> None:
    for template in card.templates.values():
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
        assert fields.count("text") == 1
        assert set(fields) <= {"text", "task", "examples"}


@EVERY
def test_what_maven_has_is_pinned_by_digests(card: ModelCard) -> None:
    if card.maven is None:
        assert card.name not in {
            "bge-small-en-v1.5",
            "bge-small-en",
            "bge-small-zh-v1.5",
            "e5-small-v2",
            "all-MiniLM-L6-v2",
        }
        return
    assert re.fullmatch(r"[\w.]+:[\w.-]+:[\w.-]+", card.maven.artifact)
    for digest in (card.maven.onnx, card.maven.tokenizer):
        assert re.fullmatch(r"[0-9a-f]{64}", digest)
    assert card.dimension is not None
    assert card.dimension % card.maven.heads == 0


@EVERY
def test_every_card_is_found_by_its_names_in_any_case(card: ModelCard) -> None:
    for name in (card.name, card.name.upper(), f" {card.name} ", *card.aliases):
        assert find_card(name) is card


def test_a_repository_of_one_checkpoint_is_a_name_too() -> None:
    assert find_card("BAAI/bge-small-en-v1.5").name == "bge-small-en-v1.5"
    assert find_card("intfloat/e5-small-v2").name == "e5-small-v2"
    with pytest.raises(ModelNotFoundError):
        find_card("BAAI/bge-visualized")  # two checkpoints share it


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("bge-smal-en-v1.5", "bge-small-en-v1.5"),
        ("bge-small-en-v15.", "bge-small-en-v1.5"),
        ("BAAI/bge_m3", "bge-m3"),
        ("miniLM-L6-v2", "all-MiniLM-L6-v2"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(wrong: str, meant: str) -> None:
    with pytest.raises(ModelNotFoundError, match=re.escape(wrong)) as caught:
        find_card(wrong)
    assert meant in str(caught.value)
    assert "beige models" in str(caught.value)


def test_a_name_like_none_suggests_nothing() -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        find_card("zzzzzzzz")
    assert "did you mean" not in str(caught.value)


def test_the_published_instructions_stand_before_queries_alone() -> None:
    assert (
        find_card("bge-base-en").templates["query"] == "Represent this sentence for searching relevant passages: {text}"
    )
    assert find_card("bge-small-zh-v1.5").templates["query"] == "为这个句子生成表示以用于检索相关文章：{text}"
    assert find_card("bge-small-zh-v1.5").templates["document"] == "{text}"
    assert find_card("e5-small-v2").templates == {"query": "query: {text}", "document": "passage: {text}"}
    assert find_card("bge-en-icl").templates["query"] == "{examples}<instruct>{task}\n<query>{text}\n<response>"
    assert find_card("bge-multilingual-gemma2").templates["query"] == "<instruct>{task}\n<query>{text}"
