"""The Batch API on top of the chat server: files and batches, with faults. A fake, as the chat server is.

with ChatServer() as server:
    routes = BatchRoutes(server)
    ... routes.batches ...
"""

import asyncio
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.chat_server import ChatServer, Request, Response, content_of, error_response


@dataclass
class BatchFaults:
    """What goes wrong, drawn by `seed`.

    `end` is how batches end: "completed", "expired", "cancelled" or "failed" (not accepted). Of the rows, `answered` is
    the share that is answered before that, `refused` the share answered with a 400, and `lost` the share that is
    nowhere; `requests` is the share of HTTP requests that fail with a 500. The creation of a batch takes
    `create_seconds` after the batch exists, and its answer is lost `lose_created` times. Files are sent cut
    short `cut_files` times, of which half end with a whole line.
    """

    end: str = "completed"
    answered: float = 1.0
    refused: float = 0.0
    lost: float = 0.0
    requests: float = 0.0
    create_seconds: float = 0.0
    lose_created: int = 0
    cut_files: int = 0
    seed: int = 0


@dataclass
class FakeBatch:
    """A batch on the server. It goes on one state with each time it is asked after."""

    id: str
    input_file_id: str
    states: list[str]
    output_file_id: str | None = None
    error_file_id: str | None = None
    completed: int = 0
    failed: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    asked_after: int = 0

    def body(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "created_at": 0,
            "input_file_id": self.input_file_id,
            "status": self.states[0],
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "request_counts": {"total": 0, "completed": self.completed, "failed": self.failed},
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
        }


class BatchRoutes:
    """Adds /v1/files and /v1/batches to `server`. What it holds can be read at any time.

    With `at_once` a batch has ended by the time it is first asked after, so that nobody waits.
    """

    def __init__(self, server: ChatServer, faults: BatchFaults | None = None, *, at_once: bool = False) -> None:
        self._server, self.faults, self._at_once = server, faults or BatchFaults(), at_once
        self._random = random.Random(self.faults.seed)
        self._numbers = count(1)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, FakeBatch] = {}
        self.headers: list[Mapping[str, str]] = []
        server.route("POST", "/v1/files", self._upload)
        server.route("GET", "/v1/files/", self._download)
        server.route("POST", "/v1/batches", self._create)
        server.route("GET", "/v1/batches", self._list)
        server.route("GET", "/v1/batches/", self._retrieve)

    def rows_of(self, file_id: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[file_id].splitlines()]

    def _fails(self, request: Request) -> Response | None:
        self.headers.append(request.headers)
        return error_response(500, "not now") if self._random.random() < self.faults.requests else None

    async def _upload(self, request: Request) -> Response:
        if failure := self._fails(request):
            return failure
        file_id = f"file-{next(self._numbers)}"
        parts = _form(request)
        assert parts["purpose"] == b"batch"
        self.files[file_id] = parts["file"]
        return Response(body={"id": file_id, "object": "file", "purpose": "batch", "bytes": len(parts["file"])})

    async def _download(self, request: Request) -> Response:
        if failure := self._fails(request):
            return failure
        content = self.files[request.path.split("/")[3]]
        if self.faults.cut_files > 0:
            self.faults.cut_files -= 1
            middle = len(content) // 2
            content = content[: content.index(b"\n", middle) + 1 if self.faults.cut_files % 2 else middle]
        return Response(body=content)

    async def _create(self, request: Request) -> Response:
        if failure := self._fails(request):
            return failure
        file_id = request.json()["input_file_id"]
        end = self.faults.end
        on_the_way = ["validating"] if end == "failed" else ["validating", "in_progress", "finalizing"]
        states = [end] if self._at_once else [*on_the_way, end]
        batch = FakeBatch(f"batch-{next(self._numbers)}", file_id, states)
        self.batches[batch.id] = batch
        if end == "failed":
            batch.errors = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]
        else:
            self._answer_rows(batch)
        await asyncio.sleep(self.faults.create_seconds)
        if self.faults.lose_created > 0:
            self.faults.lose_created -= 1
            return Response(body=batch.body(), cut_at=0)
        return Response(body=batch.body())

    def _answer_rows(self, batch: FakeBatch) -> None:
        output, errors = [], []
        for row in self.rows_of(batch.input_file_id):
            if self._random.random() < self.faults.lost:
                continue
            if self._random.random() < self.faults.refused:
                errors.append(_error_row(row["custom_id"], 400, "Unsupported parameter: 'temperature'"))
            elif self._random.random() < self.faults.answered:
                self._server.served[content_of(row["body"])] += 1
                output.append(_row(row["custom_id"], 200, self._server.completion(row["body"])))
            elif batch.states[-1] == "expired":
                errors.append({**_row(row["custom_id"], 0, {}), "response": None, "error": _EXPIRED})
        self._random.shuffle(output)
        batch.completed, batch.failed = len(output), len(errors)
        batch.output_file_id, batch.error_file_id = self._file(output), self._file(errors)

    def _file(self, rows: list[dict[str, Any]]) -> str | None:
        if not rows:
            return None
        file_id = f"file-{next(self._numbers)}"
        self.files[file_id] = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(
            "utf-8", "surrogatepass"
        )
        return file_id

    async def _list(self, request: Request) -> Response:
        if failure := self._fails(request):
            return failure
        newest_first = [batch.body() for batch in reversed(self.batches.values())]
        return Response(body={"object": "list", "data": newest_first, "has_more": False})

    async def _retrieve(self, request: Request) -> Response:
        if failure := self._fails(request):
            return failure
        batch = self.batches.get(request.path.split("/")[3])
        if batch is None:
            return error_response(404, "no such batch")
        batch.asked_after += 1
        if len(batch.states) > 1:
            del batch.states[0]
        return Response(body=batch.body())


_EXPIRED = {"code": "batch_expired", "message": "This request could not be executed before the batch expired."}


def _row(custom_id: str, status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": f"row-{custom_id[:8]}", "custom_id": custom_id, "response": {"status_code": status, "body": body}}


def _error_row(custom_id: str, status: int, message: str) -> dict[str, Any]:
    return _row(custom_id, status, {"error": {"message": message, "type": "invalid_request_error"}})


def _form(request: Request) -> dict[str, bytes]:
    """The parts of a multipart/form-data body, by name."""
    boundary = re.search(r'boundary="?([^";]+)"?', request.headers["content-type"])
    assert boundary
    parts = {}
    for part in request.body.split(b"--" + boundary[1].encode())[1:-1]:
        head, content = part.split(b"\r\n\r\n", 1)
        name = re.search(rb'name="([^"]+)"', head)
        assert name
        parts[name[1].decode()] = content.removesuffix(b"\r\n")
    return parts
