import pytest

from beige.errors import UsageError
from beige.serve.settings import Settings, parse_size


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"port": 70000}, "port is 70000; it must be from 0 to 65535"),
        ({"queue_tokens": 0}, "queue tokens is 0; it must be 1 or more"),
        ({"timeout": 1000}, "timeout is 1000"),
        ({"models": ()}, "nothing to serve"),
        ({"certificate": "x"}, "needs both"),
        ({"origins": ("app.example",)}, "must be written as"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, said):
    with pytest.raises(UsageError, match=said):
        Settings(**settings)


@pytest.mark.parametrize(
    ("host", "open"),
    [("0.0.0.0", True), ("::", True), ("10.0.0.1", True), ("example.org", True)]
    + [(host, False) for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost")],
)
def test_a_network_needs_a_key(host, open):
    settings = Settings(host=host)
    if not open:
        settings.check_exposure([])
        return
    with pytest.raises(UsageError, match="beige key create"):
        settings.check_exposure([])
    settings.check_exposure(["key"])
    Settings(host=host, insecure=True).check_exposure([])


@pytest.mark.parametrize(("text", "size"), [("512M", 512 << 20), ("4G", 4 << 30), ("1.5GiB", 3 << 29), ("100", 100)])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1G", "1e999", "4X", "nan"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError, match="is no size"):
        parse_size(text)
