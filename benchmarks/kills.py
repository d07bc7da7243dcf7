"""Kills runs at every stage, runs them again, and looks whether anything is another or left over.

    .venv/bin/python benchmarks/kills.py --kills 60 [--json FILE]

A command is killed once in each of its stages, by SIGKILL or SIGTERM to the parent alone, at a random moment; each time
the same command goes on from there. Five seconds after each kill no process or temporary file may be left of it. The
last goes on to its end, and must come to the artifacts and reports of an undisturbed run, byte for byte, and leave no
lock, log or half of anything. Then all of it begins anew in another folder.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PATIENCE = 5.0
"""Seconds in which all that was started must be gone."""
MAX_WAIT = 0.5
"""Seconds into a stage, at most, at which it is killed."""
MARK = "HARNESS_KILLS"
"""A variable of the environment by which the processes of one command are found."""

STAGES: dict[str, tuple[str, ...]] = {
    "training": ("train_",),
    "sampling": ("respond", "refine"),
    "judging": ("judge_",),
    "scoring": ("score_", "length_calibration", "compare_"),
}
"""How the steps of each stage begin, in the order in which a run comes to them. Others belong to none."""


@dataclass(frozen=True)
class Command:
    """What is run, what it writes beside its store, and the stages at which it is killed."""

    name: str
    words: str
    report: str
    stages: tuple[str, ...]


COMMANDS = (
    Command(
        "reproduce",
        "reproduce table3 --fast --limit {limit} --methods sft,dpo",
        "run/sgpo/table3",
        ("preflight", *STAGES, "reporting"),
    ),
    Command(
        "eval",
        "eval --bench alpaca_eval2 --bench arena_hard --model mini:llama --json --limit {limit}",
        "",
        ("starting", "sampling", "judging", "scoring"),
    ),
)


@dataclass
class Kill:
    """One kill, and what came of it."""

    command: str
    chain: int
    """Of the kills in one folder."""
    stage: str
    signal: str
    exit_code: int
    clear_after: float | None
    """Seconds until nothing was left of it; None: not within `PATIENCE`."""
    left: list[str]
    """What was there after that: processes and temporary files."""


@dataclass
class Chain:
    """Kills in one folder, and in what the finished run differs from the undisturbed one, or what it left lying."""

    kills: list[Kill] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


class Place:
    """A folder in which a command runs, and its own folder for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.temporary = folder, folder / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.store = folder / "run" / "store"

    def start(self, command: Command, limit: int) -> "subprocess.Popen[str]":
        """Starts the command; what it prints goes to files."""
        words = command.words.format(limit=limit).split()
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("w") as err:
            return subprocess.Popen(
                [sys.executable, "-m", "harness", *words, "--run-dir", "run"],
                cwd=self.folder,
                env={**os.environ, "TMPDIR": str(self.temporary), MARK: str(self.folder), "PYTHONPATH": str(ROOT)},
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
            )

    def finish(self, command: Command, limit: int) -> str:
        """Runs the command to its end; what went wrong."""
        code = self.start(command, limit).wait()
        return f"the run after it ended with {code}: {(self.folder / 'err').read_text()[-500:]}" if code else ""

    def stage(self, command: Command, whole: int) -> str:
        """In which stage the command is that runs here, which makes `whole` artifacts; "" between them."""
        partial = [path.parent.name for path in self.store.glob("*/.partial-*")]
        for stage, starts in STAGES.items():
            if any(step.startswith(starts) for step in partial):
                return stage
        if command.report and len(artifacts(self.store)) == whole:
            return "reporting"
        printed = (self.folder / "err").read_text()
        if command.report and "in all" in printed and "preflight:" not in printed:
            return "preflight"
        return "starting" if not printed else ""

    def processes(self) -> list[str]:
        """What runs of the command, each as it was called."""
        return [f"process {id}: {called}" for id, called in _marked(f"{MARK}={self.folder}")]

    def left(self) -> list[str]:
        """Processes and temporary files."""
        return self.processes() + [f"temporary: {path.name}" for path in self.temporary.iterdir()]

    def lying(self) -> list[str]:
        """What a finished run must not leave in its folder."""
        hidden = [path for path in self.folder.rglob(".*") if path.name not in KEPT and not _is_mark(path)]
        inside = [path for name in (".locks", ".logs") for path in (self.store / name).glob("*")]
        return [str(path.relative_to(self.folder)) for path in (*hidden, *inside)]


KEPT = {".locks", ".logs", ".kept"}
"""Hidden names that a store has."""


def _is_mark(path: Path) -> bool:
    """Whether it is a file of a finished artifact's payload."""
    return path.name == ".rows.jsonl.mark" and not path.parent.name.startswith(".")


def _marked(mark: str) -> Iterator[tuple[int, str]]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                yield int(process.name), (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
        except OSError:
            continue


def artifacts(store: Path) -> dict[str, dict[str, Any]]:
    """The records of a store by place, without what differs from run to run."""
    found = {}
    for path in store.glob("[!.]*/[!.]*/artifact.json"):
        record = json.loads(path.read_bytes())
        found[str(path.parent.relative_to(store))] = {name: record.get(name) for name in ("content", "counts", "files")}
    return found


def payload(store: Path) -> dict[str, bytes]:
    """Every file of every artifact, but for records."""
    files = (path for path in store.glob("[!.]*/[!.]*/**/*") if path.is_file() and path.name != "artifact.json")
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


def reported(place: Place, command: Command) -> dict[str, Any]:
    """The numbers that the command reports, by file."""
    if command.report:
        files = (place.folder / command.report).glob("*.csv")
        manifest = json.loads((place.folder / command.report / "manifest.json").read_bytes())
        parts = {name: manifest.get(name) for name in ("results", "claims")}
        return {path.name: path.read_bytes() for path in files} | parts
    printed = json.loads((place.folder / "out").read_bytes())
    return {bench: {name: value for name, value in each.items() if name != "folder"} for bench, each in printed.items()}


class Series:
    """An undisturbed run of a command, and kills of the same command."""

    def __init__(self, command: Command, root: Path, limit: int) -> None:
        self.command, self.root, self.limit = command, root, limit
        self.undisturbed = Place(root / command.name / "undisturbed")
        if wrong := self.undisturbed.finish(command, limit):
            sys.exit(wrong)
        self.payload, self.records = payload(self.undisturbed.store), artifacts(self.undisturbed.store)
        self.report = reported(self.undisturbed, command)
        if lying := self.undisturbed.lying():
            sys.exit(f"the undisturbed run leaves {lying}")

    def chain(self, number: int, draw: random.Random) -> Chain:
        """Kills the command in one stage after the other, lets it come to its end, and compares."""
        place, found = Place(self.root / self.command.name / f"chain-{number}"), Chain()
        for stage in self.command.stages:
            by = draw.choice((signal.SIGKILL, signal.SIGTERM))
            if kill := self._kill(place, number, stage, by, draw.uniform(0, MAX_WAIT)):
                found.kills.append(kill)
                print(asdict(kill), flush=True)
        found.differences = list(self._differences(place))
        shutil.rmtree(place.folder, ignore_errors=True)
        return found

    def _kill(self, place: Place, chain: int, stage: str, by: signal.Signals, wait: float) -> Kill | None:
        """Kills the command `wait` seconds into the stage; None where it did not come to it, or was through."""
        process = place.start(self.command, self.limit)
        if self._wait_for(process, place, stage):
            time.sleep(wait)
        if process.poll() is not None:
            return None
        process.send_signal(by)
        code = process.wait()
        clear = _until_clear(place)
        return Kill(self.command.name, chain, stage, by.name, code, clear, place.left() if clear is None else [])

    def _wait_for(self, process: "subprocess.Popen[str]", place: Place, stage: str) -> bool:
        while process.poll() is None:
            if place.stage(self.command, len(self.records)) == stage:
                return True
            time.sleep(0.005)
        return False

    def _differences(self, place: Place) -> Iterator[str]:
        if wrong := place.finish(self.command, self.limit):
            yield wrong
            return
        yield from (f"other artifact: {name}" for name in _unlike(artifacts(place.store), self.records))
        yield from (f"other bytes: {name}" for name in _unlike(payload(place.store), self.payload))
        yield from (f"other numbers: {name}" for name in _unlike(reported(place, self.command), self.report))
        still = [] if _until_clear(place) is not None else place.left()
        yield from (f"lies about: {name}" for name in place.lying() + still)


def _unlike(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))


def _until_clear(place: Place) -> float | None:
    began = time.monotonic()
    while (seconds := time.monotonic() - began) < PATIENCE:
        if not place.left():
            return round(seconds, 2)
        time.sleep(0.02)
    return None


def run(kills: int, limit: int, seed: int, root: Path, names: Sequence[str]) -> Iterator[Chain]:
    """Yields chains of kills, of one command after the other, until there are `kills` of them."""
    draw = random.Random(seed)
    series = [Series(command, root, limit) for command in COMMANDS if command.name in names]
    made = number = 0
    while made < kills:
        found = series[number % len(series)].chain(number, draw)
        made, number = made + len(found.kills), number + 1
        yield found


def summary(chains: Sequence[Chain]) -> dict[str, Any]:
    """Figures of all kills."""
    kills = [kill for chain in chains for kill in chain.kills]
    clear = [kill.clear_after for kill in kills if kill.clear_after is not None]
    return {
        "kills": len(kills),
        "by_stage": dict(Counter(f"{kill.command} {kill.stage}" for kill in kills)),
        "by_signal": dict(Counter(f"{kill.signal}, exit code {kill.exit_code}" for kill in kills)),
        "chains": len(chains),
        "chains_unlike": sum(bool(chain.differences) for chain in chains),
        "not_clear": len(kills) - len(clear),
        "slowest_to_clear": max(clear, default=None),
        "differences": [line for chain in chains for line in chain.differences],
        "left": [asdict(kill) for kill in kills if kill.left],
    }


def main() -> None:
    """Prints a line for each kill, and the figures; exit code 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--limit", type=int, default=8, help="rows of each data set")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--command", choices=[command.name for command in COMMANDS], action="append")
    parser.add_argument("--json", type=Path, help="where the figures go")
    asked = parser.parse_args()
    chains: list[Chain] = []
    with tempfile.TemporaryDirectory(prefix="kills-") as root:
        names = asked.command or [command.name for command in COMMANDS]
        for chain in run(asked.kills, asked.limit, asked.seed, Path(root), names):
            chains.append(chain)
            print(f"{sum(len(each.kills) for each in chains)} kills; differences: {chain.differences}", flush=True)
    figures = summary(chains)
    print(json.dumps(figures, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(bool(figures["differences"] or figures["left"]))


if __name__ == "__main__":
    main()
