"""The measuring itself: that it takes turns, that a peer's failure is told, that figures are what they are called."""

import json
import math
import textwrap
import threading
import time
from collections import Counter

import numpy as np
import pytest

from bench import fusion, product, quality, records, speed
from bench.contest import WORKERS, Contender, Result, contest, ratio
from bench.parity import LENGTHS, SCRIPTS, cosines, parity_texts
from bench.report import Target, table, targets, write
from bench.texts import tokens_read, workloads

TEXTS = {"mixed": ["light and water", "stone", "the speed of a river"], "short": ["stone"]}
TOKENS = {"mixed": 14, "short": 3}


@pytest.fixture
def rival(tmp_path):
    """A worker whose vectors are made of lengths, and that is quickest with batches of 8."""
    script = tmp_path / "with_rival.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            sys.path.insert(0, {str(WORKERS)!r})
            from worker import serve
            import numpy as np

            def load(turn=0.0, broken=""):
                print("a library that talks on stdout")
                if broken == "load":
                    raise SystemExit("no such model here")
                def encode(texts, batch_size=32):
                    if broken == "texts" and len(texts) > 2:
                        raise ValueError("too many texts")
                    time.sleep(0.2 if batch_size == 4 else 0.001)
                    return np.array([[np.cos(len(text) + turn), np.sin(len(text) + turn)] for text in texts])
                return encode

            serve(load)
            """
        ),
        encoding="utf-8",
    )
    return str(script)


def test_contenders_take_turns(rival):
    said = []
    straight, turned = contest(
        [
            Contender("straight", rival, None, {}),
            Contender("turned", rival, None, {}, [{"turn": 0.1}], [{"batch_size": 4}, {"batch_size": 8}]),
        ],
        TEXTS,
        TOKENS,
        ["one", "alone"],
        3,
        said.append,
    )
    assert straight.lowest_cosine == pytest.approx(1)
    assert turned.lowest_cosine == pytest.approx(math.cos(0.1), abs=1e-6)
    assert turned.chosen == {"turn": 0.1, "batch_size": 8}
    for result in (straight, turned):
        assert not result.failed
        assert {name: len(rates) for name, rates in result.rates.items()} == {"mixed": 3, "short": 3}
        assert len(result.latencies) == 6
        assert result.load > 0
    assert said[-1].strip() == "round 3 of 3"


@pytest.mark.parametrize(("broken", "reason"), [("load", "no such model here"), ("texts", "too many texts")])
def test_a_peer_that_fails_is_told_and_the_others_go_on(rival, broken, reason):
    sound, failed = contest(
        [Contender("sound", rival, None, {}), Contender("failing", rival, None, {"broken": broken})],
        TEXTS,
        TOKENS,
        ["one"],
        1,
        lambda line: None,
    )
    assert not sound.failed
    assert len(sound.rates["mixed"]) == 1
    assert reason in failed.failed
    assert failed.rates == {}


def test_beige_as_a_contender(tiny_bert):
    (result,) = contest(
        [Contender("Beige", "with_beige.py", None, {"model": str(tiny_bert), "precision": "fp32"})],
        TEXTS,
        TOKENS,
        ["light"],
        1,
        lambda line: None,
    )
    assert not result.failed
    assert result.lowest_cosine == pytest.approx(1, abs=1e-6)
    assert result.rates["mixed"][0] > 0


def test_ratios_are_of_rounds():
    fast = Result("fast", rates={"mixed": [10.0, 20.0, 90.0]})
    slow = Result("slow", rates={"mixed": [5.0, 10.0, 10.0]})
    assert ratio(fast, slow, "mixed") == 2


def test_tokens_and_workloads(tiny_bert, shared_data):
    from beige.evaluate.data import read_retrieval
    from beige.models.checkpoint import open_checkpoint

    tokenizer = open_checkpoint(tiny_bert).tokenizer()
    assert tokens_read(tokenizer, ["light and water", "stone"]) == 5 + 3
    assert tokens_read(tokenizer, ["light " * 1000]) == tokenizer.max_tokens
    loads = workloads(read_retrieval(shared_data / "retrieval" / "scifact"))
    assert {name: len(texts) for name, texts in loads.items()} == {"mixed": 384, "short": 256, "long": 128}


def test_targets_say_whether_they_are_reached():
    rows = [
        Target("floor", 4.9, low=4.8).row(),
        Target("ceiling", 15.04, high=15, digits=1, unit=" ms").row(),
        Target("between", 0.8586, 0.8576, 0.8596, digits=4).row(),
        Target("absent", math.nan, low=1).row(),
    ]
    assert rows == [
        ("floor", "4.90", ">= 4.8", "reached"),
        ("ceiling", "15.0 ms", "<= 15 ms", "**missed**"),
        ("between", "0.8586", "0.8586 +- 0.001", "reached"),
        ("absent", "-", ">= 1", "not measured"),
    ]
    assert targets([Target("floor", 4.9, low=4.8)]).splitlines()[-1] == "| floor | 4.90 | >= 4.8 | reached |"


def test_reports_are_markdown_and_json(tmp_path):
    assert table(("a", "b"), [("x|y", 1.5)]).splitlines() == ["| a | b |", "| --- | ---: |", "| x\\|y | 1.5 |"]
    write("page", "# Title\n\n", {"figure": math.nan, "rows": [{"peak": math.inf}], "fine": 1.5}, tmp_path)
    assert (tmp_path / "page.md").read_text() == "# Title\n"
    assert json.loads((tmp_path / "page.json").read_text()) == {"figure": None, "rows": [{"peak": None}], "fine": 1.5}


def test_the_store_is_busy_while_any_of_its_methods_is():
    class Store:
        size = 7

        def top(self, seconds):
            time.sleep(seconds)
            return seconds

        scores = fetch = top

    store = product._Watched(Store())
    assert store.size == 7
    both = [threading.Thread(target=method, args=(0.2,)) for method in (store.top, store.scores)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert store.fetch(0.1) == 0.1
    assert len(store.spans) == 3
    apart = sum(end - start for start, end in store.spans)
    busy = store.busy()
    assert 0.29 < busy < apart - 0.05  # the two at once count once
    assert store.busy() == 0


def test_corpora_have_the_size_that_is_asked_for():
    texts = product._of_size(["ä" * 10, "b" * 10, "c" * 100], 35)
    assert texts == {"0": "ä" * 10, "1": "b" * 10}
    words = product._random_words(1_000_000)
    assert sum(map(len, words.values())) == pytest.approx(1_000_000, rel=0.05)


def test_parity_texts_have_every_length_and_script(tiny_bert, shared_data):
    from beige.models.checkpoint import open_checkpoint

    tokenizer = open_checkpoint(tiny_bert).tokenizer()
    scripts, texts = zip(*parity_texts(shared_data, tokenizer), strict=True)
    assert set(scripts) == set(SCRIPTS)
    counts = Counter(tokens.count - 2 for tokens in tokenizer.encode(texts))
    assert set(LENGTHS) <= set(counts)
    assert len(texts) == 2 * len(LENGTHS) * len(SCRIPTS)
    assert cosines(np.eye(2, dtype=np.float32), np.float32([[3, 0], [3, 4]])) == pytest.approx([1, 0.8])


MACHINE = {"cpu": "a CPU", "cores": 2, "memory": 2**33, "system": "Linux", "capabilities": ["avx2"]}
AROUND = {"beige": "0", "commit": "c", "date": "d", "python": "3", "command": "x", "load": 0.0, "machine": MACHINE}


def test_the_page_of_speed():
    rates = {name: [100.0, 110.0] for name in ("mixed", "short", "long")}
    results = [
        Result(speed.DEFAULT, {"dtype": "float32"}, 1.0, 1.0, rates, [1.0, 2.0]),
        Result("Beige, bf16", {}, 1.0, 0.9999, {name: [500.0, 550.0] for name in rates}, [0.5]),
        Result("fastembed", failed="mvn is not on the path"),
    ]
    figures = speed.aims(results, bf16=True)
    verdicts = {figure.what: figure.row()[-1] for figure in figures}
    assert verdicts[f"Beige, bf16, times {speed.DEFAULT}, mixed texts"] == "reached"  # 5 times
    assert verdicts[f"Beige, bf16, times {speed.TUNED}, mixed texts"] == "not measured"
    page = speed.render({**AROUND, "peers": {"p": {"torch": "2"}}}, results, figures, {"mixed": (2, 9)}, False)
    assert "No figures of fastembed: mvn is not on the path" in page
    assert "| Beige, bf16 |  | 525 | 5.00 | - | 525 | 525 | 0.99990 |" in page


def test_the_page_of_the_product():
    indexing = {
        "documents": {"added": 3},
        "chunks": 4,
        "tokens": 50,
        "seconds": 2.0,
        "precision": "bf16",
        "process_seconds": 3.0,
        "tokens_per_second": 25.0,
        "bare_tokens_per_second": [28.0, 30.0],
        "share_of_bare": 0.86,
    }
    whole = {
        "indexing": indexing,
        "cold": {"seconds": [1.0, 1.3]},
        "warm": {"queries": 2, "p50": 4.0, "p95": 5.0, "store_p50": 6.0, "store_p95": 7.0},
        "memory": [{"model": "m", "text_mb": 1.0, "peak_mb": 650.0, "chunks": 3, "seconds": 1.0}],
    }
    figures = product.aims(whole)
    verdicts = {figure.what: figure.row()[-1] for figure in figures}
    assert verdicts["indexing SciFact, share of the bare embedding rate"] == "reached"
    assert verdicts["of which the store, median"] == "**missed**"
    page = product.render(AROUND, whole, figures, False)
    assert "| m | 1 | 3 | 650 | 1 |" in page


def record(figures, pairs=(), **data):
    """A record of `beige evaluate` with one figure a system, and the comparisons that are asked for."""
    systems = {
        name: {
            "measures": {"nDCG@10": figure, "R@100": 0.9},
            "intervals": {"nDCG@10": [figure - 0.05, figure + 0.05]},
            "contaminated": False,
        }
        for name, figure in figures.items()
    }
    comparisons = [
        {
            "first": first,
            "second": second,
            "measure": "nDCG@10",
            "difference": figures[first] - figures[second],
            "interval": [figures[first] - figures[second] - 0.01, figures[first] - figures[second] + 0.01],
            "significant": True,
        }
        for first, second in pairs
    ]
    whole = {"name": "scifact/test", "queries": 300, "documents": 5183, "fingerprint": "f", "pairs": 7, **data}
    return {"data": whole, "systems": systems, "comparisons": comparisons}


def test_the_page_of_quality():
    model = quality.MODEL
    exact, byte = f"{model},precision=fp32", f"{model},precision=int8"
    similarity = record({exact: 0.8587, byte: 0.85})
    for system in similarity["systems"].values():
        system["measures"] = {"Spearman": system["measures"]["nDCG@10"], "Pearson": 0.8}
        system["intervals"] = {"Spearman": system["intervals"]["nDCG@10"]}
    sections = {
        "skipped": {"bf16": "no bf16 here"},
        "parity": [
            {
                "model": model,
                "precision": "fp32",
                "texts": 9,
                "spread": 0.5,
                "lowest_cosine": 0.999991,
                "lowest_at": "scifact, 3 tokens",
                "mean_cosine": 0.999998,
            },
        ],
        "precise": record({exact: 0.7, byte: 0.694, quality.RIVAL: 0.6451}, [(exact, byte)]),
        "index": {
            **record({"dense": 0.7, "bm25": 0.6, "dense+bm25": 0.75}, [("dense", "dense+bm25")]),
            "files": 3,
            "chunks": 5,
            "precision": "fp32",
            "chunk_tokens": 256,
        },
        "similarity": similarity,
    }
    figures = quality.aims(sections)
    verdicts = {figure.what: figure.row()[1:] for figure in figures}
    assert verdicts[f"lowest cosine to sentence-transformers, {model}, fp32"][-1] == "reached"
    assert verdicts[f"lowest cosine to sentence-transformers, {model}, bf16"][-1] == "not measured"
    assert verdicts["SciFact nDCG@10, dense, fp32"] == ("0.7000", ">= 0.71", "**missed**")
    assert verdicts["SciFact nDCG@10, dense, bf16"][-1] == "not measured"
    assert verdicts["SciFact nDCG@10, dense, int8 less fp32"] == ("-0.0060", "0 +- 0.005", "**missed**")
    assert verdicts["SciFact nDCG@10, all-MiniLM-L6-v2, as published"][-1] == "reached"
    assert verdicts["STS-B test, Spearman, fp32"][-1] == "reached"
    assert verdicts["STS-B test, Spearman, int8"][-1] == "**missed**"
    assert verdicts["SciFact nDCG@10, through an index, hybrid less the better leg"][0] == "0.0500"
    page = quality.render(AROUND, sections, figures)
    assert "Skipped: bf16: no bf16 here" in page
    assert f"| {exact} | **0.7000** | 0.650 to 0.750 | 0.900 |" in page
    assert f"int8 less fp32, {model}: -0.0060 (-0.0160 to +0.0040)." in page


def test_the_page_of_fusion():
    found = []
    for task in fusion.TASKS:
        figures = {name: 0.4 + place / 10 for place, name in enumerate(task.systems)}
        found.append(record(figures, [task.systems[1:3]]))
    figures = fusion.aims(found)
    assert [figure.row()[1:] for figure in figures] == [("0.1000", ">= 0", "reached")] * len(fusion.SETS)
    page = fusion.render(AROUND, found, figures)
    line = "| 0.4000 (0.900) | 0.5000 (0.900) | 0.6000 (0.900) | 0.7000 (0.900) | +0.1000 (+0.0900 to +0.1100) |"
    assert page.count(line) == len(fusion.TASKS)
    strangers = [task for task in fusion.TASKS if not fusion.knows(task)]
    assert page.count("(stranger)") == len(strangers)
    assert {(task.data, task.systems[0]) for task in strangers} >= {
        ("xquad_r-ar", "bge-small-en-v1.5"),
        ("scifact", "bge-small-zh-v1.5"),
    }


def test_vectors_of_other_code_are_not_taken(monkeypatch, tmp_path):
    before = records.workplace()
    assert records.workplace() == before
    (tmp_path / "engines").mkdir()
    (tmp_path / "embedder.py").touch()
    (tmp_path / "engines" / "engine.py").write_text("x = 1\n")
    monkeypatch.setattr("beige.__file__", str(tmp_path / "__init__.py"))
    assert records.workplace() != before


def test_what_is_significantly_worse_is_not_bold():
    found = record({"a": 0.5, "b": 0.4, "c": 0.3}, [("a", "c")])
    found["systems"]["b"]["contaminated"] = True
    assert [row[:2] for row in records.rows(found)] == [("a", "**0.5000**"), ("b *", "**0.4000**"), ("c", "0.3000")]
    assert records.difference(found, "a", "c") == pytest.approx((0.2, 0.19, 0.21))
    assert records.difference(found, "c", "a") == pytest.approx((-0.2, -0.21, -0.19))
    with pytest.raises(KeyError, match="a and b were not compared"):
        records.difference(found, "a", "b")
