"""The spelling of systems."""

from pathlib import Path

import pytest

from beige.errors import UsageError
from beige.evaluate.systems import Model, System, parse_all


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("bge-small-en-v1.5", Model("beige", "bge-small-en-v1.5")),
        ("BAAI/bge-m3", Model("beige", "BAAI/bge-m3")),
        ("st:all-MiniLM-L6-v2", Model("st", "all-MiniLM-L6-v2")),
        ("openai:text-embedding-3-small", Model("openai", "text-embedding-3-small")),
        ("cohere:embed-v4.0", Model("cohere", "embed-v4.0")),
        ("voyage:voyage-4", Model("voyage", "voyage-4")),
        ("http://localhost:8080/v1#bge", Model("server", "bge", "http://localhost:8080/v1")),
        ("https://host/v1/#org/a%2Bb", Model("server", "org/a+b", "https://host/v1")),
        ("dense", Model("index", "dense")),
        ("bge-m3,precision=fp32", Model("beige", "bge-m3", precision="fp32")),
        ("bge-m3,instruction=none", Model("beige", "bge-m3", instruction="")),
        ("bge-m3, instruction=a%2C b: ", Model("beige", "bge-m3", instruction="a, b: ")),
    ],
)
def test_a_model(text: str, model: Model):
    system = System.parse(text)
    assert system.model == model
    assert not system.words
    assert system.name == text


def test_words_alone():
    assert System.parse("bm25") == System("bm25", None, words=True)


def test_a_composition():
    system = System.parse(
        "bm25+bge-small-en-v1.5,rerank=bge-reranker-base,fusion=reciprocal,vectors=int8,dimensions=64"
    )
    assert system == System(
        system.name,
        Model("beige", "bge-small-en-v1.5"),
        words=True,
        fusion="reciprocal",
        rerank="bge-reranker-base",
        vectors="int8",
        dimensions=64,
    )


def test_a_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a+b", "c,d", "openai:x"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("a+b", "c,d", "openai:x"):
        assert System.parse(name).model == Model("beige", name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a leg's name is missing"),
        ("bge-m3+", "a leg's name is missing"),
        ("a+b", "has 2 models"),
        ("bm25+bm25", "bm25 twice"),
        ("http://host/v1", r"write http://host/v1#MODEL"),
        ("openai:", "write openai:MODEL"),
        ("google:x", "nothing is called 'google'; there are st:MODEL, openai:MODEL"),
        ("bm25,rerank", "no option 'rerank'"),
        ("bm25,rerank=", "no option 'rerank='"),
        ("bm25,speed=1", "no option 'speed=1'; there are rerank=…"),
        ("bm25,vectors=int8", "has no vectors"),
        ("bm25,dimensions=8", "has no vectors"),
        ("bge-m3,vectors=int4", "there are float32, float16, int8, binary"),
        ("bge-m3,dimensions=0", "a whole number from 1"),
        ("bge-m3,dimensions=many", "a whole number from 1"),
        ("bge-m3,fusion=convex", "nothing to fuse"),
        ("bge-m3+bm25,fusion=magic", "there are convex, reciprocal"),
        ("openai:x,precision=int8", "not ours to choose"),
        ("dense,instruction=none", "name its model"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str):
    with pytest.raises(UsageError, match=says):
        System.parse(text)


def test_no_system_stands_twice():
    assert [system.name for system in parse_all(["bm25", "bge-m3"])] == ["bm25", "bge-m3"]
    with pytest.raises(UsageError, match="bm25 stands twice"):
        parse_all(["bm25", "bge-m3", "bm25"])
