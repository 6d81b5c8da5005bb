from beige.documents.content import Blocks, Content, Heading, storable


def test_storable_keeps_every_other_character_in_its_place() -> None:
    text = "a\x00b\ud800c😀\udfff"
    assert storable(text) == "a\ufffdb\ufffdc😀\ufffd"
    assert storable("plain") == "plain"


def test_blocks_note_where_headings_and_pages_begin() -> None:
    blocks = Blocks()
    blocks.title("Outer")
    blocks.page()
    blocks.add(" One\n two ", level=2)
    blocks.add("\n ")
    blocks.add("text")
    blocks.page()
    blocks.append(Content("# In\n", (Heading(0, 4, 1, "In"),)), level=2)
    blocks.title(" ")
    content = blocks.content()
    assert content.text == "One\n two\n\ntext\n\n# In\n\n\n"
    assert content.pages == (0, 16)
    assert content.headings == (Heading(0, 0, 1, "Outer"), Heading(0, 8, 2, "One two"), Heading(16, 20, 3, "In"))
