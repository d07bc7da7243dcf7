"""Loaded into vLLM's own processes: they end with the process that started the engine, however that ends.

A run that is interrupted kills its workers. vLLM's processes would not hear of it, and hold the accelerator for good.
"""

import os
import signal
import threading
import time

OWNER = "HARNESS_VLLM_OWNER"
"""The environment variable with the id of the process that starts the engine."""

SECONDS_BETWEEN_LOOKS = 0.5


class EndsWithOwner:
    """An extension of vLLM's worker class (`worker_extension_cls`) that adds nothing: importing it is what counts."""


def _watch(owner: int) -> None:
    while _lives(owner):
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os.kill(os.getpid(), signal.SIGKILL)  # an engine whose worker dies ends too


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


if OWNER in os.environ and int(os.environ[OWNER]) != os.getpid():
    threading.Thread(target=_watch, args=(int(os.environ[OWNER]),), daemon=True).start()
