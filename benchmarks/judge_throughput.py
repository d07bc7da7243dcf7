"""How many verdicts a second the judge client gets, as a share of what latency and concurrency allow.

    .venv/bin/python benchmarks/judge_throughput.py [--requests 3200] [--concurrency 64] [--latency 0.2]

The server runs in a process of its own on loopback and answers after `latency` seconds, with log-probabilities; the
ideal is concurrency / latency. Prompts are as long as AlpacaEval's usually are. What is timed is what a judging step
does: from the first request to the last reply, each one recorded on the disk. Bare sockets are timed beside it, since
on a machine that is busy otherwise even they stay below the ideal.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from harness.endpoints.client import OpenAIJudge
from harness.endpoints.protocol import ChatReply, ChatRequest, Message
from harness.endpoints.reference import EndpointReference
from harness.endpoints.wire_format import request_body
from harness.engine.limits import Limits

ROOT = Path(__file__).parents[1]
PROMPT_CHARACTERS = 6000


def requests(count: int) -> list[ChatRequest]:
    """Different ones, each for one token with log-probabilities."""
    texts = (f"{number} ".ljust(PROMPT_CHARACTERS, "x") for number in range(count))
    return [ChatRequest((Message("user", text),), 1, 0.0, top_logprobs=5) for text in texts]


def measure_judge(base_url: str, asked: list[ChatRequest], concurrency: int) -> tuple[float, float]:
    """(verdicts a second from the first request to the last reply, processor seconds a verdict) of the judge client."""
    with tempfile.TemporaryDirectory(prefix="harness-judge-") as folder:
        judge = OpenAIJudge(EndpointReference("judge-1", base_url), Limits(concurrency), Path(folder))
        warm_up = ChatRequest((Message("user", "warm up"),), 1, 0.0)
        assert len(list(judge.replies([warm_up]))) == 1  # the SDK's import is not what is measured
        started, busy = time.monotonic(), time.process_time()
        replies = [reply for _, reply in judge.replies(asked)]
        seconds, busy = time.monotonic() - started, time.process_time() - busy
    assert all(isinstance(reply, ChatReply) for reply in replies)
    return len(asked) / seconds, busy / len(asked)


def measure_sockets(base_url: str, asked: list[ChatRequest], concurrency: int) -> float:
    """Replies a second of bare sockets that send the same bodies, and read nothing out of what comes back."""
    address = urlsplit(base_url)
    head = f"POST {address.path}/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-length: "
    bodies = iter([json.dumps(request_body(EndpointReference("judge-1", base_url), request)) for request in asked])

    async def work() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for body in bodies:
            writer.write(f"{head}{len(body)}\r\n\r\n{body}".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(answer.split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.close()

    async def work_all() -> None:
        await asyncio.gather(*(work() for _ in range(concurrency)))

    started = time.monotonic()
    asyncio.run(work_all())
    return len(asked) / (time.monotonic() - started)


def main() -> None:
    """Prints the throughput, what is possible, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3200)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.2)
    arguments = parser.parse_args()
    asked = requests(arguments.requests)
    command = [sys.executable, "-m", "tests.chat_server", "--latency", str(arguments.latency)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        base_url = server.stdout.readline().strip()
        bare = measure_sockets(base_url, asked, arguments.concurrency)
        rate, busy = measure_judge(base_url, asked, arguments.concurrency)
    finally:
        server.kill()
    ideal = arguments.concurrency / arguments.latency
    print(f"{rate:.0f} verdicts a second, {1e3 * busy:.2f} ms of processor time each")
    print(
        f"{rate / ideal:.2f} of the ideal {ideal:.0f}, {rate / bare:.2f} of the {bare:.0f} that bare sockets reach here"
    )


if __name__ == "__main__":
    main()
