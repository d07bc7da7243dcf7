"""The driver that kills runs (`benchmarks/kills.py`), on a few kills."""

import random
from pathlib import Path

import pytest

from benchmarks.kills import COMMANDS, Place, Series


def test_what_a_run_leaves_in_its_folder_is_seen(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (place.store / "respond" / ".partial-key").mkdir(parents=True)
    (place.store / ".locks").mkdir()
    (place.store / ".locks" / "key.lock").touch()
    (place.temporary / "harness-x").mkdir()
    assert sorted(place.lying()) == ["run/store/.locks/key.lock", "run/store/respond/.partial-key"]
    assert place.left() == ["temporary: harness-x"]


def test_a_payloads_own_hidden_file_is_its_own(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (place.store / "respond" / "key").mkdir(parents=True)
    (place.store / "respond" / "key" / ".rows.jsonl.mark").touch()
    assert not place.lying()


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_killed_run_goes_on_to_the_same_results_and_leaves_nothing(tmp_path: Path, command: object) -> None:
    chain = Series(command, tmp_path, limit=8).chain(0, random.Random(0))  # type: ignore[arg-type]
    assert len(chain.kills) >= 3
    assert not [kill for kill in chain.kills if kill.left]
    assert not chain.differences
