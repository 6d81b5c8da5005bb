import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from beige.cli import build
from beige.embedder import Embedder
from beige.errors import InputError, UsageError

TEXTS = ["light and water", "", "Größe 中文", "stone " * 200]


def embed(model, *arguments, stdin=None):
    """What the command prints, with its errors raised."""
    runner = CliRunner()
    done = runner.invoke(
        build(),
        ["embed", "--model", str(model), "--precision", "fp32", *map(str, arguments)],
        input=stdin,
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def expected(tiny_bert):
    return Embedder(tiny_bert, precision="fp32").encode(TEXTS)


def agrees(records, expected):
    assert [record["index"] for record in records] == list(range(len(expected)))
    assert [record["tokens"] for record in records] == expected.tokens.tolist()
    assert [record["truncated"] for record in records] == expected.truncated.tolist()
    assert np.abs(np.array([record["dense"] for record in records]) - expected.dense).max() < 1e-5


def parsed(text):
    return [json.loads(line) for line in text.splitlines()]


LINES = "\n".join(TEXTS) + "\n"
JSON_LINES = "\n".join(json.dumps({"body": text}) for text in TEXTS)


def test_lines_of_stdin(tiny_bert, expected):
    done = embed(tiny_bert, stdin=LINES)
    agrees(parsed(done.stdout), expected)
    assert "texts cut to 128 tokens: 1 of 4" in done.stderr
    agrees(parsed(embed(tiny_bert, "-", stdin="\ufeff" + LINES.replace("\n", "\r\n")).stdout), expected)


def test_json_lines_of_stdin(tiny_bert, expected):
    agrees(parsed(embed(tiny_bert, "--field", "body", stdin=JSON_LINES).stdout), expected)


def test_outputs_may_stand_apart_and_twice(tiny_bert, expected):
    agrees(parsed(embed(tiny_bert, "--outputs", " dense, dense", stdin=LINES).stdout), expected)


def test_files(tiny_bert, expected, tmp_path):
    (tmp_path / "x.txt").write_text(LINES, encoding="utf-8")
    (tmp_path / "x.jsonl").write_text(JSON_LINES.replace("body", "text") + "\n\n", encoding="utf-8")
    (tmp_path / "strings.ndjson").write_text("\n".join(map(json.dumps, TEXTS)), encoding="utf-8")
    for name in ("x.txt", "x.jsonl", "strings.ndjson"):
        agrees(parsed(embed(tiny_bert, tmp_path / name).stdout), expected)


def test_into_files(tiny_bert, expected, tmp_path):
    for suffix in ("jsonl", "npy", "parquet"):
        done = embed(tiny_bert, "--output", tmp_path / f"x.{suffix}", "--json", stdin=LINES)
        (said,) = parsed(done.stdout)
        assert said.pop("seconds") >= 0
        assert said == {
            "output": str(tmp_path / f"x.{suffix}"),
            "texts": 4,
            "tokens": int(expected.tokens.sum()),
            "truncated": 1,
        }
    agrees(parsed((tmp_path / "x.jsonl").read_text()), expected)
    assert np.abs(np.load(tmp_path / "x.npy") - expected.dense).max() < 1e-5
    assert [record["tokens"] for record in parsed((tmp_path / "x.meta.jsonl").read_text())] == expected.tokens.tolist()
    pyarrow = pytest.importorskip("pyarrow.parquet")
    agrees(pyarrow.read_table(tmp_path / "x.parquet").to_pylist(), expected)


def test_options_reach_the_embedder(tiny_bert):
    said = embed(
        tiny_bert, "--role", "query", "--instruction", "the river ", "--max-tokens", "6", stdin="light of stone\n"
    )
    expected = Embedder(tiny_bert, precision="fp32", max_tokens=6).encode("the river light of stone")
    (record,) = parsed(said.stdout)
    assert (record["tokens"], record["truncated"]) == (7, True)
    assert np.abs(np.array(record["dense"]) - expected.dense).max() < 1e-5
    with pytest.raises(UsageError, match="no prompt 'web'"):
        embed(tiny_bert, "--role", "query", "--prompt", "web", stdin="light\n")


def test_texts_are_not_replaced_by_their_vectors(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = '{"text": "light"}\n'
    for name in ("x.jsonl", "x.meta.jsonl"):
        Path(name).write_text(lines)
    Path("link.jsonl").symlink_to("x.jsonl")
    for source, output in (("x.jsonl", "./x.jsonl"), ("x.jsonl", "link.jsonl"), ("x.meta.jsonl", "x.npy")):
        with pytest.raises(UsageError, match="holds the texts and would be replaced by their vectors"):
            embed(tiny_bert, source, "--output", output)
        assert Path(source).read_text() == lines
    embed(tiny_bert, "x.jsonl", "--output", "x.meta.npy")
    assert Path("x.jsonl").read_text() == lines


def test_what_goes_before_queries_is_not_passed_over_for_documents(tiny_bert):
    for option in ("--instruction", "--prompt"):
        with pytest.raises(UsageError, match="goes before queries, and these are documents: add --role query"):
            embed(tiny_bert, option, "query: ", stdin="light\n")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.jsonl", b'{"text": "a"}\n{"text": ', "x.jsonl line 2 is not JSON"),
        ("x.jsonl", b'{"text": "a"}\n\n{"body": "b"}', "x.jsonl line 3 has no field 'text': name the one"),
        ("x.jsonl", b'["a"]', "x.jsonl line 1 has no field 'text'"),
        ("x.jsonl", b'{"text": null}', "x.jsonl line 1: field 'text' holds NoneType, not a string"),
        ("x.txt", b"light\nGr\xf6\xdfe und W\xe4rme \xfcber\n", r"x.txt line 2 is not UTF-8 \(byte 3\)"),
        ("x.txt", "light".encode("utf-16"), "x.txt is UTF-16: convert it with iconv"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tiny_bert, tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        embed(tiny_bert, tmp_path / name)


def test_a_file_that_is_not_there_and_a_role_that_does_not_exist(tiny_bert, tmp_path):
    with pytest.raises(InputError, match="absent cannot be read: No such file"):
        embed(tiny_bert, tmp_path / "absent")
    with pytest.raises(UsageError, match="no role 'passage'"):
        embed(tiny_bert, "--role", "passage", stdin="light\n")
    with pytest.raises(UsageError, match="no role 'passage'"):
        embed(tiny_bert, "--role", "passage", "--output", tmp_path / "x.npy", stdin="light\n")
    with pytest.raises(UsageError, match="no known suffix"):
        embed(tiny_bert, "--output", tmp_path / "x.csv", stdin="light\n")


def test_a_broken_line_is_mended_and_the_run_goes_on(tiny_bert, tmp_path):
    source, output = tmp_path / "x.jsonl", tmp_path / "y.npy"
    lines = [json.dumps({"text": f"stone {number}"}) for number in range(9000)]
    source.write_text("\n".join([*lines[:8999], "{"]))
    with pytest.raises(InputError, match="line 9000 is not JSON"):
        embed(tiny_bert, source, "--output", output)
    source.write_text("\n".join(lines))
    done = embed(tiny_bert, source, "--output", output, "--json")
    assert "going on after" in done.stderr
    assert parsed(done.stdout)[0]["texts"] < 9000
    expected = Embedder(tiny_bert, precision="fp32").encode([f"stone {number}" for number in range(0, 9000, 500)])
    assert np.abs(np.load(output)[::500] - expected.dense).max() < 1e-5


def test_ctrl_c_stops_at_once_and_the_run_goes_on(tiny_bert, tmp_path):
    """The input never ends, so that nothing but the signal can end the run."""
    output = tmp_path / "x.jsonl"
    command = (sys.executable, "-c", "from beige.cli import main; main()", "embed", "--model", str(tiny_bert))
    command += ("--precision", "fp32", "--output", str(output))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            os.set_blocking(process.stdin.fileno(), False)
            state = Path(f"{output}.partial") / "state.json"
            number, pending = 0, b""
            while not state.exists():
                assert process.poll() is None, process.stderr.read()
                pending = pending or b"".join(b"stone %d\n" % n for n in range(number, number + 500))
                try:
                    written = os.write(process.stdin.fileno(), pending)
                except BlockingIOError:
                    time.sleep(0.01)
                    continue
                pending = pending[written:]
                number += 0 if pending else 500
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in said
    done = json.loads(state.read_text())["rows"]
    embed(tiny_bert, "--output", output, stdin="".join(f"stone {n}\n" for n in range(done + 3)))
    assert [record["index"] for record in parsed(output.read_text())] == list(range(done + 3))
