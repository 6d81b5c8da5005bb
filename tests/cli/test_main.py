"""`main`: how a command ends."""

import pytest

from beige import cli


def _ends_with(monkeypatch: pytest.MonkeyPatch, error: BaseException, cause: BaseException | None) -> None:
    def command() -> None:
        raise error from cause

    monkeypatch.setattr(cli, "build", lambda name: command)
    cli.main()


@pytest.mark.parametrize(
    ("error", "cause"),
    [(KeyboardInterrupt(), None), (SystemError("returned a result with an exception set"), KeyboardInterrupt())],
)
def test_an_interrupt_is_one_sentence_also_where_a_library_made_an_error_of_it(monkeypatch, capsys, error, cause):
    with pytest.raises(SystemExit) as ended:
        _ends_with(monkeypatch, error, cause)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "beige: interrupted\n"


def test_another_error_is_shown_as_it_is(monkeypatch):
    with pytest.raises(SystemError, match="no interrupt"):
        _ends_with(monkeypatch, SystemError("no interrupt"), ValueError())
