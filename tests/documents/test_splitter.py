import csv
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from beige.documents.chunk import Chunk
from beige.documents.content import Content, Heading
from beige.documents.prose import outline
from beige.documents.splitter import Splitter
from beige.errors import UsageError

SAMPLE = (
    "Boundary layer flow over a heated plate; Dr. Smith et al. 信息检索是找到相关内容。 def f(x): return {x: 1}\n" * 20
)


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    tokenizer.train_from_iterator([SAMPLE], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A <s>", special_tokens=[("<s>", 0)])
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([SAMPLE], trainer)
    return tokenizer


@pytest.fixture(scope="module", params=["wordpiece", "byte-level", "unigram"])
def tokenizer_file(request: pytest.FixtureRequest, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "wordpiece":
        return tokenizer
    path = tmp_path_factory.mktemp("tokenizers") / f"{request.param}.json"
    {"byte-level": byte_level, "unigram": unigram}[request.param]().save(str(path))
    return path


@pytest.fixture(scope="module")
def splitter(tokenizer_file: Path) -> Splitter:
    return Splitter(tokenizer_file, 32)


@pytest.fixture(scope="module")
def plain(tokenizer: Path) -> Splitter:
    return Splitter(tokenizer, 64)


def check(content: Content, chunks: tuple[Chunk, ...]) -> None:
    """What holds of every split: places, lines and pages are right, and every inked character is in one chunk."""
    text, end = content.text, 0
    for chunk in chunks:
        place = chunk.locator
        assert text[place.start : place.end] == chunk.text
        assert chunk.text.strip()
        assert place.start >= end
        assert not text[end : place.start].strip(), "nothing but whitespace lies between two chunks"
        end = place.end
        assert place.line_start == text.count("\n", 0, place.start) + 1
        assert place.line_end == place.line_start + chunk.text.count("\n")
        assert place.page == (sum(page <= place.start for page in content.pages) or None)
    assert not text[end:].strip()


WRITING = st.lists(
    st.one_of(
        st.sampled_from(
            ["word ", "boundary layer flow. ", "\n", "\n\n", "    ", "信息检索。", "e\u0301", "👩\u200d👩\u200d👧",
             "🇫🇷", "\r\n", "- item\n", "1. item\n", "x" * 300, " " * 100, "Dr. Smith said. ", "؟ مرحبا ", "\u00a0", "…",
             "]);\n"]
        ),
        st.text(max_size=8),
    ),
    max_size=60,
).map("".join)  # fmt: skip


@given(text=WRITING, code=st.booleans(), data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_character_is_in_one_chunk(splitter: Splitter, text: str, code: bool, data: st.DataObject) -> None:
    places = st.integers(0, len(text))
    starts = sorted(data.draw(st.lists(places, max_size=4)))
    headings = tuple(Heading(at, at, data.draw(st.integers(1, 3)), f"title {at}") for at in starts)
    pages = tuple(sorted({0, *data.draw(st.lists(places, max_size=3))})) if data.draw(st.booleans()) else ()
    content = Content(text, headings, pages)
    chunks = splitter.split(content, code)
    check(content, chunks)
    assert splitter.split(content, code) == chunks, "the same text gives the same chunks"


@given(text=WRITING)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_chunk_is_larger_than_it_may_be(tokenizer_file: Path, splitter: Splitter, text: str) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_truncation()
    text = "".join(c for c in text if not "\ud800" <= c <= "\udfff")
    for chunk in splitter.split(Content(text, (Heading(0, 0, 1, "layer"),))):
        # A cut inside a word can cost a token more, when its parts are no longer tokens together.
        assert len(tokenizer.encode(chunk.embedded_text)) <= 32 + 4
        assert len(chunk.text) <= 32 * 16


def test_sizes_are_even_and_near_the_limit(plain: Splitter) -> None:
    chunks = plain.split(Content("water stone river. " * 400))
    counts = [chunk.text.count(" ") for chunk in chunks]
    assert max(counts) - min(counts) <= 4
    assert 1600 / 64 <= len(chunks) <= 1600 / 64 * 1.25


def test_sentences_and_paragraphs_stay_whole(plain: Splitter) -> None:
    sentences = [f"The wing of the engine number {n} is on the plate at this speed." for n in range(40)]
    for between in (" ", "\n\n", "\n"):
        for chunk in plain.split(Content(between.join(sentences))):
            assert chunk.text.startswith("The wing")
            assert chunk.text.endswith("speed.")


def test_chinese_is_cut_between_sentences(plain: Splitter) -> None:
    chunks = plain.split(Content("信息检索是在文本中查询的学习。" * 50))
    assert len(chunks) > 10
    assert all(chunk.text.endswith("。") for chunk in chunks)


def test_words_and_characters_are_not_cut(splitter: Splitter) -> None:
    for chunk in splitter.split(Content("paper engine " * 200)):
        assert set(chunk.text.split()) <= {"paper", "engine"}
    for unit in ("e\u0301\u0302", "👩\u200d👩\u200d👧", "👍🏽", "क्षि"):
        for chunk in splitter.split(Content(unit * 300)):
            assert unicodedata.category(chunk.text[0])[0] != "M"
            assert chunk.text[0] not in "\u200d🏽"
            assert chunk.text[-1] != "\u200d"


def test_code_is_cut_before_functions_and_keeps_its_indentation(plain: Splitter) -> None:
    function = "def flow(a):\n    b = [\n        a,\n    ]\n\n    return b\n"
    chunks = plain.split(Content("\n\n".join([function] * 12)), code=True)
    assert len(chunks) > 3
    assert all(chunk.text.startswith("def flow") for chunk in chunks)
    method = "    def heat(self):\n        return self.plate\n"
    chunks = plain.split(Content("class Wing:\n" + "\n".join([method] * 20)), code=True)
    assert all(chunk.text.startswith(("class", "    def heat")) for chunk in chunks)


def test_fenced_code_stays_whole_where_it_can(plain: Splitter) -> None:
    fence = "```\na = 1\n\nb = 2\n\nc = 3\n```"
    text = "\n\n".join(["The river on the stone of the mountain.", fence] * 12)
    for chunk in plain.split(outline(text)):
        assert chunk.text.count("```") % 2 == 0


def test_chunks_carry_their_heading_path_and_headings_stay_with_their_text(plain: Splitter) -> None:
    content = outline("top\n# A\n## B\nunder b\n### C\n# D\n## E\n#### F\nunder f\n## G\nunder g")
    chunks = plain.split(content)
    check(content, chunks)
    assert [(chunk.text, chunk.locator.headings) for chunk in chunks] == [
        ("top", ()),
        ("# A\n## B\nunder b", ("A", "B")),
        ("### C", ("A", "B", "C")),
        ("# D\n## E\n#### F\nunder f", ("D", "E", "F")),
        ("## G\nunder g", ("D", "G")),
    ]


def test_the_embedded_text_has_each_heading_once(plain: Splitter) -> None:
    chunks = plain.split(outline("# Wing\n\n## Flow ##\n\n" + "water on the plate. " * 40))
    assert len(chunks) > 2
    assert chunks[0].embedded_text == chunks[0].text
    assert chunks[1].embedded_text == "Wing > Flow\n" + chunks[1].text


def test_a_heading_path_takes_no_more_than_half_a_chunk(plain: Splitter) -> None:
    long = "water " * 100
    headings = (Heading(0, 0, 1, "outer " * 20), Heading(0, 0, 2, "middle"), Heading(0, 0, 3, "inner"))
    (chunk,) = plain.split(Content("text", headings))
    assert chunk.locator.headings == ("middle", "inner")
    (chunk,) = plain.split(Content("text", (Heading(0, 0, 1, long),)))
    (title,) = chunk.locator.headings
    assert title.startswith("water water")
    assert title.endswith("…")
    assert title.count("water") == 31


def test_pages_are_never_crossed(plain: Splitter) -> None:
    text = "one two. \n\nthree four."
    content = Content(text, pages=(0, text.index("three")))
    assert [(chunk.text, chunk.locator.page) for chunk in plain.split(content)] == [("one two.", 1), ("three four.", 2)]


@pytest.mark.parametrize("unit", ["a", "word ", "{},", "信", "e\u0301", " ", "\n", "a\n", "# ", "\u200d", "\u0301"])
def test_much_of_one_thing(plain: Splitter, unit: str) -> None:
    content = Content(unit * (200_000 // len(unit)) + "end")
    check(content, plain.split(content))


def test_nothing_gives_nothing(plain: Splitter) -> None:
    for text in ("", " ", "\n\t \u00a0\n"):
        assert plain.split(Content(text, pages=(0,))) == ()


def test_too_small_a_chunk_is_refused(tokenizer: Path) -> None:
    with pytest.raises(UsageError, match="chunks of 9 tokens leave no room"):
        Splitter(tokenizer, 9)


def test_answers_stay_whole_in_real_documents(shared_data: Path, bge_small: Path) -> None:
    folder = shared_data / "rag" / "chunking_evaluation"
    splitter = Splitter(bge_small / "tokenizer.json")
    chunks, spans, whole = {}, 0, 0
    for path in (folder / "corpora").iterdir():
        content = outline(path.read_text(encoding="utf-8"))
        chunks[path.stem] = splitter.split(content)
        check(content, chunks[path.stem])
    with (folder / "questions_df.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for span in json.loads(row["references"]):
                spans += 1
                whole += any(
                    chunk.locator.start <= span["start_index"] and span["end_index"] <= chunk.locator.end
                    for chunk in chunks[row["corpus_id"]]
                )
    assert spans == 790
    assert whole / spans >= 0.97
