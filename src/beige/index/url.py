"""What addresses of clusters and of servers have in common."""

from urllib.parse import SplitResult, urlsplit

from beige.errors import UsageError


def split(text: str, what: str, form: str, key: str) -> SplitResult:
    """The parts of an address as a person writes it.

    Args:
        text: the address.
        what: it is of.
        form: how it is written.
        key: the environment variable that holds the key for it.

    Raises:
        UsageError: it is malformed, or carries a key: keys do not belong where histories and logs keep them.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is no address of a {what} ({error}): write {form}") from error
    if not parts.hostname or any(letter.isspace() for letter in parts.hostname):
        raise UsageError(f"{text!r} is no address of a {what}: write {form}")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"an address holds no key: put the key for {parts.hostname} into {key}")
    return parts


def host_of(parts: SplitResult) -> str:
    """The host as an address has it."""
    name = parts.hostname or ""
    return f"[{name}]" if ":" in name else name
