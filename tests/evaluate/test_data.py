import json
import re

import numpy as np
import pytest

from beige.errors import InputError
from beige.evaluate.data import Record, read_pairs, read_retrieval, splits

CORPUS = [{"_id": "d1", "title": "Wings", "text": "lift"}, {"_id": "d2", "title": "", "text": "heat"}]
QUERIES = [{"_id": "q1", "text": "what lifts?"}, {"_id": "q2", "text": "what heats?"}, {"_id": "q3", "text": "unasked"}]
QRELS = "query-id\tcorpus-id\tscore\nq2\td2\t1\nq1\td1\t2\nq1\td2\t-1\n"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    _write(folder, "corpus.jsonl", CORPUS)
    _write(folder, "queries.jsonl", QUERIES)
    (folder / "qrels" / "test.tsv").write_text(QRELS, encoding="utf-8")
    return folder


def _write(folder, name, rows):
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def test_reads_a_beir_folder(folder):
    data = read_retrieval(folder)
    assert data.name == "set/test"
    assert data.documents == {"d1": Record("Wings", "lift"), "d2": Record("", "heat")}
    assert [record.whole for record in data.documents.values()] == ["Wings lift", "heat"]
    assert list(data.queries.items()) == [("q1", "what lifts?"), ("q2", "what heats?")]  # judged ones, in file order
    assert data.judgements == {"q1": {"d1": 2, "d2": -1}, "q2": {"d2": 1}}
    assert list(data.judgements) == list(data.queries)
    assert data.remarks == ()


def test_several_judgements(folder):
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\r\nq3\td1\t1\r\n", encoding="utf-8")
    assert splits(folder) == ("test", "train")
    assert read_retrieval(folder, "train").queries == {"q3": "unasked"}
    with pytest.raises(InputError, match="no judgements 'dev': it has test, train"):
        read_retrieval(folder, "dev")


def test_marks_and_forms_that_other_tools_write(folder):
    _write(folder, "corpus.jsonl", ["\ufeff" + json.dumps({"_id": 1, "text": "no title, a number"}), "", CORPUS[1]])
    (folder / "qrels" / "test.tsv").write_text("q1\t1\t1\n", encoding="utf-8")  # no header
    data = read_retrieval(folder)
    assert data.documents["1"] == Record("", "no title, a number")
    assert data.judgements == {"q1": {"1": 1}}


def test_odd_but_usable_data_is_counted(folder):
    _write(folder, "corpus.jsonl", [*CORPUS, {"_id": "d3", "title": "", "text": " "}])
    (folder / "qrels" / "test.tsv").write_text(QRELS + "q1\td9\t1\nq3\td1\t0\n", encoding="utf-8")
    data = read_retrieval(folder)
    assert data.judgements["q1"]["d9"] == 1  # kept: a relevant document that cannot be found
    unknown, barren, blank = data.remarks
    assert re.match(r"1 of 5 judgements name documents that the corpus lacks, the first 'd9' \(.*line 5\)", unknown)
    assert barren.startswith("1 of 3 queries have no relevant document")
    assert blank.startswith("1 of 3 documents have neither title nor text")


CORPUS_LINE, QUERY_LINE = json.dumps(CORPUS[0]), json.dumps(QUERIES[0])
BROKEN = [
    ("corpus.jsonl", f"{CORPUS_LINE}\n{{broken\n", r"corpus\.jsonl, line 2: not JSON"),
    ("corpus.jsonl", f"{CORPUS_LINE}\n[1]\n", r"corpus\.jsonl, line 2: an object"),
    ("corpus.jsonl", f"{CORPUS_LINE}\n{CORPUS_LINE}\n", r"corpus\.jsonl, line 2: the id 'd1' stands on an earlier"),
    ("corpus.jsonl", '{"text": "x"}\n', r'corpus\.jsonl, line 1: "_id" is missing'),
    ("corpus.jsonl", '{"_id": "d1", "text": null}\n', r'corpus\.jsonl, line 1: "text" is missing'),
    ("corpus.jsonl", '{"_id": "d1", "title": 3, "text": "x"}\n', r'corpus\.jsonl, line 1: "title"'),
    ("corpus.jsonl", "", r"corpus\.jsonl is empty"),
    ("queries.jsonl", f'{QUERY_LINE}\n{{"_id": "q2", "text": " "}}\n', r"queries\.jsonl, line 2: the text of 'q2' is"),
    ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\n", r"test\.tsv, line 2: 2 tab-separated fields"),
    ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t0.5\n", r"test\.tsv, line 2: the grade '0\.5'"),
    ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq7\td1\t1\n", r"test\.tsv, line 2: no query has the id 'q7'"),
    ("qrels/test.tsv", QRELS + "q1\td1\t0\n", r"test\.tsv, line 5: query 'q1' and document 'd1' were judged"),
    ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\tx\t1\n", r"no judgement names a document .*'x' \(.*line 2\)"),
    ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t0\n", r"test\.tsv: no judgement is above 0"),
    ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", r"test\.tsv holds no judgements"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN, ids=range(len(BROKEN)))
def test_what_cannot_be_read_is_named_by_file_and_line(folder, name, content, message):
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_retrieval(folder)


def test_bytes_that_are_no_text(folder):
    (folder / "corpus.jsonl").write_bytes(CORPUS_LINE.encode() + b"\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"corpus\.jsonl, line 2: not UTF-8"):
        read_retrieval(folder)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_missing_files(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} cannot be read: No such file"):
        read_retrieval(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match=r"it has no qrels/\*\.tsv"):
        read_retrieval(tmp_path / "absent")


def test_reads_pairs(tmp_path):
    path = tmp_path / "sts.csv"
    for header in ("", "sentence1,sentence2,score\n"):
        path.write_text(header + '"a, b",c,5.0\n"two\nlines",d,0\n', encoding="utf-8")
        pairs = read_pairs(path)
        assert (pairs.first, pairs.second) == (("a, b", "two\nlines"), ("c", "d"))
        np.testing.assert_array_equal(pairs.scores, [5.0, 0.0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,1\na,b\n", r"line 2: 2 fields"),
        ('"a\nb",b,1\na,b,high\n', r"line 3: 'high' is not a finite score"),
        ("a,b,1\na,b,nan\n", r"line 2: 'nan'"),
        ('a,b,1\na,"b"c,1\n', r"line 2: "),
        ("", "holds no pairs"),
        ("sentence1,sentence2,score\n", "holds no pairs"),
    ],
)
def test_broken_pairs_are_named_by_line(tmp_path, content, message):
    path = tmp_path / "sts.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_pairs(path)


def test_the_shared_data_is_what_its_table_says(shared_data):
    # Documents, queries, judgements as shared/data/README.md counts them.
    counts = {"scifact": (5183, 300, 339), "cranfield": (1400, 225, 1837), "cmrc2018-dev": (848, 3219, 3219)}
    for name, expected in counts.items():
        data = read_retrieval(shared_data / "retrieval" / name)
        assert (len(data.documents), len(data.queries), sum(map(len, data.judgements.values()))) == expected
    assert len(read_pairs(shared_data / "sts" / "stsb-en-test.csv")) == 1379
