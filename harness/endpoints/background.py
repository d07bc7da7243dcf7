"""Asynchronous work for a caller that is not."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


def in_background(work: Callable[[Callable[[T], None]], Coroutine[Any, Any, None]]) -> Generator[T, None, None]:
    """Yield what `work` hands over while it runs in the event loop of a thread of its own.

    Its requests go on while the caller is busy. Raises what it raises; cancels it when closed.
    """
    end = object()
    items: SimpleQueue[Any] = SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(work(items.put))

    def run() -> None:
        try:
            loop.run_until_complete(asyncio.wait([task]))
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            items.put(end)

    thread = threading.Thread(target=run, name="judge", daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not end:
            yield item
        task.result()
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
