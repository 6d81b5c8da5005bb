import pytest

from beige.errors import InputError
from beige.evaluate.machine import machine
from beige.evaluate.speed import LONG, SHORT, measure_speed, read_lines, sample_texts


def test_sample_texts_are_the_same_every_time_and_of_two_lengths():
    texts = sample_texts()
    assert texts == sample_texts()
    assert len(set(texts)) == len(texts) == LONG + SHORT
    words = [len(text.split()) for text in texts]
    assert min(words[:LONG]) > 100 > 30 > max(words[LONG:])


def test_counts_what_the_model_reads(tiny_bert):
    speed = measure_speed(tiny_bert, ["light and water", "stone", "light " * 1000], "fp32", repeat=2, queries=3)
    assert (speed.texts, speed.tokens) == (3, 5 + 3 + 128)  # the last is cut to the model's length
    assert speed.precision == "fp32"
    assert all(figure > 0 for figure in (speed.load, speed.rate, speed.p50))
    assert speed.p95 >= speed.p50


def test_reads_lines(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("one\n\n  \nzwei ü\n", encoding="utf-8")
    assert read_lines(file) == ["one", "zwei ü"]


@pytest.mark.parametrize(("content", "message"), [(b"\n \n", "holds no texts"), (b"\xff\xfe", "is not UTF-8")])
def test_files_without_texts_are_refused(tmp_path, content, message):
    file = tmp_path / "texts.txt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_lines(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="absent cannot be read: No such file"):
        read_lines(tmp_path / "absent")


def test_the_machine_is_described():
    found = machine()
    assert found["cpu"].strip()
    assert found["cores"] >= 1
    assert found["memory"] > 2**28
    assert found["capabilities"] == sorted(found["capabilities"])
