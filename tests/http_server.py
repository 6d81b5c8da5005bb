"""A local HTTP server for as long as a test needs it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open and says nothing on stderr; a subclass answers with `send`."""

    protocol_version = "HTTP/1.1"

    def send(self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """An answer with its length; of a HEAD request, its headers alone."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], **shared: object) -> Iterator[str]:
    """The server's address while it runs, on a free port of this machine.

    Args:
        handler: answers the requests.
        shared: attributes that every handler has.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Shared", (handler,), shared))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
