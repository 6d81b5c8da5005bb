from beige.documents.content import Heading
from beige.documents.prose import markdown, outline

TEXT = """\
---
title: not a heading
---

# Guide

Words.

```python
# no heading

x = 1
```

Underlined *title*
==================

## Closed ##

- # in a list

#NoSpace

Plain
---

    # indented code
"""


def titles(text: str) -> list[tuple[int, str]]:
    return [(heading.level, heading.title) for heading in outline(text).headings]


def test_headings_are_those_of_commonmark() -> None:
    assert titles(TEXT) == [
        (1, "Guide"), (1, "Underlined *title*"), (2, "Closed"), (1, "in a list"), (2, "Plain")
    ]  # fmt: skip


def test_a_heading_stands_where_the_outline_says() -> None:
    for line_end in ("\n", "\r\n", "\r"):
        content = markdown(TEXT.replace("\n", line_end).encode())
        shown = [content.text[heading.start : heading.end].strip() for heading in content.headings]
        assert shown == [
            "# Guide", f"Underlined *title*{line_end}==================", "## Closed ##", "- # in a list",
            f"Plain{line_end}---",
        ]  # fmt: skip
        (fence,) = content.solid
        assert content.text[slice(*fence)].strip() == line_end.join(["```python", "# no heading", "", "x = 1", "```"])


def test_nothing_to_find() -> None:
    assert outline("").headings == ()
    assert outline("#").headings == ()
    assert outline("no headings\n---\n---").headings == (Heading(0, 16, 2, "no headings"),)
