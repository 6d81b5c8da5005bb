"""The table of models beside each other, on a set that takes no model."""

import json
import re
import sys
from pathlib import Path

import pytest

from bench import rivals


def test_a_quick_run_writes_its_table(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch):
    tasks = (
        rivals.Task("scifact", ("bm25",)),
        rivals.Task("xquad_r-en", ("bm25",), documents=("xquad_r-de", "xquad_r-en")),
    )
    monkeypatch.setattr(rivals, "TASKS", tasks)
    monkeypatch.setattr(
        rivals, "WANTED", {("scifact/test (20 of 300 queries, 100 of 5183 documents)", "bm25"): (0.9, 0.1)}
    )
    monkeypatch.setattr(sys, "argv", ["rivals", "--data", str(shared_data), "--output", str(tmp_path), "--quick"])
    rivals.main()
    page = (tmp_path / "rivals.md").read_text("utf-8")
    record, _ = json.loads((tmp_path / "rivals.json").read_text("utf-8"))["records"]
    figure = record["systems"]["bm25"]["measures"]["nDCG@10"]
    assert f"| bm25 | **{figure:.4f}** |" in page
    assert "xquad_r-en/test on xquad_r-de/test + xquad_r-en/test (20 of 1190 queries" in page
    assert re.search(r"scifact/test .*, bm25: nDCG@10 \| 0\.9\d+ \| 0\.9 \+- 0\.1 \| reached", page)


def test_what_is_significantly_worse_is_not_bold():
    systems = {
        name: {
            "measures": {"nDCG@10": figure, "R@100": 1.0},
            "intervals": {"nDCG@10": [0, 1]},
            "contaminated": name == "b",
        }
        for name, figure in (("a", 0.5), ("b", 0.4), ("c", 0.3))
    }
    comparison = {"measure": "nDCG@10", "first": "a", "second": "c", "significant": True}
    rows = list(rivals._rows({"systems": systems, "comparisons": [comparison]}))
    assert [row[:2] for row in rows] == [("a", "**0.5000**"), ("b *", "**0.4000**"), ("c", "0.3000")]


def test_the_tasks_name_data_that_is_there(shared_data: Path):
    for task in rivals.TASKS:
        for name in (task.data, *task.documents):
            assert (shared_data / "retrieval" / name / "qrels" / f"{task.split}.tsv").exists()
