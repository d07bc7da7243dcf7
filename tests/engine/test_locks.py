import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from harness.engine.locks import locked, locked_at_once, remove_unheld


def test_a_lock_leaves_no_file(tmp_path: Path) -> None:
    with locked(tmp_path / "one.lock"):
        assert (tmp_path / "one.lock").exists()
    assert not list(tmp_path.iterdir())


def test_one_has_it_at_a_time_though_its_file_goes_each_time(tmp_path: Path) -> None:
    inside: list[int] = []
    all_wait = Barrier(5)

    def hold(number: int) -> None:
        with locked(tmp_path / "one.lock", all_wait.wait):
            inside.append(number)
            time.sleep(0.01)
            assert inside == [number]
            inside.remove(number)

    with ThreadPoolExecutor(4) as threads:
        with locked(tmp_path / "one.lock"):
            holding = [threads.submit(hold, number) for number in range(4)]
            all_wait.wait(timeout=60)
        for each in holding:
            each.result()
    assert not list(tmp_path.iterdir())


def test_locks_of_killed_processes_are_removed_and_held_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "run-dead.lock").touch()
    (tmp_path / "other.lock").touch()
    with locked(tmp_path / "run-held.lock"):
        remove_unheld(tmp_path, "run-*.lock")
        assert {path.name for path in tmp_path.iterdir()} == {"run-held.lock", "other.lock"}
        with locked_at_once(tmp_path / "run-held.lock") as is_free:
            assert not is_free
