"""Documents on their way to a server: what it does not take together is sent in parts."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from beige.documents.chunk import Failure
from beige.documents.text import Text
from beige.documents.upload import Upload
from beige.errors import InputError, UsageError
from beige.index.report import Change, Report
from beige.index.server import sending
from beige.index.server.sending import Sending, spelled
from tests.index.scripted_server import Answer, Seen, refusal, scripted, state

LARGE = refusal(413, "too_large", "the body is larger than 10 bytes: send it in parts")
TAKEN: Answer = (202, {"id": "j"}, {})


def sent(what: Iterable[Text | Failure] | Iterable[Upload], *answers: Answer) -> tuple[Report, list[Change], Seen]:
    told: list[Change] = []
    with scripted(*answers) as (connection, seen, _):
        run = Sending(connection, None, told.append)
        things = list(what)
        (run.uploads if things and isinstance(things[0], Upload) else run.texts)(things)  # type: ignore[operator]
        return run.end(), told, seen


def test_what_is_too_large_together_goes_in_halves_and_what_is_too_large_alone_fails_by_name() -> None:
    added = state("done", [Change("added", "a")], added=1)
    report, told, seen = sent([Text("a", "1"), Text("b", "2")], LARGE, TAKEN, LARGE, added)
    assert (report.documents["added"], report.documents["failed"]) == (1, 1)
    assert report.failures == [Failure("b", "the body is larger than 10 bytes: send it in parts")]
    assert [change.source for change in told] == ["b", "a"]
    assert [method for method, _, _ in seen] == ["POST", "POST", "POST", "GET"]


def test_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LARGEST", 100)
    for name, size in (("a", 1), ("b", 2), ("c", 101)):
        (tmp_path / name).write_bytes(b"x" * size)
    uploads = [Upload(name, tmp_path / name) for name in "abcd"]
    report, _, seen = sent(uploads, LARGE, TAKEN, LARGE, state("done", [], added=1))
    assert sorted(failure.source for failure in report.failures) == ["b", "c", "d"]
    assert len(seen) == 4


@pytest.mark.parametrize("count", [99, 100, 101, 250])
def test_few_texts_are_a_job(count: int) -> None:
    report, _, seen = sent((Text(f"{n}", "x") for n in range(count)), *[TAKEN] * -(-count // 100), state("done", []))
    assert [method for method, _, _ in seen].count("POST") == -(-count // 100)
    assert report.seconds > 0


def test_long_texts_and_texts_of_one_name_are_several_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "CHARACTERS", 10)
    for texts, posts in (
        ([Text("a", "x" * 6), Text("b", "x" * 6), Text("c", "x" * 4)], 2),
        ([Text("a", "x" * 60), Text("b", "x" * 60)], 2),
        ([Text("a", "x"), Text("a", "y"), Text("b", "y")], 2),
    ):
        _, _, seen = sent(texts, *[TAKEN] * posts, state("done", []))
        assert [method for method, _, _ in seen].count("POST") == posts


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="only paths and texts can be added, not int"):
        sent([Text("a", "x"), 1], TAKEN)  # type: ignore[list-item]


def test_a_time_to_live_is_spelled_as_a_server_reads_it() -> None:
    assert spelled(None) is None
    assert spelled("30d") == "30d"
    assert spelled(90) == "90.000000s"
    assert spelled(timedelta(minutes=1.5)) == "90.000000s"
    for wrong in ("soon", 0, -1.0):
        with pytest.raises(UsageError):
            spelled(wrong)
