"""What other code, or other inputs, have made is named; made again, it is made with what follows and nothing else."""

import importlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.artifacts import Artifact
from harness.engine.pipeline import plan, run
from harness.engine.staleness import artifact_around, in_folders, staleness
from harness.engine.store import Store
from harness.run.evidence import look_at_files
from tests.sources import forget_sources

STEPS = """
import os

from harness.engine.artifacts import step
from their_package.helpers import twice


def log(name):
    with open(os.environ["STEP_LOG"], "a") as file:
        file.write(name + " ")


@step()
def their_count(out, *, start):
    log("count")
    out.write_json("value.json", start)


@step()
def their_double(out, *, value):
    log("double")
    out.write_json("value.json", twice(value.json("value.json")))


@step()
def their_negation(out, *, value):
    log("negate")
    out.write_json("value.json", -value.json("value.json"))


@step(resumable=True)
def their_list(out, *, value):
    log("list")
    path = out.folder / "value.json"
    path.write_text((path.read_text() if path.exists() else "") + str(twice(1)))
    if os.environ.get("FAIL"):
        raise RuntimeError
"""
HELPERS = """
def twice(value):
    return 2 * value
"""
OTHER = HELPERS.replace("2 * value", "20 * value")
SAME_RESULT = HELPERS.replace("2 * value", "value + value")


class Lab:
    """A package of somebody else's with steps, and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write()
        self.steps: Any = importlib.import_module("their_package.steps")
        count = self.steps.their_count(start=3)
        double = self.steps.their_double(value=count)
        self.count, self.double = count, double
        self.targets = [self.steps.their_negation(value=double), self.steps.their_negation(value=count)]

    def write(self, helpers: str = HELPERS, steps: str = STEPS) -> None:
        package = self.folder / "their_package"
        package.mkdir(exist_ok=True)
        for name, text in (("__init__.py", ""), ("helpers.py", helpers), ("steps.py", steps)):
            if not (package / name).exists() or (package / name).read_text() != text:
                (package / name).write_text(text)
        forget_sources()
        for name in ("their_package.helpers", "their_package.steps"):
            if name in sys.modules:
                importlib.reload(sys.modules[name])

    def store(self, *, remakes_stale: bool = False) -> Store:
        return Store(self.folder / "store", remakes_stale=remakes_stale)

    def run(self, targets: list[Artifact] | None = None, *, remakes_stale: bool = False) -> Counter[str]:
        """The steps that a run executed, by name."""
        log = Path(os.environ["STEP_LOG"])
        log.write_text("")
        run(targets or self.targets, self.store(remakes_stale=remakes_stale), jobs=1)
        return Counter(log.read_text().split())

    def value(self, artifact: Artifact) -> Any:
        return self.store().bind(artifact).json("value.json")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("STEP_LOG", str(tmp_path / "log"))
    yield Lab(tmp_path)
    for name in ("their_package.steps", "their_package.helpers", "their_package"):
        sys.modules.pop(name, None)
    forget_sources()


def test_nothing_is_stale_without_a_change_of_code(lab: Lab) -> None:
    assert lab.run() == {"count": 1, "double": 1, "negate": 2}
    lab.write(HELPERS + "# a remark\n")
    found = lab.store().staleness(lab.targets)
    assert (found.lines, found.unknown_line, found.keys) == ([], "", frozenset())


def test_a_changed_step_of_another_package_is_named_with_what_follows(lab: Lab) -> None:
    lab.run()
    lab.write(OTHER)
    found = lab.store().staleness(lab.targets)
    assert found.lines == [
        "code of their_double changed since 1 of its artifacts was made: their_package.helpers; 1 more follow from them"
    ]
    assert found.why(lab.double.key) == "code changed since: their_package.helpers"
    assert found.why(lab.targets[0].key) == "made from stale artifacts"
    assert found.why(lab.targets[1].key) == found.why(lab.count.key) == ""
    assert lab.run() == {}  # named, and gone on with
    assert lab.value(lab.targets[0]) == -6


def test_made_again_is_what_changed_and_what_follows_and_nothing_else(lab: Lab) -> None:
    lab.run()
    lab.write(OTHER)
    assert lab.run(remakes_stale=True) == {"double": 1, "negate": 1}
    assert [lab.value(target) for target in lab.targets] == [-60, -3]
    assert lab.store().staleness(lab.targets).lines == []
    assert lab.run(remakes_stale=True) == {}


def test_what_follows_a_result_that_came_out_as_before_stays(lab: Lab) -> None:
    lab.run()
    lab.write(SAME_RESULT)
    assert lab.run(remakes_stale=True) == {"double": 1}
    assert lab.store().staleness(lab.targets).lines == []


def test_a_run_killed_between_a_step_and_what_follows_it_leaves_nothing_unsaid(lab: Lab) -> None:
    lab.run()
    lab.write(OTHER)
    store = lab.store(remakes_stale=True)
    store.build(lab.double)
    found = lab.store().staleness(lab.targets)
    assert found.lines == ["inputs of their_negation came out otherwise since 1 of its artifacts was made"]
    assert lab.run(remakes_stale=True) == {"negate": 1}
    assert lab.value(lab.targets[0]) == -60


def test_what_a_killed_run_began_with_other_code_is_named_or_begun_anew(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.run([lab.count])
    first, second = (lab.steps.their_list(value=each) for each in (lab.count, lab.double))
    lab.store().build(lab.double)
    monkeypatch.setenv("FAIL", "1")
    for each in (first, second):
        with pytest.raises(RuntimeError):
            lab.store().build(each)
    monkeypatch.delenv("FAIL")
    lab.write(OTHER)
    assert lab.store().build(first)
    assert lab.value(first) == 220  # half of it by the code of before
    assert [line.partition(" since")[0] for line in lab.store().staleness([first]).lines] == [
        "code of their_list changed"
    ]
    assert lab.store(remakes_stale=True).build(second)
    assert lab.value(second) == 20


def test_two_that_make_a_stale_artifact_again_make_it_once(lab: Lab) -> None:
    lab.run()
    lab.write(OTHER)
    first, second = lab.store(remakes_stale=True), lab.store(remakes_stale=True)
    assert plan(lab.targets, first).missing == plan(lab.targets, second).missing == (lab.double, lab.targets[0])
    assert first.build(lab.double)
    assert not second.build(lab.double)


@pytest.mark.parametrize(
    "record", [{"code": None}, {"provenance": {"python": "2.7.18"}}], ids=["no code on record", "another Python"]
)
def test_what_cannot_be_compared_is_said_and_not_called_stale(lab: Lab, record: dict[str, Any]) -> None:
    lab.run()
    path = lab.store().folder(lab.double) / "artifact.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **record}))
    lab.write(OTHER)
    found = lab.store().staleness(lab.targets)
    assert found.lines == []
    assert found.unknown_line.startswith(
        "whether the code of their_double changed since 1 of its artifacts was made cannot be told"
    )


def test_files_of_a_store_are_looked_at_without_the_graph(lab: Lab, tmp_path: Path) -> None:
    lab.run()
    lab.write(OTHER)
    link = tmp_path / "link"
    link.symlink_to(lab.store().folder(lab.targets[0]) / "value.json")
    folder = artifact_around(link)
    assert folder == lab.store().folder(lab.targets[0])
    made = in_folders([folder])
    assert [each["step"] for each in made] == ["their_count", "their_double", "their_negation"]
    found = staleness(made)
    assert set(found.changed) == {lab.double.key}
    assert artifact_around(tmp_path) is None


def test_to_look_at_files_writes_nothing(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    lab.run()
    lab.write(OTHER)
    root = lab.store().root
    before = contents(root)
    found = look_at_files([lab.store().folder(target) for target in lab.targets], "warn")
    assert set(found.changed) == {lab.double.key}
    assert "code of their_double changed" in capfd.readouterr().err
    assert contents(root) == before


def contents(folder: Path) -> dict[Path, int]:
    """All there is in a folder, with the time of its last change."""
    return {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def test_staleness_is_found_without_torch(lab: Lab) -> None:
    lab.run()
    script = (
        "import sys; from pathlib import Path; from harness.run.evidence import look_at_files;"
        "look_at_files([Path(sys.argv[1])], 'warn'); assert 'torch' not in sys.modules"
    )
    lab.write(OTHER)
    told = subprocess.run(
        [sys.executable, "-c", script, str(lab.store().folder(lab.targets[0]))],
        env={**os.environ, "PYTHONPATH": f"{lab.folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "code of their_double changed since 1 of its artifacts was made: their_package.helpers" in told.stderr
