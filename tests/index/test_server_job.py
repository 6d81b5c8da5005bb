"""A server's job, watched until its end, whatever the server says of it."""

import pytest

from beige.documents.chunk import Failure
from beige.errors import StoreError
from beige.index.report import Change, Report
from beige.index.server import job
from beige.index.server.job import Job
from tests.index.scripted_server import Answer, refusal, scripted, state


def finished(names: tuple[str, ...], *answers: Answer | None) -> tuple[Report, list[Change], list[str]]:
    told: list[Change] = []
    with scripted(*answers) as (connection, seen, _), pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "FIRST", 0.0)
        report = Job("j", names).finish(connection, told.append)
    return report, told, [path for _, path, _ in seen]


def test_changes_are_told_as_they_become_durable() -> None:
    first, second = Change("added", "a", chunks=2), Change("unchanged", "b")
    report, told, asked = finished(
        ("a", "b"),
        state("waiting", []),
        state("running", [first], added=1),
        None,  # a break is no matter: looking is asked again
        state("done", [second], added=1, unchanged=1),
    )
    assert told == [first, second]
    assert (report.documents["added"], report.documents["unchanged"]) == (1, 1)
    assert (report.chunks, report.tokens, report.cut, report.failures) == (5, 50, 1, [])
    assert [path.rpartition("=")[2] for path in asked] == ["0", "0", "1", "1"]


def test_what_is_not_told_one_by_one_is_counted() -> None:
    report, told, _ = finished(("rows.jsonl",), state("done", [Change("added", "rows.jsonl#1")], added=3, removed=1))
    assert [change.kind for change in told] == ["added", "added", "added", "removed"]
    assert report.documents["added"] == 3


def test_failures_are_named() -> None:
    failed = Change("failed", "b", reason="no text found")
    report, told, _ = finished(
        ("a", "b"), state("failed", [Change("added", "a"), failed], (("b", "no text found"),), added=1, failed=1)
    )
    assert told[-1] == failed
    assert report.failures == [Failure("b", "no text found")]
    assert report.documents["failed"] == 1


def test_what_a_broken_job_had_not_done_has_failed() -> None:
    report, told, _ = finished(
        ("a", "b", "c"), state("failed", [Change("added", "b")], (("a", "the disk is full"),), added=1)
    )
    assert report.failures == [Failure("a", "the disk is full"), Failure("c", "the disk is full")]
    assert report.documents["failed"] == 2
    assert told[1:] == [Change("failed", name, reason="the disk is full") for name in "ac"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(404, "not_found", "there is no job 'j', or it ended long ago"), "was started anew and has forgotten"),
        ((200, {"state": "fine"}, {}), "is no Beige server, or one of another version"),
        ((200, [], {}), "is no Beige server, or one of another version"),
    ],
    ids=str,
)
def test_a_job_that_cannot_be_watched_is_said(answer: Answer, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        finished(("a",), state("running", []), answer)
