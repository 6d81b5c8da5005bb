"""`beige search`, as a program and as a person sees it."""

import json
import re
from pathlib import Path

import pytest

from tests import xlmr_checkpoints
from tests.documents import files


@pytest.fixture(scope="module")
def tiny_reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xlmr_checkpoints.tiny_reranker(tmp_path_factory.mktemp("reranker") / "tiny-reranker")


@pytest.fixture
def index(beige, here: Path, tiny_bert: Path) -> Path:
    (here / "docs").mkdir()
    (here / "docs/flow.md").write_text("# Flow\n\n## Boundary layers\n\nHeat flows from the plate.\n\nWater too.\n")
    (here / "docs/stone.txt").write_text("A stone in the river. " * 3 + "\n")
    (here / "docs/rows.jsonl").write_text('{"id": "one", "text": "the speed of light"}\n')
    files.pdf(here / "docs/paper.pdf", [["nothing here"], ["a wing and an engine"]])
    assert beige("index", "docs", "--model", tiny_bert).code == 0
    return here


def test_json(beige, index: Path) -> None:
    done = beige("search", "boundary layers of heat", "--json", "--limit", "3")
    assert done.code == 0
    said = json.loads(done.out)
    assert set(said) == {"query", "hits"}
    assert said["query"] == "boundary layers of heat"
    assert len(said["hits"]) == 3
    for hit in said["hits"]:
        assert set(hit) == {"score", "source", "locator", "text", "legs", "relevance"}
        assert 0 <= hit["relevance"] <= 1
        assert set(hit["locator"]) == {"start", "end", "line_start", "line_end", "page", "headings"}
        assert set(hit["legs"]) == {"dense", "bm25"}
        assert all(set(leg) == {"rank", "score"} for leg in hit["legs"].values())
    best = max(said["hits"], key=lambda hit: hit["legs"]["bm25"]["score"])
    assert (best["source"], best["legs"]["bm25"]["rank"]) == ("docs/flow.md", 1)
    assert best["locator"]["headings"] == ["Flow", "Boundary layers"]
    assert [hit["score"] for hit in said["hits"]] == sorted((hit["score"] for hit in said["hits"]), reverse=True)


def test_json_of_an_explanation(beige, index: Path) -> None:
    said = json.loads(beige("search", "heat of boundary layers", "--explain", "--join", "--group", "--json").out)
    hit = next(hit for hit in said["hits"] if hit["source"] == "docs/flow.md")
    assert set(hit) == {
        *("score", "source", "locator", "text", "legs", "relevance"),
        *("rank", "highlights", "sentences", "chunks", "others"),
    }
    assert set(hit["legs"]["bm25"]) == {"rank", "score", "weight", "trust", "words"}
    assert hit["legs"]["dense"]["weight"] == pytest.approx(0.6)
    words = {word["word"]: word["share"] for word in hit["legs"]["bm25"]["words"]}
    assert set(words) == {"heat", "boundary", "layers"}
    assert sum(words.values()) == pytest.approx(1)
    assert (hit["chunks"], hit["others"]) == (1, [])
    for sentence in hit["sentences"]:
        assert set(sentence) == {"start", "end", "document_start", "document_end"}
    text = (index / "docs/flow.md").read_text()
    assert "Heat flows from the plate." in [
        text[one["document_start"] : one["document_end"]].split("\n")[-1] for one in hit["sentences"]
    ]
    assert {hit["text"][start:end] for start, end in hit["highlights"]} >= {"Boundary", "layers", "Heat"}


def test_an_explanation_as_a_person_sees_it(beige, index: Path) -> None:
    shown = beige("search", "stone river", "--explain").out
    stone = shown[shown.index("docs/stone.txt") :].split("\n\n")[0]
    lines = [line.split() for line in stone.splitlines()]
    bm25 = next(line for line in lines if line[:2] == ["bm25", "#1"])
    assert bm25[3:5] == ["×", "0.40"]
    assert sorted(bm25[5:]) == sorted(["river", "50", "%,", "stone", "50", "%"])
    assert next(line for line in lines if line[:1] == ["says"])[1:5] == ["A", "stone", "in", "the"]
    assert {line[0] for line in lines} >= {"dense", "fused"}


def test_a_reranker_reads_the_best(beige, index: Path, tiny_reranker: Path) -> None:
    said = json.loads(beige("search", "stone river", "--rerank", tiny_reranker, "--rerank-depth", "2", "--json").out)
    assert (said["read"], said["late"]) == (2, 0)
    assert [hit["reranked"]["rank"] for hit in said["hits"]] == [1, 2, None, None, None]
    assert said["hits"][0]["reranked"]["score"] >= said["hits"][1]["reranked"]["score"]
    done = beige("search", "stone river", "--rerank", tiny_reranker, "--rerank-within", "0.001ms", "--explain")
    assert "the reranker read 2 of 5 candidates in time" in done.err
    assert done.out.count("not read") == 3


def test_nothing_relevant_is_an_answer(beige, index: Path) -> None:
    asked = ("search", "quarterly revenue", "--min-relevance")
    done = beige(*asked, "0.999", "--json")
    assert done.code == 0
    said = json.loads(done.out)
    assert (said["hits"], said["irrelevant"], said["nothing_relevant"]) == ([], 5, True)
    assert 0 <= said["best_relevance"] < 0.999
    shown = beige(*asked, "0.999").out
    assert shown.startswith("Nothing relevant found: the best of 5 candidates has a relevance of 0.")
    said = json.loads(beige("search", "stone river", "--min-relevance", "0.3", "--json").out)
    assert said["irrelevant"] + len(said["hits"]) == 5
    assert all(hit["relevance"] >= 0.3 for hit in said["hits"])
    assert said["nothing_relevant"] is False


def test_one_leg(beige, index: Path) -> None:
    said = json.loads(beige("search", "engine", "--legs", "bm25", "--json").out)
    assert [(hit["source"], hit["locator"]["page"], set(hit["legs"])) for hit in said["hits"]] == [
        ("docs/paper.pdf", 2, {"bm25"})
    ]
    assert said["hits"][0]["score"] == said["hits"][0]["legs"]["bm25"]["score"]
    assert len(json.loads(beige("search", "engine", "--legs", "dense", "--json").out)["hits"]) == 5


def test_a_person_sees_where_and_why(beige, index: Path) -> None:
    shown = beige("search", "stone river").out
    assert re.search(r"^\d\.\d{3}  docs/stone\.txt:1$", shown, re.MULTILINE)
    assert "A stone in the river." in shown
    shown = beige("search", "engine", "--legs", "bm25").out
    assert re.fullmatch(r"\d\.\d{3}  docs/paper\.pdf p\. 2\na wing and an engine\n\n", shown)
    shown = beige("search", "heat", "--legs", "bm25").out
    assert "docs/flow.md:1-7  Flow › Boundary layers\n# Flow\n## Boundary layers\nHeat flows from the plate.\n" in shown
    assert beige("search", "zebra", "--legs", "bm25").out == "Nothing found.\n"


def test_a_terminal_gets_links_and_marks(beige, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = beige("search", "stone river", "--legs", "bm25").out
    assert f"file://{index}/docs/stone.txt\x1b\\docs/stone.txt:1" in re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert re.search(r"A \x1b\[1;33mstone\x1b\[0m in the \x1b\[1;33mriver\x1b\[0m\.", shown)
    shown = beige("search", "light", "--legs", "bm25").out
    assert f"file://{index}/docs/rows.jsonl\x1b\\" in shown
    assert "docs/rows.jsonl#one" in shown


def test_lines_are_shown_where_they_are_the_files_own(beige, index: Path) -> None:
    (index / "docs/page.html").write_text("<html><body>" + "\n" * 50 + "<p>a zebra</p></body></html>")
    files.docx(index / "docs/letter.docx", [(0, "a zebra")])
    (index / "docs/rows.csv").write_text('id,text\none,"a\n\n\nzebra"\n')
    (index / "docs/code.py").write_text("\n\nzebra = 1\n")
    assert beige("index", "docs").code == 0
    shown = beige("search", "zebra", "--legs", "bm25").out
    places = re.findall(r"^\d\.\d{3}  (\S+)$", shown, re.MULTILINE)
    assert sorted(places) == ["docs/code.py:3", "docs/letter.docx", "docs/page.html", "docs/rows.csv#one"]


def test_marks_keep_their_place_and_documents_do_not_command_the_terminal(
    beige, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (index / "docs/dos.txt").write_bytes(b"one line of many words\r\n" * 3 + b"two\x1b[2J\r\nthe zebra\r\n")
    assert beige("index", "docs").code == 0
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = beige("search", "zebra", "--legs", "bm25").out
    assert "the \x1b[1;33mzebra\x1b[0m" in shown
    assert "two\ufffd[2J" in shown


def test_sources_are_named_from_the_current_folder(beige, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def names(*where: str) -> list[str]:
        return [hit["source"] for hit in json.loads(beige("search", "river light", "--json", *where).out)["hits"]]

    assert "docs/stone.txt" in names()
    monkeypatch.chdir(index / "docs")
    assert "stone.txt" in names("--index", "../.beige")
    (index / "docs/stone.txt").write_text("changed")
    (index / "docs/broken.pdf").write_bytes(b"%PDF-1.4 broken")
    done = beige("index", ".", "--index", "../.beige", "--json", "--verbose")
    assert json.loads(done.out)["documents"] == {"added": 0, "updated": 1, "unchanged": 3, "removed": 0, "failed": 1}
    assert done.err.splitlines()[0] == "stone.txt"
    assert done.err.splitlines()[1].startswith("beige: broken.pdf was not indexed")
    monkeypatch.chdir("/")
    assert f"{index}/docs/stone.txt".removeprefix("/") in names("--index", f"{index}/.beige")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["  "], "the query is empty"),
        (["x", "--legs", "dense,sparse"], "no leg 'sparse'; the index has dense, bm25"),
        (["x", "--legs", ","], "no leg to search"),
        (["x", "--limit", "-1"], "from 1 to 1000, not -1"),
        (["x", "--limit", "1000000"], "from 1 to 1000, not 1000000"),
        (["x", "--index", "nowhere"], "there is no index in nowhere"),
        (["x", "--rerank", "nothing-of-that-name"], "nothing-of-that-name"),
        (["x", "--rerank-within", "300ms"], "there is no reranker to read candidates"),
        (["x", "--rerank-depth", "3"], "there is no reranker to read candidates"),
        (["x", "--rerank", "none", "--rerank-within", "300ms"], "there is no reranker to read candidates"),
        (["x", "--rerank", "r", "--rerank-within", "soon"], "a time such as 300ms or 2s, not 'soon'"),
        (["x", "--rerank", "r", "--rerank-within", "-3s"], "a time such as 300ms or 2s, not '-3s'"),
        (["x", "--rerank", "r", "--rerank-within", "0ms"], "more than 0 seconds"),
        (["x", "--rerank", "r", "--rerank-depth", "0"], "--rerank-depth must be 1 or more, not 0"),
        (["x", "--rerank", "r", "--rerank-depth", "1001"], "from 0 to 1000 candidates, not 1001"),
        (["x", "--diversity", "2"], "diversity must be from 0 to 1"),
        (["x", "--min-relevance", "-1"], "min_relevance must be from 0 to 1"),
    ],
)
def test_errors_are_one_sentence(beige, index: Path, arguments: list[str], said: str) -> None:
    done = beige("search", *arguments)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(rf"beige: .*{re.escape(said)}.*\n", done.err)


def test_an_argument_is_any_bytes(beige, index: Path) -> None:
    assert json.loads(beige("search", "stone \udcff", "--json").out)["query"] == "stone \ufffd"


def test_a_query_that_is_cut_is_said(beige, index: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert json.loads(beige("search", "stone " * 500, "--json").out)["hits"]
    assert "the query has 502 tokens" in caplog.text


def test_filters_and_facets(beige, index: Path) -> None:
    said = json.loads(
        beige("search", "a plate, stone and light", "--filter", "-path:*.txt type:md,jsonl", "--json").out
    )
    assert {hit["source"] for hit in said["hits"]} == {"docs/flow.md", "docs/rows.jsonl#one"}
    assert "facets" not in said
    said = json.loads(beige("search", "wing", "--filter", "page>1", "--facet", "type", "--facet", "page", "--json").out)
    assert [(hit["source"], hit["locator"]["page"]) for hit in said["hits"]] == [("docs/paper.pdf", 2)]
    assert said["facets"] == {"type": {"pdf": 1}, "page": {"2": 1}}
    shown = beige("search", "zebra", "--legs", "bm25", "--facet", "type").out
    assert shown == "Nothing found.\ntype  markdown 1, pdf 1, record 1, text 1\n"


def test_a_filter_that_nothing_passes_finds_nothing(beige, index: Path) -> None:
    done = beige("search", "light", "--filter", "type:epub")
    assert (done.code, done.out) == (0, "Nothing found.\n")


def test_wrong_filters_are_pointed_at(beige, index: Path) -> None:
    done = beige("search", "light", "--filter", "type:md pth:docs/**")
    assert done.code == 2
    assert done.err == (
        "beige: the filter, column 9: no field 'pth'; did you mean path?\n  type:md pth:docs/**\n          ^\n"
    )
    for options in (["--filter", "modified>soon"], ["--facet", "colour"], ["--facet", "path"], ["--filter", "\udcff"]):
        done = beige("search", "light", *options)
        assert (done.code, done.out) == (2, "")


def test_paths_are_seen_from_the_current_folder(beige, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(where: str) -> set[str]:
        said = json.loads(beige("search", "light", "--index", index / ".beige", "--filter", where, "--json").out)
        return {hit["source"] for hit in said["hits"]}

    odd = index / "docs/[a] b"
    odd.mkdir()
    (odd / "c.txt").write_text("light")
    assert beige("index", "docs").code == 0
    assert found("path:docs/*.md") == found("path:./docs/flow.*") == {"docs/flow.md"}
    assert found("path:docs/rows.jsonl#one") == {"docs/rows.jsonl#one"}
    monkeypatch.chdir(index / "docs")
    assert found("path:./*.md") == found("path:*.md") == found(f"path:{index}/docs/*.md") == {"flow.md"}
    assert found("path:docs/*.md") == set()
    assert found("-(path:../docs/*.* OR path:**/c.txt)") == set()
    monkeypatch.chdir(odd)
    assert found("path:./c.txt") == {"c.txt"}
    monkeypatch.chdir(index.parent)
    assert found(f"path:{index.name}/docs/flow.md") == {str(index / "docs/flow.md").removeprefix(f"{index.parent}/")}
    assert found("path:docs/") == found("path:docs") != set()
