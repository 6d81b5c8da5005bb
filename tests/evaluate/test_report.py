"""A run's record and its pages; the page in a real browser where there is one."""

import html.parser
import http.server
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beige.errors import InputError, UsageError
from beige.evaluate.data import Pairs, Retrieval, read_retrieval
from beige.evaluate.diff import changed
from beige.evaluate.record import load, load_answers
from beige.evaluate.report.charts import scatter, whisker
from beige.evaluate.report.findings import AXES, Point, ordered, pareto, verdict
from beige.evaluate.report.html import html as page
from beige.evaluate.report.markdown import markdown
from beige.evaluate.run import Settings
from beige.evaluate.study import default_folder, last_folder, read, study
from beige.evaluate.systems import parse_all
from beige.evaluate.tasks import part
from tests.evaluate import providers, sets
from tests.http_server import serving

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def systems(provider: providers.State) -> tuple:
    base = f"{provider.url}/v1#<m> & co"
    return parse_all(["bm25", base, f"{base},vectors=binary", f"{base}+bm25", "openai:text-embedding-3-small"])


@pytest.fixture
def task(beir: Path) -> Retrieval:
    return read_retrieval(beir)


@pytest.fixture
def run_folder(systems: tuple, task: Retrieval, settings: Settings, tmp_path: Path) -> Path:
    study(part(task, documents=50), systems, (), settings, tmp_path / "run")
    return tmp_path / "run"


class Seen(html.parser.HTMLParser):
    """Checks that elements close in order, and gathers what a browser would fetch, and the text."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})
    SELF = frozenset({"line", "circle", "polyline", "path", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in self.SELF | self.VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def test_the_records_shape(run_folder: Path, systems: tuple):
    document = load(run_folder)
    assert document["data"]["name"] == "waters/test (50 of 60 documents)"
    assert list(document["systems"]) == [system.name for system in systems]
    for system in document["systems"].values():
        assert set(system["measures"]) == {"nDCG@10", "R@100", "RR@10"}
        assert system["intervals"]["nDCG@10"][0] <= system["measures"]["nDCG@10"] <= system["intervals"]["nDCG@10"][1]
        assert sum(system["spread"]["nDCG@10"]) == 20
        assert "dollars_per_million_tokens" in system["cost"]
    assert len(document["comparisons"]) == 3 * 10
    assert document["command"].startswith("beige")
    assert re.fullmatch(r"[0-9a-f]{16}", document["data"]["fingerprint"])


def test_the_page_stands_alone_and_says_everything(run_folder: Path, systems: tuple):
    seen = Seen()
    text = (run_folder / "report.html").read_text("utf-8")
    seen.feed(text)
    assert seen.open == []
    assert seen.links == ["data:,"]
    assert not re.search(r"url\(|@import|<script|http-equiv", text)
    said = " ".join(seen.text)
    document = load(run_folder)
    for system in systems:
        assert system.name in said  # escaped on the way: the names hold < and &
    for wanted in (
        "50 of 60 documents",
        document["data"]["fingerprint"],
        document["date"],
        document["prices"],
        verdict(document),
    ):
        assert wanted in said
    for system in document["systems"].values():
        assert f"{system['measures']['nDCG@10']:.4f}" in said
    assert text.count('<svg class="plot"') == 3  # latency, bytes, speed; a single price makes no plot


def test_the_markdown_has_the_same_figures(run_folder: Path):
    document = load(run_folder)
    text = (run_folder / "report.md").read_text("utf-8")
    assert text.startswith("# Evaluation on waters/test (50 of 60 documents)\n")
    for name, system in document["systems"].items():
        assert f"| {name} | {system['measures']['nDCG@10']:.4f} |" in text
    rows = [line for line in text.splitlines() if line.startswith("| nDCG@10 |")]
    assert len(rows) == 10


def test_pairs_have_a_page_too(settings: Settings, tiny_bert: Path, tmp_path: Path):
    words = sets.WORDS
    pairs = Pairs("p.csv", tuple(words), tuple(words[1:] + words[:1]), np.random.default_rng(1).random(len(words)))
    study(pairs, parse_all([str(tiny_bert)]), (), settings, tmp_path / "run")
    text = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "Query by query" not in text
    assert f"{len(words)} pairs of sentences" in text
    assert "Spearman" in (tmp_path / "run" / "report.md").read_text("utf-8")


def test_marks_and_remarks_are_shown(settings: Settings, task: Retrieval, tmp_path: Path):
    document = study(replace(task, remarks=("odd | data",)), parse_all(["bm25"]), (), settings, tmp_path / "run")
    document["systems"]["bm25"] |= {"contaminated": True, "remarks": ["the card lists it"]}
    assert "has, by its own card, seen this data" in page(document)
    assert "bm25 \\*" in markdown(document) or "bm25 *" in markdown(document)
    assert "odd | data" in page(document)
    assert "bm25: the card lists it" in markdown(document)


def test_verdicts():
    def record(figures: dict[str, float], different: set[frozenset[str]]) -> dict:
        names = list(figures)
        return {
            "systems": {name: {"measures": {"AP": figure}} for name, figure in figures.items()},
            "comparisons": [
                {"measure": "AP", "first": a, "second": b, "significant": frozenset((a, b)) in different}
                for number, a in enumerate(names)
                for b in names[number + 1 :]
            ],
        }

    assert verdict(record({"a": 0.5}, set())) == "a reaches AP 0.5000."
    untested = record({"a": 0.5, "b": 0.6}, set()) | {"comparisons": []}
    assert verdict(untested) == "b is ahead with AP 0.6000; whether that is chance could not be tested."
    all_different = {frozenset("ab"), frozenset("ac"), frozenset("bc")}
    assert verdict(record({"a": 0.5, "b": 0.6, "c": 0.1}, all_different)).startswith("b is best with AP 0.6000, and")
    assert verdict(record({"a": 0.5, "b": 0.6, "c": 0.1}, {frozenset("bc")})).endswith("cannot tell it from a.")
    assert verdict(record({"a": 0.5, "b": 0.6, "c": 0.1}, set())).endswith("cannot tell it from a and c.")
    assert ordered(record({"a": 0.5, "b": 0.6}, set())) == ["b", "a"]


def test_the_pareto_front():
    places = [(1.0, 0.5), (2.0, 0.7), (3.0, 0.6), (2.0, 0.6), (0.5, 0.1), (2.0, 0.7)]
    assert pareto(places) == [True, True, False, False, True, True]


def test_every_point_is_drawn_within_the_frame():
    points = [Point(n + 4, f"<{n}>" * 20, 10.0**n, 0.5 + n / 100, 0.4, 0.7, n % 2 == 0) for n in range(-3, 6)]
    drawing = scatter(points, AXES[0], "nDCG@10")
    seen = Seen()
    seen.feed(drawing)
    assert seen.open == []
    circles = re.findall(r'<circle class="point(?: on)?" cx="([\d.]+)" cy="([\d.]+)"', drawing)
    assert len(circles) == len(points)
    assert all(40 < float(x) < 420 and 0 < float(y) < 300 for x, y in circles)


def test_labels_of_points_side_by_side_lie_apart():
    points = [Point(n, "a", 10.0, 0.5 + n / 1000, 0.4, 0.7, True) for n in range(1, 7)]
    drawing = scatter([*points, Point(9, "b", 1000.0, 0.5, 0.4, 0.7, True)], AXES[0], "nDCG@10")
    places = re.findall(r'class="name" x="([\d.]+)" y="([\d.]+)">(\d+)<', drawing)
    assert [number for *_, number in places] == list("1234569")
    heights = sorted(float(y) for _, y, _ in places[:-1])
    assert all(low + 12 < high for low, high in itertools.pairwise(heights))
    circles = re.findall(r'<circle class="point on" cx="[\d.]+" cy="([\d.]+)"', drawing)
    assert float(places[-1][1]) == pytest.approx(float(circles[-1]) + 4, abs=0.2)  # nothing is beside this one


def test_one_value_alone_can_be_drawn():
    assert "<svg" in scatter([Point(1, "a", 5.0, 0.5, 0.5, 0.5, True)], AXES[1], "AP")
    assert "point on" in whisker(0.1, [0.05, 0.2], 0.2)
    assert "point on" not in whisker(0.1, [-0.05, 0.2], 0.2)


def test_the_queries_that_changed_most(run_folder: Path, task: Retrieval):
    measure, rows = changed(run_folder, "bm25", "openai:text-embedding-3-small")
    assert measure == "nDCG@10"
    sizes = [abs(row.difference) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    ours = load_answers(run_folder, "bm25")
    for row in rows:
        assert row.first == ours[row.first.query]
        assert row.first.query == row.second.query
        assert row.first.text == task.queries[row.first.query]
        for relevant in row.first.relevant:
            assert relevant["text"] == task.documents[relevant["document"]].whole
            assert relevant["rank"] is None or row.first.hits[:10]
    document = load(run_folder)["systems"]
    total = sum(row.difference for row in rows) / 20
    means = [document[name]["measures"][measure] for name in ("bm25", "openai:text-embedding-3-small")]
    assert total == pytest.approx(means[0] - means[1])
    with pytest.raises(InputError, match="has no system 'nope'; it has bm25"):
        changed(run_folder, "bm25", "nope")
    with pytest.raises(UsageError, match="no measure 'AP'"):
        changed(run_folder, "bm25", "openai:text-embedding-3-small", "AP")


def test_without_a_folder_a_run_is_kept_by_its_data(task: Retrieval, settings: Settings):
    with pytest.raises(InputError, match="no run is kept yet"):
        last_folder()
    study(task, parse_all(["bm25"]), (), settings)
    assert last_folder() == default_folder(task)
    assert not (last_folder() / "report.html").exists()
    assert load_answers(last_folder(), "bm25")["q0"].figures.keys() == {"nDCG@10", "R@100", "RR@10"}


def test_answers_may_hold_any_character(settings: Settings, tmp_path: Path):
    """Some end a line for Python, and not for JSON."""
    odd = "water\u2028flows\x85down\x0cthe\x1criver \ud800"
    folder = sets.write_set(tmp_path / "odd", {"d": ("", odd)}, {"q": "water"}, {"q": {"d": 1}})
    study(read(folder), parse_all(["bm25"]), (), settings, tmp_path / "run")
    (answer,) = load_answers(tmp_path / "run", "bm25").values()
    assert answer.hits[0]["text"] == odd


def test_folders_that_hold_no_run(tmp_path: Path):
    with pytest.raises(InputError, match="holds no run: make one with beige evaluate"):
        load(tmp_path)
    for text in ("{", "[]"):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(InputError, match="is damaged"):
            load(tmp_path)


def test_data_at_a_path(tmp_path: Path, beir: Path, shared_data: Path):
    assert isinstance(read(shared_data / "sts" / "stsb-en-test.csv"), Pairs)
    assert read(shared_data / "retrieval" / "scifact", "train").name == "scifact/train"
    (beir / "qrels" / "test.tsv").rename(beir / "qrels" / "mine.tsv")
    assert read(beir).name == "waters/mine"
    shutil.copy(beir / "qrels" / "mine.tsv", beir / "qrels" / "yours.tsv")
    with pytest.raises(UsageError, match="choose one with --split: mine, yours"):
        read(beir)
    with pytest.raises(InputError, match="there is no data at"):
        read(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="has no --split"):
        read(shared_data / "sts" / "stsb-en-test.csv", "test")


@pytest.mark.skipif(BROWSER is None, reason="needs chromium on the path")
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_the_page_and_asks_for_nothing_else(run_folder: Path, tmp_path: Path, width: int):
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(run_folder))

        def log_message(self, *_):
            asked.append(self.path)

    # What the page fetches is written down by the server and by the browser, which can reach no other host.
    probe = (
        "<script>addEventListener('load',()=>{parent.document.title=JSON.stringify({wide:document.documentElement.scrollWidth,"
        "window:innerWidth,requests:performance.getEntriesByType('resource').map(e=>e.name),"
        "plots:[...document.querySelectorAll('svg.plot')].map(e=>e.getBoundingClientRect().width)})})</script>"
    )
    text = (run_folder / "report.html").read_text("utf-8")
    (run_folder / "probed.html").write_text(text.replace("</body>", f"{probe}</body>"), "utf-8")
    # In a frame, since a browser's own window is never as narrow as a phone.
    frame = f'<iframe src="probed.html" width="{width}" height="900"></iframe>'
    (run_folder / "framed.html").write_text(f'<link rel="icon" href="data:,"><title>-</title>{frame}')
    with serving(Handler) as url:
        shown = subprocess.run(
            [
                str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-first-run", "--window-size=1400,1000",
                "--virtual-time-budget=2000", "--dump-dom", f"{url}/framed.html",
            ],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout  # fmt: skip
    found = json.loads(re.search(r"<title>(.*?)</title>", shown, re.DOTALL)[1].replace("&quot;", '"'))
    assert found["requests"] == []
    assert asked == ["/framed.html", "/probed.html"]
    assert found["wide"] <= found["window"] == width  # nothing sticks out sideways, on a phone either
    assert all(width > 100 for width in found["plots"])
    assert len(found["plots"]) >= 2
