"""What an HTTP server's refusal says, whatever kind of server it is."""

import email.utils
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2


def said(response: "httpx2.Response") -> str:
    """The sentence of an error, wherever its kind of server puts it."""
    try:
        body = response.json()
    except ValueError:
        return response.text.strip()[:200] or response.reason_phrase
    for path in (("error", "message"), ("message",), ("detail",), ("error",)):
        found = body
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            return found
    return response.text[:200]


def pause(response: "httpx2.Response") -> float:
    """Seconds of a Retry-After header, which holds seconds or a date; 0 where it says nothing."""
    value = response.headers.get("retry-after")
    if value is None:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0
