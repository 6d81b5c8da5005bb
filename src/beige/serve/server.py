"""The process: uvicorn with the application; it starts where its address is safe and ends when its work is done."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import uvicorn

from beige.errors import BeigeError, UsageError
from beige.serve.app import build
from beige.serve.connection import Connection, make_room
from beige.serve.keys import KeyRing
from beige.serve.library import Library, models_of
from beige.serve.metrics import Metrics
from beige.serve.models import Models
from beige.serve.service import Service
from beige.serve.settings import Settings

KEEP_ALIVE = 30
"""Seconds for which an idle connection stays open."""

_log = logging.getLogger("beige.serve")


class Server(uvicorn.Server):
    """One server.

    Args:
        settings: see there.
        on_listening: told the address once connections are taken.
        on_ready: told that models are loaded and the index is open.

    Raises:
        BeigeError: a model is not found, or the address is open to a network and there is no key.
    """

    def __init__(
        self,
        settings: Settings,
        on_listening: Callable[[str], None] = lambda url: None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        ring = KeyRing(settings.keys)
        settings.check_exposure(ring.keys)
        self.service = Service(settings, Models(settings, also=models_of(settings.index)), Metrics())
        can_fill = any(model.kind == "embedder" for model in self.service.models.all)
        self.library = Library(self.service, settings.index) if settings.index is not None and can_fill else None
        self._settings = settings
        self._on_listening = on_listening
        self._on_ready = on_ready
        self._error: BeigeError | None = None
        self._warming: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._answering: asyncio.Task[None] | None = None
        self._app = build(self.service, ring, self.library)
        super().__init__(
            uvicorn.Config(
                self._app,
                host=settings.host,
                port=settings.port,
                http=cast("Any", partial(Connection, most=make_room())),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=int(settings.longest_timeout) + 1,
                ssl_certfile=settings.certificate,
                ssl_keyfile=settings.private_key,
                ws="none",
                lifespan="off",
            )
        )

    def serve_forever(self) -> None:
        """Serve until a signal ends it; what was acknowledged is finished.

        Raises:
            BeigeError: the address cannot be listened at, or a model cannot be loaded.
        """
        try:
            self.run()
        except SystemExit as error:  # uvicorn logged why
            raise UsageError(
                f"{self._settings.host}:{self._settings.port} cannot be listened at: take another --port, or end what "
                "listens there"
            ) from error
        if self._error is not None:
            raise self._error

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then warm up."""
        await super().startup(sockets)
        if self.started:
            self._on_listening(self.url)
            self._warming = asyncio.create_task(self._warm_up())
            self._answering = asyncio.create_task(self._answer_copilots())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing more, finish what was taken."""
        if self._warming is not None:
            self._warming.cancel()
        closing = asyncio.create_task(self._close())
        await super().shutdown(sockets)
        while not closing.done():
            if self.force_exit:  # a second Ctrl-C; what is durable stays so
                _log.warning("ended with work undone")
                os._exit(1)
            await asyncio.wait([closing], timeout=0.1)
        await closing
        self._ended.set()
        if self._answering is not None:
            await self._answering

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        scheme = "https" if self._settings.certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    async def _answer_copilots(self) -> None:
        if self._app.state.copilots is not None:
            async with self._app.state.copilots.run():
                await self._ended.wait()

    async def _close(self) -> None:
        if self.library is not None:  # its jobs need the lanes
            await self.library.close()
        await self.service.close()

    async def _warm_up(self) -> None:
        try:
            await self.service.warm_up()
            if self.library is not None:
                await self.library.open()
        except BeigeError as error:
            self._error = error
            self.should_exit = True
        else:
            self._on_ready()
            _log.info("ready", extra={"facts": {"models": [model.name for model in self.service.models.fitting()]}})
