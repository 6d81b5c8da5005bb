"""What stands around queries: tasks, named prompts, examples, and the end of a template that no cut takes."""

import dataclasses

import numpy as np
import pytest

from beige.embedder import Embedder
from beige.errors import UsageError
from beige.instructions import Example
from beige.models.checkpoint import open_checkpoint, open_folder
from tests import checkpoints, decoder_checkpoints, family

pytest.importorskip("torch")

TASK = "Given a web search query, retrieve relevant passages that answer the query."
STS = "Retrieve semantically similar text."


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    return family.stand_ins(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def named(hub, monkeypatch):
    """Models of the family by their names, as tiny stand-ins."""
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    return lambda name, **more: Embedder(name, device="cpu", precision="fp32", **more)


@pytest.mark.parametrize(
    ("name", "more", "prefix", "suffix"),
    [
        ("bge-en-icl", {}, f"<instruct>{TASK}\n<query>", "\n<response>"),
        ("bge-en-icl", {"instruction": "Find {it}"}, "<instruct>Find {it}\n<query>", "\n<response>"),
        (
            "bge-en-icl",
            {"prompt": "sts_query"},
            "<instruct>Retrieve semantically similar text.\n<query>",
            "\n<response>",
        ),
        (
            "bge-en-icl",
            {"instruction": "T", "examples": [Example("a", "b"), Example("c", "d", "U")]},
            "<instruct>T\n<query>a\n<response>b\n\n<instruct>U\n<query>c\n<response>d\n\n<instruct>T\n<query>",
            "\n<response>",
        ),
        ("bge-multilingual-gemma2", {}, f"<instruct>{TASK}\n<query>", ""),
        ("bge-reasoner-embed-qwen3-8b-0923", {"instruction": "T"}, "Instruct: T\nQuery: ", ""),
        ("bge-code-v1", {"instruction": "a {text} b"}, "a ", " b"),
        ("bge-code-v1", {"instruction": ""}, "<instruct>\n<query>", ""),
        ("bge-m3", {"instruction": "query: "}, "query: ", ""),
    ],
)
def test_what_stands_around_a_query(named, name, more, prefix, suffix):
    embedder = named(name, **more)
    assert embedder.affixes == {"query": (prefix, suffix), "document": ("", "")}
    query = embedder.encode_query("what is light").dense
    assert np.allclose(query, embedder.encode_document(prefix + "what is light" + suffix).dense, atol=1e-5)
    assert not np.allclose(query, embedder.encode_document("what is light").dense, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("bge-m3", {"examples": [Example("a", "b")]}, "takes no examples"),
        ("bge-multilingual-gemma2", {"examples": [Example("a", "b")]}, "takes no examples"),
        ("bge-en-icl", {"instruction": "a {text} b", "examples": [Example("a", "b")]}, "takes no examples"),
        ("bge-en-icl", {"instruction": "a {text} {query}"}, r"placeholder \{query\}"),
        ("bge-en-icl", {"prompt": "sts"}, "no prompt 'sts', only web_search_query, sts_query, summarization_query"),
        ("bge-m3", {"prompt": "web"}, "no prompt 'web', nor any other"),
        ("bge-en-icl", {"prompt": "sts_query", "instruction": "x"}, "both given"),
    ],
)
def test_what_is_not_understood_is_refused(named, name, more, said):
    with pytest.raises(UsageError, match=said):
        named(name, **more)


def test_the_files_prompts_are_named_too(tmp_path):
    folder = checkpoints.tiny_bert(tmp_path / "model")
    checkpoints.write_json(
        folder / "config_sentence_transformers.json", {"prompts": {"query": "q: ", "code": "find {code}: ", "none": ""}}
    )
    assert Embedder(folder).affixes["query"] == ("q: ", "")
    assert Embedder(folder, prompt="code").affixes["query"] == ("find {code}: ", "")
    with pytest.raises(UsageError, match="no prompt 'none', only query, code"):
        Embedder(folder, prompt="none")


def test_a_task_that_nobody_gives_is_asked_for(tmp_path):
    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", "qwen2")
    checkpoint = dataclasses.replace(open_folder(folder), templates={"query": "{task}: {text}", "document": "{text}"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("beige.embedder.open_kind", lambda *_: checkpoint)
        with pytest.raises(UsageError, match="give the task as instruction"):
            Embedder(folder)
        assert Embedder(folder, instruction="T", precision="fp32").affixes["query"] == ("T: ", "")


def test_a_cut_query_keeps_the_end_of_its_template(named):
    embedder = named("bge-en-icl", max_tokens=128)
    tokenizer = embedder.checkpoint.tokenizer()
    tail = [*tokenizer.bare(["\n<response>"])[0], 2]  # and EOS
    assert tail == tokenizer.encode(["x\n<response>"])[0].ids[-len(tail) :].tolist()
    prefix, suffix = embedder.affixes["query"]
    (cut,) = tokenizer.encode([prefix + "light " * 300 + suffix], suffix)
    assert cut.truncated
    assert len(cut.ids) == 128
    assert cut.ids[-len(tail) :].tolist() == tail
    assert embedder.encode_query("light " * 300).truncated
    (whole,) = tokenizer.encode([prefix + "light" + suffix], suffix)
    assert whole.ids.tolist() == tokenizer.encode([prefix + "light" + suffix])[0].ids.tolist()


def test_tokenizer_configurations_flags_are_obeyed(tmp_path):
    """BGE's Mistral and Gemma end every text with EOS by a flag that `tokenizer.json` may know nothing of."""
    import json

    folder = decoder_checkpoints.tiny_decoder(tmp_path / "model", "qwen2")
    plain = decoder_checkpoints.byte_tokenizer(bos=False, eos=False)
    plain.save(str(folder / "tokenizer.json"))
    assert open_checkpoint(folder).tokenizer().encode(["a"])[0].count == 1
    file = folder / "tokenizer_config.json"
    stated = json.loads(file.read_text())
    for more, ids in (
        ({"add_eos_token": True}, ([], [2])),
        ({"add_bos_token": True, "add_eos_token": True}, ([1], [2])),
        ({"add_bos_token": True, "add_eos_token": False, "bos_token": {"content": "<bos>"}}, ([1], [])),
    ):
        file.write_text(json.dumps(stated | more))
        tokens = open_checkpoint(folder).tokenizer().encode(["a"])[0].ids.tolist()
        assert tokens == [*ids[0], *plain.encode("a").ids, *ids[1]]
