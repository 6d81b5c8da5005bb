import itertools
import random

import pytest

from beige.analyser import Analyser, Word
from beige.search.sentences import MOST, split, telling

SCRIPTS = {
    "latin": (["Stones lie in rivers.", "Dr. Smith saw 3.5 of them!", "Why?"], " "),
    "han": (["今天天气很好。", "我们去公园吧！", "好吗？"], ""),
    "arabic": (["هذا كتاب.", "أين القلم؟", "نعم!"], " "),
    "devanagari": (["यह एक किताब है।", "वह कहाँ है?"], " "),
    "greek": (["Ο ποταμός είναι βαθύς.", "Πού είναι;"], "\n\n"),
    "astral": (["𝒜 🦓 runs.", "🦓 rests."], " "),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_sentences_of_a_script(script: str) -> None:
    sentences, between = SCRIPTS[script]
    text = between.join(sentences)
    assert [text[start:end] for start, end in split(text)] == sentences


@pytest.mark.parametrize("seed", range(20))
def test_every_character_but_blanks_is_in_exactly_one_sentence(seed: int) -> None:
    chance = random.Random(seed)
    pieces = [one for sentences, _ in SCRIPTS.values() for one in sentences] + [
        "\n\n",
        " ",
        "no end",
        "\t",
        "x" * 500,
        "é" * 1500,
    ]
    text = " ".join(chance.choices(pieces, k=chance.randrange(60)))
    spans = split(text)
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    covered = {place for span in spans for place in range(*span)}
    assert {place for place, letter in enumerate(text) if not letter.isspace()} <= covered


def test_the_sentences_with_the_weight_of_the_words_are_chosen() -> None:
    analyser = Analyser()
    text = "The plate is here. A boundary layer flows. The layer is thin. Heat leaves the boundary and the wing."
    query = "boundary layer flow wing the"
    words = analyser.words(text, analyser.counts(query))
    weight = {word.id: 4.0 if word.token == "wing" else 0.01 if word.token == "the" else 2.0 for word in words}
    chosen = telling(split(text), words, weight)
    assert [text[start:end] for start, end in chosen] == [
        "A boundary layer flows.",
        "Heat leaves the boundary and the wing.",
    ]


@pytest.mark.parametrize("seed", range(10))
def test_the_first_choice_is_the_heaviest_and_each_more_adds(seed: int) -> None:
    chance = random.Random(seed)
    spans = [(start, start + 10) for start in range(0, 80, 10)]
    words = [Word(str(n), n, place, place + 2) for n, place in ((chance.randrange(6), p) for p in range(0, 78, 3))]
    weights = {n: chance.random() for n in range(6)}
    held = {span: {word.id for word in words if span[0] <= word.start < span[1]} for span in spans}
    chosen = telling(spans, words, weights)
    assert 1 <= len(chosen) <= MOST
    assert chosen == sorted(chosen)
    heaviest = max(sum(weights[each] for each in held[span]) for span in spans)
    assert any(sum(weights[each] for each in held[span]) == heaviest for span in chosen)


def test_without_words_no_sentence_tells() -> None:
    assert telling(split("One. Two."), [], {}) == []
    assert telling([], [], {}) == []
