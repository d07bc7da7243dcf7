"""Whether `harness eval` pays for each verdict once, within its budget, at an endpoint that fails in all ways.

    .venv/bin/python -m benchmarks.faulty_endpoint [--evals 100] [--verdicts 200] [--parallel 2] [--json FILE]

The endpoint is a server on loopback that counts: what it answered in full, and what it bills for all that it generated,
whether the client read it or not; what is not read it takes to be as long as the request allows. A third of its answers
are faults: 429 with and without a time to wait, 5xx, silence until the client gives up, cut bodies, half a JSON, a web
page, JSON of wrong types, no choices, no content. Some runs are killed by SIGKILL at a random moment, once or twice.
Each evaluation has a run directory and a server of its own; the same command is run until all verdicts are there, as a
user would whom it tells that --max-usd is reached.

It ends with exit code 1 where a verdict was answered in full more often than once, but for those in flight when a run
was killed; where the server's bill of a run is above --max-usd by more than one request; and where a command ends in
any other way than well or with a line that says that the budget is spent.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.endpoints.known_models import known_model
from tests.chat_server import ChatServer, Faults, Request, Response, content_of

ROOT = Path(__file__).parents[1]
MODEL = "gpt-4.1"
FAULTS = {
    "429": 0.04,
    "429_retry_after": 0.02,
    "500": 0.03,
    "503": 0.03,
    "hang": 0.03,
    "cut": 0.04,
    "truncated_json": 0.03,
    "html": 0.03,
    "odd_json": 0.04,
    "empty_choices": 0.02,
    "null_content": 0.02,
}
NOTHING_GENERATED = ("429", "429_retry_after", "500", "503")
NEVER_READ = ("hang", "cut", "truncated_json", "html")
CONCURRENCY = 8
TIMEOUT_SECONDS = 15.0
"""So long that no busy machine is as silent as a server that hangs: an answer that comes too late is paid again."""
KILLED_SHARE = 0.4
"""Of the evaluations, how many are killed."""
MAX_RUNS = 40
"""Of the same command; an evaluation that needs more does not come to its end."""


class BillingServer(ChatServer):
    """The chat server with a bill in dollars: of all that it generated, whoever read it."""

    def __init__(self, seed: int) -> None:
        super().__init__(latency=0.005, faults=Faults(FAULTS, seed, retry_after="0.2"), models=(MODEL,))
        self.bill = 0.0
        self.dearest = 0.0
        self.drawn: dict[str, int] = {}

    async def _completion(self, request: Request) -> Response:
        body = request.json()
        content = content_of(body)
        fault = self.faults.draw(content, self.calls[content] + 1) or "none"
        self.drawn[fault] = self.drawn.get(fault, 0) + 1
        if fault not in NOTHING_GENERATED:
            usage = self.completion(body)["usage"]
            if fault in NEVER_READ:
                usage["completion_tokens"] = body["max_tokens"]
            usd = _price(usage)
            self.bill, self.dearest = self.bill + usd, max(self.dearest, usd)
        return await super()._completion(request)


def _price(usage: Mapping[str, int]) -> float:
    price = known_model(MODEL).price
    assert price is not None
    return price.usd(usage["prompt_tokens"], usage["completion_tokens"]) or 0.0


@dataclass
class Result:
    """What one evaluation came to. `paid_again` counts full answers to what had had one; `over_budget` is the most
    that the server billed a run above its --max-usd, in requests of the dearest kind (below 0: within it)."""

    seed: int
    runs: int = 0
    kills: int = 0
    verdicts: int = 0
    requests: int = 0
    paid_again: int = 0
    over_budget: float = -1e9
    seconds: float = 0.0
    faults: Mapping[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether all went as it should."""
        return not self.problems and self.paid_again <= self.kills * CONCURRENCY and self.over_budget <= 1


def evaluate(seed: int, verdicts: int, folder: Path) -> Result:
    """Runs one evaluation to its end, killed on the way or not."""
    result, draw, started = Result(seed), random.Random(seed), time.monotonic()
    data, outputs = _files(folder, verdicts // 2)
    moments = _moments(draw, verdicts)
    with BillingServer(seed) as server:
        budget = draw.choice([0.5, 3.0, 6.0])
        command = _command(server.base_url, data, outputs, folder / "run", budget)
        while result.runs < MAX_RUNS:
            result.runs += 1
            before = server.bill
            kill_at = moments.pop() + server.calls.total() if moments else None
            ended, said = _run(command, folder, server, kill_at)
            result.kills += ended == -signal.SIGKILL
            if server.dearest:
                result.over_budget = max(result.over_budget, (server.bill - before - budget) / server.dearest)
            if ended == 0 and "verdicts failed" not in said:
                break
            if "Traceback" in said or not (
                ended in (0, -signal.SIGKILL) or (ended == 2 and "--max-usd" in said.splitlines()[-1])
            ):
                result.problems.append(f"exit code {ended}: {said[-2000:]}")
                break
        else:
            result.problems.append(f"not all verdicts after {MAX_RUNS} runs")
        result.verdicts, result.requests = len(server.served), server.calls.total()
        result.paid_again = server.served.total() - len(server.served)
        result.faults = dict(server.drawn)
    if not result.problems and result.verdicts != verdicts:
        result.problems.append(f"{result.verdicts} verdicts")
    result.seconds = time.monotonic() - started
    return result


def _files(folder: Path, count: int) -> tuple[Path, Path]:
    """Instructions with a baseline's answers, and those of the model that is judged."""
    paths = []
    for name in ("baseline", "model"):
        rows = [
            {"instruction": f"Question {n}: what is {n} + {n}?", "output": f"By {name}: {n}", "generator": name}
            for n in range(count)
        ]
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(json.dumps(rows))
    return paths[0], paths[1]


def _moments(draw: random.Random, verdicts: int) -> list[int]:
    """After how many requests of a run it is killed, run by run; none for most evaluations."""
    if draw.random() >= KILLED_SHARE:
        return []
    return [draw.randrange(1, verdicts // 2) for _ in range(draw.choice([1, 2]))]


def _command(base_url: str, data: Path, outputs: Path, run_dir: Path, budget: float) -> list[str]:
    options = {
        "bench": "pairwise",
        "data": data,
        "outputs": outputs,
        "judge-model": MODEL,
        "judge-base-url": base_url,
        "run-dir": run_dir,
        "timeout": TIMEOUT_SECONDS,
        "concurrency": CONCURRENCY,
        "max-usd": budget,
    }
    return [sys.executable, "-m", "harness", "eval", *(f"--{name}={value}" for name, value in options.items())]


def _run(command: Sequence[str], folder: Path, server: ChatServer, kill_at: int | None) -> tuple[int, str]:
    """Exit code and stderr of one run, killed once the server has had `kill_at` requests in all."""
    log = folder / "stderr.txt"
    environment = {**os.environ, "OPENAI_API_KEY": "sk-of-no-account", "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file, env=environment, cwd=ROOT)
        while process.poll() is None and (kill_at is None or server.calls.total() < kill_at):
            time.sleep(0.01)
        process.kill()  # does nothing to one that has ended
    code = process.wait()
    while server.in_flight:  # what a killed run had sent is answered, or found to be abandoned
        time.sleep(0.01)
    return code, log.read_text()


def evaluate_all(evals: int, verdicts: int, parallel: int, seed: int = 0) -> list[Result]:
    """Runs so many evaluations, each in a folder of its own that is removed afterwards; says how it goes on stderr."""

    def one(number: int) -> Result:
        with tempfile.TemporaryDirectory(prefix="harness-faulty-") as folder:
            result = evaluate(seed + number, verdicts, Path(folder))
        print(f"{number + 1} of {evals}: {'right' if result.is_right else result}", file=sys.stderr, flush=True)
        return result

    with ThreadPoolExecutor(parallel) as pool:
        return list(pool.map(one, range(evals)))


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """The figures of all evaluations together."""
    faults: dict[str, int] = {}
    for result in results:
        for fault, count in result.faults.items():
            faults[fault] = faults.get(fault, 0) + count
    totals = {name: sum(getattr(result, name) for result in results) for name in ("runs", "kills", "requests")}
    return {
        "evals": len(results),
        "right": sum(result.is_right for result in results),
        "verdicts": sum(result.verdicts for result in results),
        **totals,
        "faults": dict(sorted(faults.items())),
        "paid_again": sum(result.paid_again for result in results),
        "paid_again_without_a_kill": sum(result.paid_again for result in results if not result.kills),
        "in_flight_at_kills_at_most": totals["kills"] * CONCURRENCY,
        "most_over_budget_in_requests": max(result.over_budget for result in results),
        "seconds": sum(result.seconds for result in results),
    }


def main() -> None:
    """Prints the figures; exit code 1 unless all evaluations went as they should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evals", type=int, default=100)
    parser.add_argument("--verdicts", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where the figures and each evaluation's go")
    arguments = parser.parse_args()
    results = evaluate_all(arguments.evals, arguments.verdicts, arguments.parallel)
    figures = summary(results)
    print(json.dumps(figures, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps({**figures, "results": [asdict(result) for result in results]}, indent=1))
    sys.exit(figures["right"] < len(results))


if __name__ == "__main__":
    main()
