import math
import re

import numpy as np
import pytest
import pytrec_eval
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from beige.errors import InputError, UsageError
from beige.evaluate import measures
from beige.evaluate.measures import Measure

# Our name, and trec_eval's for the same measure.
SAME = {
    "nDCG@3": "ndcg_cut_3",
    "nDCG@10": "ndcg_cut_10",
    "nDCG": "ndcg",
    "R@3": "recall_3",
    "R@100": "recall_100",
    "RR": "recip_rank",
    "AP": "map",
    "AP@3": "map_cut_3",
    "P@1": "P_1",
    "P@5": "P_5",
}

documents = st.sampled_from(["1", "2", "10", "d9", "d10", "D1", "é", "中", "zz", "a b", "x1", "x2"])
# Few distinct scores make ties; the odd ones differ in float64 and tie in float32, as trec_eval compares them.
scores = st.sampled_from([0.0, 0.5, 1.0, -1.0, 0.1, 0.1 + 1e-12, 1e8, 1e8 + 1]) | st.floats(-1, 1)
judgements = st.dictionaries(
    st.sampled_from(["q1", "q2", "q3"]),
    st.dictionaries(documents, st.integers(-2, 4), min_size=1),
    min_size=1,
)
rankings = st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), st.dictionaries(documents, scores, min_size=1))


def _trec_eval(judged, run):
    """The peer's figures. A grade below 0 corrupts its memory; to trec_eval it is as good as 0."""
    floored = {query: {name: max(grade, 0) for name, grade in grades.items()} for query, grades in judged.items()}
    return pytrec_eval.RelevanceEvaluator(floored, set(SAME.values())).evaluate(run)


@given(judgements, rankings)
def test_equals_trec_eval(judged, answers):
    run = {query: ranking for query, ranking in answers.items() if query in judged}
    ours = measures.by_query(judged, run, [Measure.parse(name) for name in SAME])
    theirs = _trec_eval(judged, run)
    for name, trec in SAME.items():
        figures = ours[Measure.parse(name)]
        assert set(figures) == set(judged)
        for query, figure in figures.items():
            expected = theirs[query][trec] if query in run else 0.0
            assert figure == pytest.approx(expected, abs=1e-9), (name, query)


def test_equals_trec_eval_on_long_random_rankings():
    random = np.random.default_rng(0)
    judged, run = {}, {}
    for number in range(50):
        names = [str(n) for n in random.permutation(400)]
        judged[f"q{number}"] = {name: int(random.integers(-1, 4)) for name in names[:60]}
        run[f"q{number}"] = {name: float(random.integers(0, 40)) / 7 for name in names[30:330]}
    ours = measures.by_query(judged, run, [Measure.parse(name) for name in SAME])
    theirs = _trec_eval(judged, run)
    for name, trec in SAME.items():
        for query, figure in ours[Measure.parse(name)].items():
            assert figure == pytest.approx(theirs[query][trec], abs=1e-9)
    assert len(set(ours[Measure.parse("nDCG@10")].values())) > 20  # no vacuous pass


def test_judged_is_the_share_of_what_was_found():
    run = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
    figures = measures.mean({"q": {"a": -1, "c": 0}}, run, [Measure("Judged", k) for k in (1, 2, 10)])
    assert list(figures.values()) == [1.0, 0.5, pytest.approx(2 / 3)]


def test_reciprocal_rank_stops_at_its_cutoff():
    run = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
    figures = measures.mean({"q": {"c": 1}}, run, [Measure("RR", 2), Measure("RR", 3)])
    assert list(figures.values()) == [0.0, pytest.approx(1 / 3)]


def test_unanswered_queries_score_nothing_and_count():
    judged = {"answered": {"a": 1}, "unanswered": {"a": 1}}
    figures = measures.mean(judged, {"answered": {"a": 1.0}}, [Measure(kind, 10) for kind in measures.KINDS])
    assert {str(measure): figure for measure, figure in figures.items()} == {
        "nDCG@10": 0.5,
        "R@10": 0.5,
        "RR@10": 0.5,
        "AP@10": 0.5,
        "P@10": 0.05,
        "Judged@10": 0.5,
    }


def test_strange_runs_are_refused():
    with pytest.raises(InputError, match="'q9', which has no judgements"):
        measures.mean({"q": {"a": 1}}, {"q9": {"a": 1.0}}, [Measure("AP")])
    with pytest.raises(InputError, match="'a' is not a number"):
        measures.mean({"q": {"a": 1}}, {"q": {"a": math.nan}}, [Measure("AP")])


@given(st.sampled_from(list(measures.KINDS)), st.integers(1, 1000))
def test_measures_print_what_one_types(kind, cutoff):
    assert str(Measure.parse(f"{kind}@{cutoff}")) == f"{kind}@{cutoff}"


@pytest.mark.parametrize("name", ["nDCG@0", "ndcg@10", "P", "R", "Judged", "nDCG@", "nDCG@10@5", "", "MAP", "nDCG@1.5"])
def test_unknown_measures_are_refused(name):
    with pytest.raises(UsageError, match=re.escape(repr(name))):
        Measure.parse(name)


rows = st.lists(st.tuples(st.integers(-5, 5), st.floats(-1e6, 1e6)), min_size=2, max_size=40).filter(
    lambda pairs: all(len({pair[side] for pair in pairs}) > 1 for side in (0, 1))
)


@given(rows)
def test_spearman_equals_scipy(pairs):
    x, y = zip(*pairs, strict=True)
    assert measures.spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-9)


def test_pearson_equals_scipy():
    random = np.random.default_rng(1)
    for size in (2, 3, 50, 1000):
        x = random.standard_normal(size)
        y = x + random.standard_normal(size)
        assert measures.pearson(x, y) == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-12)
    assert measures.pearson([0, 1e-200, 2e-200], [3e200, 2e200, 1e200]) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("x", "y"), [([1, 2], [1, 2, 3]), ([1], [1]), ([1, 1], [1, 2]), ([1, math.nan], [1, 2]), ([1, math.inf], [1, 2])]
)
def test_undefined_correlations_are_refused(x, y):
    for correlation in (measures.pearson, measures.spearman):
        with pytest.raises(InputError):
            correlation(x, y)
