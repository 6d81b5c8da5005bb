"""Marks on data that a model has seen."""

from pathlib import Path

import pytest

from beige.evaluate.contamination import contamination
from beige.evaluate.systems import System


@pytest.mark.parametrize(
    ("system", "data", "name"),
    [
        ("all-MiniLM-L6-v2+bm25", "xquad_r-en/test", "SQuAD"),
        ("bge-small-zh-v1.5", "cmrc2018-dev/test", "CMRC"),
        ("bge-m3,dimensions=256", "nq/test (5 of 9 queries)", "NQ"),
        ("e5-small-v2", "msmarco/dev", "MS MARCO"),
        ("e5-small-v2", "NanoMSMARCORetrieval", "MS MARCO"),
        ("e5-small-v2", "NQHardNegatives", "NQ"),
        ("bge-small-en-v1.5", "nq/test", "NQ"),
    ],
)
def test_what_a_card_lists_is_marked(system: str, data: str, name: str):
    (mark,) = contamination(System.parse(system), data)
    assert f"lists {name} among its training data" in mark


@pytest.mark.parametrize(
    ("system", "data"),
    [
        ("bm25", "nq/test"),
        ("bge-small-en-v1.5", "scifact/test"),
        ("e5-small-v2", "scifact/test"),
        ("openai:x", "nq/test"),
    ],
)
def test_the_rest_is_not(system: str, data: str):
    assert contamination(System.parse(system), data) == []


def test_a_folders_readme_counts(tmp_path: Path):
    (tmp_path / "README.md").write_text(
        "---\nlicense: mit\ndatasets:\n- BeIR/scifact\n- 'other/nfcorpus'\n---\n# Mine\n"
    )
    assert contamination(System.parse(str(tmp_path)), "scifact/test")
    assert contamination(System.parse(str(tmp_path)), "nfcorpus/test")
    assert contamination(System.parse(str(tmp_path)), "fiqa/test") == []
