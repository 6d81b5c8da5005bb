import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beige.embedding_file import EmbeddingFile, check, json_line
from beige.errors import InputError, MissingExtraError, UsageError
from beige.values import Embedding, Embeddings

DIMENSION = 5
RUN = {"model": "fingerprint", "role": "document"}
SUFFIXES = (".jsonl", ".npy", ".parquet")


def embed(texts):
    """Vectors that depend on the text alone."""
    rows = [np.random.default_rng(len(text) + sum(map(ord, text))).standard_normal(DIMENSION) for text in texts]
    return Embeddings(
        dense=np.array(rows, np.float32).reshape(-1, DIMENSION),
        sparse=None,
        multi=None,
        tokens=np.array([len(text) for text in texts], np.int32),
        truncated=np.array([len(text) > 7 for text in texts], np.bool_),
    )


def write(path, texts, *, stop_after=None, size=3, run=RUN):
    """One run, broken off after some batches where that is asked for; returns how many texts it embedded."""
    with EmbeddingFile(path, run, DIMENSION) as target:
        left, done = iter(list(target.remaining(texts))), 0
        while part := [text for _, text in zip(range(size), left, strict=False)]:
            if stop_after == 0:
                return done
            target.append(embed(part))
            done += len(part)
            stop_after = None if stop_after is None else stop_after - 1
        target.finish()
    return done


def read(path):
    """Vectors, tokens and flags of a file."""
    if path.suffix == ".parquet":
        table = __import__("pyarrow.parquet").parquet.read_table(path)
        records = table.to_pylist()
        assert str(table.schema.field("dense").type) == f"fixed_size_list<element: float>[{DIMENSION}]"
    else:
        lines = path if path.suffix == ".jsonl" else path.with_suffix(".meta.jsonl")
        records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["index"] for record in records] == list(range(len(records)))
    dense = np.load(path) if path.suffix == ".npy" else np.array([record["dense"] for record in records], np.float32)
    return dense.reshape(-1, DIMENSION), [(record["tokens"], record["truncated"]) for record in records]


def holds(path, texts):
    expected = embed(texts)
    dense, flags = read(path)
    assert dense.dtype == np.float32
    assert np.array_equal(dense, expected.dense)
    assert flags == list(zip(expected.tokens.tolist(), expected.truncated.tolist(), strict=True))
    assert not path.with_name(path.name + ".partial").exists()


TEXTS = [f"text {'x' * n}" for n in range(11)]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [0, 1, 11])
def test_a_file_holds_what_was_written(tmp_path, suffix, count):
    path = tmp_path / f"x{suffix}"
    assert write(path, TEXTS[:count]) == count
    holds(path, TEXTS[:count])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_a_broken_run_goes_on_and_half_written_rows_are_dropped(tmp_path, suffix, stop_after):
    path = tmp_path / f"x{suffix}"
    write(path, TEXTS, stop_after=stop_after)
    assert not path.exists()
    for name in ("lines.jsonl", "vectors.npy"):
        with (tmp_path / f"x{suffix}.partial" / name).open("ab") as file:
            file.write(b'{"index": 9, "half')
    assert write(path, TEXTS) == len(TEXTS) - 3 * stop_after
    holds(path, TEXTS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_run_may_break_at_its_very_end(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"x{suffix}"
    with monkeypatch.context() as patch:
        patch.setattr(EmbeddingFile, "finish", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write(path, TEXTS)
    assert write(path, TEXTS) == 0
    holds(path, TEXTS)


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "x.npy"
    write(path, TEXTS[:4])
    write(path, TEXTS, stop_after=1)
    holds_old, _ = read(path)
    assert len(holds_old) == 4
    write(path, TEXTS)
    holds(path, TEXTS)


@pytest.mark.parametrize(
    ("texts", "run", "message"),
    [
        (["other", *TEXTS[1:]], RUN, "broken run with other texts"),
        (TEXTS[:2], RUN, "broken run with more texts"),
        (TEXTS, RUN | {"model": "another"}, "broken run with another model: delete it"),
        (TEXTS, RUN | {"role": "query", "model": "another"}, "broken run with another model and role"),
    ],
)
def test_a_broken_run_of_something_else_is_refused(tmp_path, texts, run, message):
    path = tmp_path / "x.jsonl"
    write(path, TEXTS, stop_after=2)
    with pytest.raises(UsageError, match=message):
        write(path, texts, run=run)
    assert write(path, TEXTS) == 5


def test_two_runs_do_not_write_one_file(tmp_path):
    path = tmp_path / "x.npy"
    with EmbeddingFile(path, RUN, DIMENSION), pytest.raises(UsageError, match="another process is writing"):
        EmbeddingFile(path, RUN, DIMENSION)
    write(path, TEXTS)
    holds(path, TEXTS)


def test_a_damaged_state_is_named(tmp_path):
    path = tmp_path / "x.jsonl"
    write(path, TEXTS, stop_after=1)
    for text in ("{", "[]", '{"rows": 3}'):
        (tmp_path / "x.jsonl.partial" / "state.json").write_text(text)
        with pytest.raises(InputError, match=r"x\.jsonl\.partial is damaged: delete it"):
            EmbeddingFile(path, RUN, DIMENSION)


def test_a_full_disk_is_an_error_of_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "x.jsonl"
    with EmbeddingFile(path, RUN, DIMENSION) as target:
        list(target.remaining(TEXTS))
        monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(InputError, match=r"x\.jsonl cannot be written: No space left on device"):
            target.append(embed(TEXTS[:2]))
        monkeypatch.undo()
    assert write(path, TEXTS) == len(TEXTS)
    holds(path, TEXTS)


def test_what_cannot_be_written_is_known_before_the_work(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"no known suffix: take one of \.jsonl, \.npy, \.parquet"):
        check(tmp_path / "x.csv")
    with pytest.raises(InputError, match="its folder does not exist"):
        check(tmp_path / "absent" / "x.npy")
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        check(tmp_path / "folder.npy")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    check(tmp_path / "x.npy")
    with pytest.raises(MissingExtraError, match=r"beige\[parquet\]"):
        check(tmp_path / "x.parquet")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_json_lines_keep_every_bit(values):
    dense = np.array(values, np.float32)
    line = json.loads(json_line(3, Embedding(dense, None, None, 4, True)))
    assert np.array_equal(np.array(line["dense"], np.float32), dense)
    assert (line["index"], line["tokens"], line["truncated"]) == (3, 4, True)
