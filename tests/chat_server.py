"""A real HTTP server on loopback that speaks the chat-completions protocol, and fails by seed.

A fake: its replies are a function of the request, not a language model's. In a test:

    with ChatServer(faults=Faults({"500": 0.1, "hang": 0.05}, seed=1)) as server:
        ... server.base_url ... server.calls ...

As a process of its own, which prints its base URL: `python -m tests.chat_server --latency 0.2`.
"""

import argparse
import asyncio
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

FAULTS = (
    "429",
    "429_retry_after",
    "500",
    "503",
    "hang",
    "cut",
    "truncated_json",
    "empty_choices",
    "null_content",
    "html",
    "odd_json",
    "wrong_content",
)
GARBAGE = "I would rather talk about the weather."


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    is_abandoned: Callable[[], bool]
    """Whether the client has closed the connection meanwhile."""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """What is sent back. With `cut_at` only so many bytes of the body are, and the connection is closed."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Route = Callable[[Request], Awaitable[Response]]
Answer = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Faults:
    """The share of calls that each fault of FAULTS befalls, a function of the seed, the content and how often it came.

    `refused` names parameters that are answered with a 400; `status` answers every completion with that status.
    `retry_after` is the header that comes with "429_retry_after" and `status`, `error` more fields of `status`'s body.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    retry_after: str = ""
    refused: tuple[str, ...] = ()
    status: int | None = None
    error: Mapping[str, Any] = field(default_factory=dict)

    def draw(self, content: str, call: int) -> str | None:
        """The fault that befalls the `call`th call with this content."""
        place = _uniform(f"{self.seed}:{content}:{call}")
        for fault, rate in self.rates.items():
            assert fault in FAULTS, fault
            place -= rate
            if place < 0:
                return fault
        return None


def _uniform(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def content_of(body: Mapping[str, Any]) -> str:
    """What tells one question from another: the conversation."""
    return hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).hexdigest()


def hashed_answer(body: Mapping[str, Any]) -> str:
    """A verdict that depends on the conversation alone: an identifier if one token is asked for, else a label."""
    place = _uniform(content_of(body))
    if body.get("max_tokens") == 1:
        return "m" if place < 0.5 else "M"
    labels = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
    return f"Thinking about it, my final verdict is: [[{labels[int(place * len(labels))]}]]"


class ChatServer:
    """Serves in a thread of its own; a context manager. What it counted can be read at any time.

    `calls` counts completions asked for, by content, and `served` those answered in full with a 200; `arrivals` are
    (monotonic seconds, content) of each, `bodies` what was sent.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        faults: Faults | None = None,
        answer: Answer = hashed_answer,
        models: tuple[str, ...] = ("judge-1",),
    ) -> None:
        self.latency, self.faults, self.answer, self.models = latency, faults or Faults(), answer, models
        self.calls: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.arrivals: list[tuple[float, str]] = []
        self.bodies: list[Mapping[str, Any]] = []
        self.in_flight = self.most_in_flight = 0
        self._routes: dict[tuple[str, str], Route] = {}
        self.route("POST", "/v1/chat/completions", self._complete)
        self.route("GET", "/v1/models", self._list_models)

    def route(self, method: str, path: str, respond: Route) -> None:
        """Answers `method path` by `respond`; a path that ends in "/" stands for all that begin with it."""
        self._routes[method, path] = respond

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024, limit=2**26)

    async def _close(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its response; whether the connection stays open."""
        request = await _read_request(reader)
        if request is None:
            return False
        response = await self._respond(request)
        body = response.encoded()
        head = f"HTTP/1.1 {response.status} -\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
        writer.write(head.encode() + b"\r\n" + body[: response.cut_at])
        await writer.drain()
        return response.cut_at is None

    async def _respond(self, request: Request) -> Response:
        route = self._routes.get((request.method, request.path)) or next(
            (
                route
                for (method, path), route in self._routes.items()
                if method == request.method and path.endswith("/") and request.path.startswith(path)
            ),
            None,
        )
        if route is None:
            return error_response(404, f"there is no {request.method} {request.path}")
        return await route(request)

    async def _list_models(self, request: Request) -> Response:
        return Response(body={"object": "list", "data": [{"id": model, "object": "model"} for model in self.models]})

    async def _complete(self, request: Request) -> Response:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._completion(request)
        finally:
            self.in_flight -= 1

    async def _completion(self, request: Request) -> Response:
        body = request.json()
        self.bodies.append(body)
        content = content_of(body)
        self.arrivals.append((time.monotonic(), content))
        self.calls[content] += 1
        await asyncio.sleep(self.latency)
        if refusal := self._refusal(request, body):
            return refusal
        fault = self.faults.draw(content, self.calls[content])
        response = await self._faulty(fault, request, body) if fault else Response(body=self.completion(body))
        if response.status == 200 and response.cut_at is None and fault in (None, "wrong_content"):
            self.served[content] += 1
        return response

    def _refusal(self, request: Request, body: Mapping[str, Any]) -> Response | None:
        """What is answered to every call alike."""
        if self.faults.status is not None:
            fields = {"message": f"you sent {request.headers.get('authorization')}", **self.faults.error}
            headers = {"retry-after": self.faults.retry_after} if self.faults.retry_after else {}
            return error_response(self.faults.status, headers=headers, **fields)
        for name in self.faults.refused:
            if name in body:
                return error_response(400, f"Unsupported parameter: '{name}' is not supported", param=name)
        if body["model"] not in self.models:
            return error_response(404, f"the model {body['model']!r} does not exist", code="model_not_found")
        return None

    async def _faulty(self, fault: str, request: Request, body: Mapping[str, Any]) -> Response:
        while fault == "hang":
            await asyncio.sleep(0.002)
            if request.is_abandoned():
                raise ConnectionAbortedError
        if fault == "429_retry_after":
            return error_response(429, "slow down", headers={"retry-after": self.faults.retry_after})
        if fault in ("429", "500", "503"):
            return error_response(int(fault), "not now")
        if fault == "wrong_content":
            return Response(body=self.completion(body, GARBAGE))
        completion = self.completion(body)
        if fault == "truncated_json":
            encoded = json.dumps(completion).encode()
            return Response(body=encoded[: len(encoded) // 2])
        if fault == "html":
            page = b"<!DOCTYPE html><html><head><title>Just a moment</title></head><body>wait</body></html>"
            return Response(body=page)
        if fault == "odd_json":
            return Response(body={**completion, "choices": [{"message": [17], "logprobs": True}], "usage": {"x": -1}})
        if fault == "empty_choices":
            return Response(body={**completion, "choices": []})
        if fault == "null_content":
            completion["choices"][0]["message"]["content"] = None
            return Response(body=completion)
        assert fault == "cut", fault
        return Response(body=completion, cut_at=40)

    def completion(self, body: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
        """A whole answer to the request `body`: `text`, or what the server's answer function says."""
        text = self.answer(body) if text is None else text
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": [_log_probabilities(text, body)]}
        prompt_tokens = sum(len(message["content"]) for message in body["messages"]) // 4 + 1
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": len(text) // 4 + 1}
        usage["total_tokens"] = sum(usage.values())
        return {
            "id": f"chatcmpl-{content_of(body)[:12]}",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }


def _log_probabilities(text: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Of the first token: the text itself, with the other identifier as its likeliest alternative."""
    place = _uniform("logprob" + content_of(body))
    entries = [
        {"token": text, "logprob": -0.1 - place / 2},
        {"token": "M" if text == "m" else "m", "logprob": -1.5 - place},
        {"token": "Model", "logprob": -6.0},
    ]
    return {**entries[0], "top_logprobs": entries[: body.get("top_logprobs", 0)]}


def error_response(status: int, message: str, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Response:
    """An error as the OpenAI API words it."""
    error = {"message": message, "type": "error", "param": None, "code": None, **fields}
    return Response(status, {"error": error}, headers or {})


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request on a connection; None when the client has closed it."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head[0].split(" ")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path.split("?")[0], headers, body, reader.at_eof)


def main() -> None:
    """Serves until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    arguments = parser.parse_args()
    with ChatServer(latency=arguments.latency) as server:
        print(server.base_url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
