"""A real HTTP server that speaks the OpenAI chat protocol: scripted or computed answers, faults on demand, a count."""

import contextlib
import hashlib
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str, str, int], str]
"""system, user, seed -> the text of the reply."""

Fault = Callable[[str, int], str | bytes | None]
"""user, how often it was asked before -> None; the bytes of the whole answer, head included; or one of
too_many | broken | cut | slow | drip | endless | not_json | not_a_completion | refused | filtered | unauthorized |
unknown."""


def marks(system: str, user: str, seed: int) -> str:
    """Answer with marks that only the question decides."""
    digest = hashlib.sha256(f"{user}{seed}".encode()).digest()
    return json.dumps({"accuracy": digest[0] % 3, "completeness": digest[1] % 3})


def no_fault(user: str, before: int) -> str | None:
    return None


class LlmServer:
    """Counts what it was asked; `asked[user, seed]` is how often."""

    def __init__(self, answer: Answer = marks, fault: Fault = no_fault, *, retry_after: str = "0") -> None:
        self.answer = answer
        self.fault = fault
        self.retry_after = retry_after
        self.slow_seconds = 1.0
        self.asked: Counter[tuple[str, int]] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0
        self.bytes_sent = 0  # of endless answers
        self.closing = threading.Event()
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def calls(self) -> int:
        return sum(self.asked.values())

    @contextlib.contextmanager
    def serving(self) -> Iterator["LlmServer"]:
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that was killed, or has waited long enough, hangs up."""


def _handler(server: LlmServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer takes 40 ms
        wbufsize = -1

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            system, user = (message["content"] for message in body["messages"])
            with server.lock:
                before = sum(count for (asked, _), count in server.asked.items() if asked == user)
                server.asked[user, body["seed"]] += 1
                server.bodies.append(body)
                server.keys.append(self.headers["Authorization"])
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            try:
                self._respond(server.fault(user, before), lambda: server.answer(system, user, body["seed"]))
            finally:
                with server.lock:
                    server.at_once -= 1

        def _respond(self, fault: str | bytes | None, answer: Callable[[], str]) -> None:
            if isinstance(fault, bytes):
                self._send_raw(fault)
            elif fault == "drip":  # a byte now and then, for as long as somebody listens
                self._send_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", more=b" ", wait_seconds=0.05)
            elif fault == "endless":
                self._send_raw(b"HTTP/1.1 200 OK\r\n\r\n", more=b" " * (1 << 20), wait_seconds=0)
            elif fault == "too_many":
                self._send(429, {"error": {"message": "slow down"}}, {"Retry-After": server.retry_after})
            elif fault == "broken":
                self._send(500, {"error": {"message": "overloaded"}})
            elif fault == "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif fault == "not_json":
                self._send_bytes(200, b"<html>gateway</html>")
            elif fault == "not_a_completion":
                self._send(200, {"object": "chat.completion", "choices": []})
            elif fault == "refused":
                self._send(200, _completion(None, refusal="I cannot judge this."))
            elif fault == "filtered":
                self._send(400, {"error": {"code": "content_filter", "message": "not this one"}})
            elif fault == "unauthorized":
                self._send(401, {"error": {"message": f"wrong key {self.headers['Authorization']}"}})
            elif fault == "unknown":
                self._send(404, {"error": {"message": "no such model"}})
            else:
                if fault == "slow":
                    server.closing.wait(server.slow_seconds)
                self._send(200, _completion(answer()))

        def _send_raw(self, head: bytes, more: bytes = b"", wait_seconds: float = 0) -> None:
            self.close_connection = True
            self.wfile.write(head)
            self.wfile.flush()
            while more and not server.closing.wait(wait_seconds):
                self.wfile.write(more)
                self.wfile.flush()
                server.bytes_sent += len(more)

        def _send(self, status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> None:
            self._send_bytes(status, json.dumps(content).encode(), headers)

        def _send_bytes(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test's output clean."""

    return Handler


def _completion(text: str | None, refusal: str | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": refusal}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return {"object": "chat.completion", "choices": [{"index": 0, "message": message}], "usage": usage}
