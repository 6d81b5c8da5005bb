import re

import pytest

from beige.documents.html import html, page

PAGE = """<!doctype html><html><head><title>My  title</title><style>css{}</style>
<script>if (a<b) dropped()</script></head>
<body><header>headerword <a href="/x">linkword</a></header><nav>navword<h2>Menu</h2></nav><aside>asideword</aside>
<h1>Top <em>em</em> &amp; more</h1>bareword in body
<div>divword <span>spanword</span><div>inner_word b</div></div>
<dl><dt>termword</dt><dd>defword</dd></dl><details><summary>sumword</summary>detailword</details>
<blockquote><p>quoteword</p></blockquote><ol><li>oneword<ul><li>nestedword</li></ul></li></ol>
<h2>Sub</h2><table><caption>capword</caption><tr><th>H1word</th><td>cellword</td></tr></table>
<pre>code  word
    indented</pre><figure><figcaption>figword</figcaption></figure><svg><text>drawn</text></svg>
<footer>footword</footer><h3><svg/>Deep</h3>joi<b>ned</b>word<br>brokenword</body></html>"""


def test_no_word_of_the_page_is_lost_and_nothing_else_gained() -> None:
    text = page(PAGE).text
    wanted = set(re.findall(r"\w*word\b", re.sub(r"<nav>.*</nav>", "", PAGE).replace("<b>", "").replace("</b>", "")))
    assert wanted <= set(text.split())
    assert len(wanted) > 20
    for dropped in ("navword", "css", "dropped", "drawn", "title", "Menu", "<"):
        assert dropped not in text


def test_headings_with_their_levels_and_places() -> None:
    content = page(PAGE)
    assert [(h.level, h.title) for h in content.headings] == [(1, "Top em & more"), (2, "Sub"), (3, "Deep")]
    for heading in content.headings:
        assert " ".join(content.text[heading.start : heading.end].split()) == heading.title


def test_blocks_are_apart_and_preformatted_text_keeps_its_shape() -> None:
    text = page(PAGE).text
    assert "code  word\n    indented" in text
    assert "Sub\n\n" in text
    assert "joinedword\nbrokenword" in text
    assert "\n\n\n" not in text


def test_the_title_stands_for_a_missing_top_heading() -> None:
    content = page("<title>Name of it</title><h2>Sub</h2>words")
    assert [(h.level, h.title, h.start == h.end) for h in content.headings] == [
        (0, "Name of it", True), (2, "Sub", False)
    ]  # fmt: skip


@pytest.mark.parametrize("tag", ["nav", "svg", "template", "noscript"])
def test_an_element_that_never_closes_does_not_swallow_the_page(tag: str) -> None:
    assert page(f"<p>before</p><{tag}><p>after</p>").text.split() == ["before", "after"]


def test_links_of_headings_to_themselves_are_dropped() -> None:
    content = page('<h1>C#<a class="headerlink" href="#c">¶</a></h1><h2>Go<a href="#go">#</a></h2><a href="/x">#</a>')
    assert [h.title for h in content.headings] == ["C#", "Go"]
    assert content.text.split() == ["C#", "Go", "#"]


def test_broken_markup() -> None:
    assert page("</div></nav></h1><h1>open <p>x < y & z &copy; &#xD800; <unknown>").text.split() == [
        "open", "x", "<", "y", "&", "z", "©", "\ufffd"
    ]  # fmt: skip
    assert page("").text == ""
    assert page("<h1></h1><h2> </h2>").headings == ()


def test_the_declared_encoding_is_used() -> None:
    text = '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-2"><p>Żółć</p>'
    assert html(text.encode("iso-8859-2")).text.strip() == "Żółć"


def test_200000_nested_divs_keep_their_word() -> None:
    assert page("<div>" * 200_000 + "deep" + "</div>" * 200_000).text.strip() == "deep"
