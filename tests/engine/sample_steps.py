"""Steps for the tests of store and pipeline, and a command that runs a small graph of them.

They log what they execute to the file named by STEP_LOG, one line an event, so that tests can count.
"""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness.engine.artifacts import Artifact, Output, labels, step
from harness.engine.pipeline import plan, run
from harness.engine.store import Store
from harness.errors import HarnessError, UserError

BATCH = 4


@dataclass(frozen=True, slots=True)
class Item:
    id: str
    value: int


@dataclass(frozen=True)
class Sampling:
    kind: ClassVar[str] = "sampling"
    temperature: float = 0.7
    top_p: float = 0.9


@dataclass(frozen=True)
class Decoding:
    kind: ClassVar[str] = "decoding"
    temperature: float = 0.7
    top_p: float = 0.9


def log(out: Output, event: str) -> None:
    if path := os.environ.get("STEP_LOG"):
        with open(path, "a") as file:
            file.write(f"{out.folder.name.removeprefix('.partial-')} {event}\n")


@step()
def numbers(out: Output, *, count: int, seed: int = 0) -> None:
    log(out, "start")
    draw = random.Random(seed)
    out.write_rows(Item(str(index), draw.randrange(1000)) for index in range(count))


@step(resumable=True)
def squares(out: Output, *, items: Artifact) -> None:
    log(out, "start")
    rows = out.append_rows(Item, key=lambda item: item.id)
    todo = [item for item in items.rows(Item) if item.id not in rows.done]
    tracker = out.track(len(todo) + len(rows.done), "rows", done=len(rows.done))
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        time.sleep(0.02)
        for item in batch:
            log(out, f"row {item.id}")
        rows.append([Item(item.id, item.value**2) for item in batch])
        tracker.advance(len(batch))


@step()
def total(out: Output, *, parts: Sequence[Artifact]) -> None:
    log(out, "start")
    tracker = out.track(len(parts), "parts")
    for part in parts:
        time.sleep(0.02)
        tracker.advance()
        out.counts["total"] = out.counts.get("total", 0) + sum(item.value for item in part.rows(Item))
    out.write_json("total.json", out.counts["total"])


@step()
def choose(
    out: Output,
    *,
    first: Artifact,
    many: Sequence[Artifact] = (),
    sampling: Sampling | Decoding = Sampling(),
    options: object = None,
    seed: int = 0,
) -> None:
    pass


@step()
def describe_process(out: Output, *, after: Sequence[Artifact] = (), name: str = "") -> None:
    print("this goes to a log, not to the terminal")
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM", "PYTHONHASHSEED")
    out.write_json("process.json", {"pid": os.getpid(), **{name: os.environ[name] for name in names}})


@step()
def ask_user(out: Output, *, after: Sequence[Artifact] = ()) -> None:
    raise UserError("no model in /nowhere;\n name another one")


@step()
def break_down(out: Output) -> None:
    print("before the fall")
    raise ZeroDivisionError("something unexpected")


@step()
def get_killed(out: Output) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@step()
def sleep_long(out: Output) -> None:
    log(out, f"pid {os.getpid()}")
    time.sleep(60)


@step()
def remove(out: Output, *, items: Artifact, place: str, flag: str) -> None:
    """Removes what `place` says before it goes on, the first time: its own folder, its input's, a file, the store."""
    places = {
        "own folder": out.folder,
        "input": items.folder,
        "input's rows": items.folder / "rows.jsonl",
        "store": out.folder.parents[1],
    }
    if not Path(flag).exists():
        Path(flag).touch()
        shutil.rmtree(places[place]) if places[place].is_dir() else places[place].unlink()
    out.write_rows(items.rows(Item))


@step()
def remove_quietly(out: Output, *, items: Artifact, flag: str) -> None:
    """Removes its input once it needs that no more, the first time: others may."""
    if not Path(flag).exists():
        Path(flag).touch()
        shutil.rmtree(items.folder)
    out.write_rows([])


@step(work="generation")
def occupy(out: Output, *, after: Sequence[Artifact] = (), name: str = "") -> None:
    _occupy(out)


@step(work="training")
def occupy_much(out: Output, *, after: Sequence[Artifact] = (), name: str = "") -> None:
    _occupy(out)


def _occupy(out: Output) -> None:
    """Tells when the step ran and what of the machine it sees."""
    started = time.monotonic()
    time.sleep(0.3)
    seen = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
    out.write_json("seen.json", {"pid": os.getpid(), "started": started, "ended": time.monotonic(), **seen})


@step(work="asking")
def ask(out: Output, *, name: str = "") -> None:
    out.write_json("asked.json", {"pid": os.getpid(), "parent": os.getppid()})


@step(resumable=True)
def count_slowly(out: Output, *, to: int, after: Sequence[Artifact] = ()) -> None:
    """Counts five a second, and says on which node of a cluster."""
    log(out, f"start {_node()}")
    rows = out.append_rows(Item, key=lambda item: item.id)
    for number in range(len(rows.done), to):
        time.sleep(0.2)
        rows.append([Item(str(number), number)])
        log(out, f"row {number}")


@step()
def where(out: Output, *, after: Sequence[Artifact] = (), name: str = "", meeting: str = "") -> None:
    """Says on which node of a cluster it runs; two of one `meeting`, a folder, wait until both do."""
    log(out, f"start {_node()}")
    if meeting:
        (Path(meeting) / out.folder.name).touch()
        while len(os.listdir(meeting)) < 2:
            time.sleep(0.05)
    out.write_json("where.json", {"node": _node(), "folders": [str(each.folder) for each in after]})


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def sample_graph() -> list[Artifact]:
    """Twelve steps: three chains of two, their sums in two ways, some shared."""
    parts = []
    for seed in range(3):
        with labels(f"seed {seed}"):
            parts.append(squares(items=numbers(count=20, seed=seed)))
    return [total(parts=parts), *(total(parts=[part, parts[0]]) for part in parts)]


def build(targets: Iterable[Artifact], store: Store) -> None:
    """Makes what `run` would, without its processes."""
    for artifact in plan(targets, store).missing:
        store.build(artifact)


if __name__ == "__main__":
    try:
        run([sleep_long()] if sys.argv[1] == "sleep" else sample_graph(), Store(Path(sys.argv[2])), jobs=2)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
