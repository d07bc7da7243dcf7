"""A server on loopback that writes what it likes, byte by byte, for answers that no proper server gives."""

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import chain, repeat
from types import TracebackType
from typing import Any, Self

Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Answers each request by `write`, in a thread of its own; a context manager. `requests` are their heads."""

    def __init__(self, write: Write, tls: ssl.SSLContext | None = None) -> None:
        self._write, self._tls = write, tls
        self.requests: list[str] = []

    @property
    def base_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        listening = asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=self._tls)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _cancel_all(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next((line for line in head.lower().split("\r\n") if line.startswith("content-length:")), ":0")
            await reader.readexactly(int(length.split(":")[1]))
            self.requests.append(head)
            await self._write(writer)
        writer.close()


def whole(status: int, body: Any, *headers: str) -> Write:
    """Writes one answer: bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def write(writer: asyncio.StreamWriter) -> None:
        head = "\r\n".join([f"HTTP/1.1 {status} -", f"content-length: {len(content)}", "connection: close", *headers])
        writer.write(f"{head}\r\n\r\n".encode() + content)
        await writer.drain()

    return write


def endless(start: bytes, piece: bytes, status: int = 200) -> Write:
    """Writes `start` and then `piece` for ever, until the client has gone."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} -\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        for part in chain([start], repeat(piece)):
            if part:  # an empty one would be the end
                writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()

    return write
