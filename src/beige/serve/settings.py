"""What a server is told when it starts, checked before anything is loaded."""

import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from beige.errors import UsageError
from beige.index.place import Place
from beige.serve.keys import default_file


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set.

    Attributes:
        host: the address to listen at.
        port: 0 for any free one.
        models: names or folders of embedders; the first answers where a request names none.
        rerankers: names or folders of rerankers, likewise.
        index: where the index is that is searched and filled, made with the first upload; None for none. Its models are
            served too.
        precision: of all of them; "auto" for the fastest that keeps vectors and scores.
        aliases: other names for the models, as clients may have them fixed in their code.
        memory: bytes that the weights of loaded models may take together; None for half of the machine's.
        queue_tokens: how many tokens may wait in each lane.
        timeout: seconds after which a request's work is dropped, unless the request says another time.
        longest_timeout: the most seconds that a request may say.
        body_bytes: the largest body.
        body_seconds: how long a body may take to arrive.
        items: the most inputs of a request.
        keys: the file of hashed API keys.
        insecure: whether to listen beyond this machine without a key.
        certificate: a TLS certificate's file, PEM.
        private_key: its key's file, PEM.
        origins: web pages, as `https://host`, whose scripts may call; none by default.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    models: tuple[str, ...] = ("bge-small-en-v1.5",)
    rerankers: tuple[str, ...] = ()
    index: Place | None = None
    precision: str = "auto"
    aliases: Mapping[str, str] = field(default_factory=dict)
    memory: int | None = None
    queue_tokens: int = 1 << 18
    timeout: float = 60.0
    longest_timeout: float = 600.0
    body_bytes: int = 8 << 20
    body_seconds: float = 30.0
    items: int = 2048
    keys: Path = field(default_factory=default_file)
    insecure: bool = False
    certificate: Path | None = None
    private_key: Path | None = None
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: a value out of its bounds.
        """
        bounds = {
            "port": (0, 65535),
            "memory": (1, None),
            "queue_tokens": (1, None),
            "timeout": (0.001, self.longest_timeout),
            "body_bytes": (1, None),
            "body_seconds": (0.001, None),
            "items": (1, None),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if value is not None and (value < least or (most is not None and value > most)):
                limit = f"from {least} to {most}" if most is not None else f"{least} or more"
                raise UsageError(f"{name.replace('_', ' ')} is {value}; it must be {limit}")
        if not self.models and not self.rerankers:
            raise UsageError("there is nothing to serve: name a model with --model or --reranker")
        if (self.certificate is None) != (self.private_key is None):
            raise UsageError("TLS needs both --tls-certificate and --tls-key")
        for file in (self.certificate, self.private_key):
            if file is not None and not file.is_file():
                raise UsageError(f"there is no file {file}")
        for origin in self.origins:
            if "://" not in origin or origin.endswith("/"):
                raise UsageError(
                    f"origin {origin!r} must be written as https://host, with no path, or http://host:port"
                )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check_exposure(self, keys: Iterable[object]) -> None:
        """Refuse to be open to a network without a key.

        Raises:
            UsageError: the address is reached from elsewhere, there is no key, and `insecure` is off.
        """
        if not self.loopback and not self.insecure and not any(True for _ in keys):
            raise UsageError(
                f"{self.host} can be reached from other machines and there is no API key: make one with "
                "`beige key create`, or say --insecure"
            )

    def memory_budget(self) -> int:
        """Bytes that models may take together."""
        if self.memory is not None:
            return self.memory
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def parse_size(text: str) -> int:
    """Bytes of "512M", "4G" or a plain number.

    Raises:
        UsageError: it is none of these.
    """
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    number, unit = text.strip().upper().removesuffix("B").removesuffix("I"), 1
    if number[-1:] in units:
        number, unit = number[:-1], units[number[-1]]
    try:
        size = int(float(number) * unit)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no size: write it as 512M or 4G") from error
    if size < 1:
        raise UsageError(f"{text!r} is no size: write it as 512M or 4G")
    return size
