"""An LLM behind an OpenAI-compatible HTTP endpoint, asked many questions at a time."""

import queue
import random
import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from tasks.models.chat import BudgetExhausted, ChatUnavailable, Reply, Request
from tasks.models.chat.answer import Trouble, read_answer
from tasks.models.chat.budget import Budget, estimate_tokens

_LONGEST_WAIT_SECONDS = 60.0  # between two tries, unless the server asks for more
_LONGEST_ASKED_SECONDS = 600.0  # that a server's Retry-After is heeded
_POLL_SECONDS = 0.05
MAX_ANSWER_BYTES = 8 << 20
"""Of one answer, unpacked: many times the longest reply; what goes on after it is not read."""

Arrived = queue.SimpleQueue[tuple[int, Reply] | None]


class Endpoint:
    """A `ChatModel` over HTTP: bounded concurrency, retries with growing waits, a budget."""

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str | None,
        temperature: float,
        max_new_tokens: int,
        max_concurrency: int,
        budget: Budget,
        timeout_seconds: float = 120.0,
        max_retries: int = 6,
        first_wait_seconds: float = 1.0,
    ) -> None:
        """Ask the server at `base_url` (up to /v1) by the settings of `ChatConfig`.

        A reply is waited for `timeout_seconds`; after 429, 5xx, time-outs and cut connections there are `max_retries`
        more tries, `first_wait_seconds` after the first and twice as long after each.
        """
        self.url = f"{base_url.rstrip('/')}/chat/completions"
        self.model = model
        self.budget = budget
        self._api_key = api_key
        self._temperature = temperature
        self._max_new_tokens = max_new_tokens
        self._max_concurrency = max_concurrency
        self._timeout_seconds = timeout_seconds
        self._max_retries = max_retries
        self._first_wait_seconds = first_wait_seconds

    def complete(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Ask all; `ChatModel.complete`. After a failure no new request is sent; those under way are waited for."""
        arrived: Arrived = queue.SimpleQueue()
        with start_blocking_portal() as portal:  # so that replies arrive while the caller stores the last one
            asking = portal.start_task_soon(self._ask_all, requests, arrived)
            try:
                while (item := arrived.get()) is not None:
                    yield item
                asking.result()
            finally:
                asking.cancel()

    async def _ask_all(self, requests: Sequence[Request], arrived: Arrived) -> None:
        waiting = iter(enumerate(requests))  # shared by the workers: one event loop, one thread
        failures: list[Exception] = []
        failed = anyio.Event()

        async def work() -> None:
            for position, request in waiting:
                while arrived.qsize() >= self._max_concurrency:  # the caller is slow to store them: a kill loses few
                    await anyio.sleep(_POLL_SECONDS)
                try:
                    arrived.put((position, await self._ask(client, request, failed)))
                except (ChatUnavailable, BudgetExhausted) as failure:
                    failures.append(failure)
                    failed.set()
                if failures:
                    return

        headers = {"Accept-Encoding": "identity"} | (
            {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        )
        limits = httpx.Limits(max_connections=self._max_concurrency)
        try:
            async with (
                httpx.AsyncClient(headers=headers, timeout=None, limits=limits) as client,
                anyio.create_task_group() as workers,
            ):
                for _ in range(min(self._max_concurrency, len(requests))):
                    workers.start_soon(work)
        finally:
            arrived.put(None)
        if failures:
            raise failures[0]

    async def _ask(self, client: httpx.AsyncClient, request: Request, failed: anyio.Event) -> Reply:
        """Try until there is a reply, the tries are used up, or another request has failed for good."""
        waits = random.Random(request.number)  # requests that failed together don't all come back together
        tries = 1
        while isinstance(answer := await self._try(client, request), Trouble):
            if answer.passing and tries <= self._max_retries:
                wait = min(self._first_wait_seconds * 2.0 ** (tries - 1), _LONGEST_WAIT_SECONDS)
                wait *= 0.5 + waits.random() / 2.0
                with anyio.move_on_after(max(wait, min(answer.wait_seconds, _LONGEST_ASKED_SECONDS))):
                    await failed.wait()
            if not answer.passing or tries > self._max_retries or failed.is_set():
                text = (
                    f"endpoint {self.url}, model '{self.model}': expected a reply, got {answer.reason} at try {tries}."
                )
                raise ChatUnavailable(f"{self._without_secrets(text)} {answer.cure}")
            tries += 1
        return answer

    async def _try(self, client: httpx.AsyncClient, request: Request) -> Reply | Trouble:
        prompt_tokens = estimate_tokens(request)
        reserved = prompt_tokens + self._max_new_tokens
        while not self.budget.admit(reserved):
            await anyio.sleep(_POLL_SECONDS)
        used = 0
        try:
            answer = await self._post(client, request, prompt_tokens)
            if isinstance(answer, Reply):
                used = answer.prompt_tokens + answer.completion_tokens
            return answer
        finally:
            self.budget.settle(reserved, used)

    async def _post(self, client: httpx.AsyncClient, request: Request, prompt_tokens: int) -> Reply | Trouble:
        try:
            with anyio.fail_after(self._timeout_seconds):  # of all of it: a server may send a byte a second
                async with client.stream("POST", self.url, json=self._body(request)) as response:
                    body = await _limited(response)
        except TimeoutError:
            return Trouble(f"nothing within {self._timeout_seconds:g} s", passing=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            return Trouble(f"{type(error).__name__} ({error})", passing=False, cure="Correct base_url or the key.")
        except (httpx.RequestError, zlib.error) as error:
            return Trouble(f"{type(error).__name__} ({error})", passing=True)
        if response.status_code == 200 and len(body) > MAX_ANSWER_BYTES:
            return Trouble(f"an answer of more than {MAX_ANSWER_BYTES:,} bytes", passing=True)
        return read_answer(
            response.status_code,
            response.headers,
            body,
            now=datetime.now(UTC),
            prompt_tokens=prompt_tokens,
        )

    def _body(self, request: Request) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [{"role": "system", "content": request.system}, {"role": "user", "content": request.user}],
            "temperature": self._temperature,
            "max_tokens": self._max_new_tokens,
            "seed": request.seed,
        }

    def _without_secrets(self, text: str) -> str:
        text = text.replace(self._api_key, "***") if self._api_key else text
        return re.sub(r"//[^/\s]*@", "//", text)  # a name and a password in the URL


async def _limited(response: httpx.Response) -> bytes:
    """Read a body, unpacked, up to a byte more than is allowed: a megabyte of gzip may stand for a gigabyte.

    Raises:
        zlib.error: it says that it is packed, and not as gzip or deflate are.
    """
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            break
    if response.headers.get("content-encoding", "identity").strip().lower() in ("", "identity"):
        return body
    return zlib.decompressobj(wbits=47).decompress(body, MAX_ANSWER_BYTES + 1)  # 47: gzip or zlib, as it begins
