from beige.documents.chunk import Chunk, Locator


def chunk(text: str, *headings: str) -> Chunk:
    return Chunk(text, Locator(0, len(text), 1, 1, headings=headings))


def test_the_embedded_text_stands_below_its_heading_path() -> None:
    assert chunk("words").embedded_text == "words"
    assert chunk("words", "Guide", "Setup").embedded_text == "Guide > Setup\nwords"


def test_a_heading_in_the_passage_itself_is_not_repeated() -> None:
    assert chunk("## Setup ##\nwords", "Guide", "Setup").embedded_text == "Guide\n## Setup ##\nwords"
    assert chunk("# Guide\n\nSetup\n-----\nwords", "Guide", "Setup").embedded_text == "# Guide\n\nSetup\n-----\nwords"


def test_the_key_is_that_of_the_embedded_text() -> None:
    assert chunk("words", "Guide").key == chunk("Guide\nwords").key
    assert chunk("words", "Guide").key != chunk("words").key
    assert len(chunk("lone \ud800").key) == 64
