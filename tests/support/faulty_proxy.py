"""A proxy before an S3 server that answers as a bad network or a busy store does: faults in turn, at random, slowly."""

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = int | Literal["reset", "cut"]
"""A status; `reset`: the connection is closed without an answer; `cut`: it is closed in the middle of the answer."""


@dataclass
class Proxy:
    """What it does to the requests that come, and which came."""

    url: str = ""
    seconds: float = 0.0
    """How long each answer is held back."""
    faults: list[Fault] = field(default_factory=list)
    """The next answers, in turn; then come the server's own."""
    share: float = 0.0
    """How many of the others get one of `kinds`, at random."""
    kinds: tuple[Fault, ...] = (500, 503, "reset", "cut")
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    requests: list[str] = field(default_factory=list)
    """Method and path of all that came."""
    num_faults: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, request: str) -> Fault | None:
        """Note a request, and say what happens to it; None: nothing."""
        with self.lock:
            self.requests.append(request)
            by_chance = self.share and self.chance.random() < self.share
            chosen = self.faults.pop(0) if self.faults else self.chance.choice(self.kinds) if by_chance else None
            self.num_faults += chosen is not None
            return chosen


_CODES = {409: "ConditionalRequestConflict", 500: "InternalError", 501: "NotImplemented", 503: "SlowDown"}


@contextlib.contextmanager
def proxy_before(url: str) -> Iterator[Proxy]:
    """Put a proxy before a server."""
    proxy, target = Proxy(), url.removeprefix("http://")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def answer(self) -> None:
            """Pass the request on, or do what is wrong with it."""
            body = self._body()
            fault = proxy.fault(f"{self.command} {self.path}")
            time.sleep(proxy.seconds)
            if isinstance(fault, int):
                text = f"<Error><Code>{_CODES[fault]}</Code><Message>on purpose</Message></Error>".encode()
                self._send(fault, [("Content-Type", "application/xml")], b"" if self.command == "HEAD" else text)
                return
            if fault == "reset":
                self.close_connection = True
                return
            connection = http.client.HTTPConnection(target, timeout=60)
            kept = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            connection.request(self.command, self.path, body, kept | {"Content-Length": str(len(body))})
            reply = connection.getresponse()
            content = reply.read()
            headers = [(name, value) for name, value in reply.getheaders() if name.lower() not in _OWN]
            length = reply.getheader("Content-Length") if self.command == "HEAD" else None
            self._send(reply.status, headers, content, length, cut=fault == "cut")
            connection.close()

        def _body(self) -> bytes:
            if self.headers.get("Expect") == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _send(
            self,
            status: int,
            headers: Iterable[tuple[str, str]],
            content: bytes,
            length: str | None = None,
            *,
            cut=False,
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.close_connection = self.close_connection or cut

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

        def handle_expect_100(self) -> bool:
            """Leave it to `_body`."""
            return True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_OWN = ("connection", "content-length", "transfer-encoding", "expect", "date", "server")  # of each connection
