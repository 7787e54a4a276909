"""A real HTTP server that keeps what a webhook sends it."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """`url` takes messages; `texts` are their texts, as they came."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.texts))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/hook"

    @contextlib.contextmanager
    def serving(self) -> Iterator["Receiver"]:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()


def _handler(texts: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            texts.append(sent["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
