"""The table of models beside each other, on a set that takes no model."""

import json
import sys
from pathlib import Path

import pytest

from bench import fusion, rivals
from bench.records import Task


def test_a_quick_run_writes_its_table(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch):
    tasks = (
        Task("scifact", ("bm25",)),
        Task("xquad_r-en", ("bm25",), documents=("xquad_r-de", "xquad_r-en")),
    )
    monkeypatch.setattr(rivals, "TASKS", tasks)
    monkeypatch.setattr(sys, "argv", ["rivals", "--data", str(shared_data), "--output", str(tmp_path), "--quick"])
    rivals.main()
    page = (tmp_path / "rivals.md").read_text("utf-8")
    record, _ = json.loads((tmp_path / "rivals.json").read_text("utf-8"))["records"]
    figure = record["systems"]["bm25"]["measures"]["nDCG@10"]
    assert f"| bm25 | **{figure:.4f}** |" in page
    assert "xquad_r-en/test on xquad_r-de/test + xquad_r-en/test (20 of 1190 queries" in page


def test_the_tasks_name_data_that_is_there(shared_data: Path):
    for task in (*rivals.TASKS, *fusion.TASKS):
        for name in (task.data, *task.documents):
            assert (shared_data / "retrieval" / name / "qrels" / f"{task.split}.tsv").exists()
