"""What must not move: keys, defaults, losses, and what a whole run of the embedded scale contains.

Where one of these fails and the change is meant, ``python -m tests.golden`` pins it anew.
"""

import dataclasses
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.artifacts import step
from harness.engine.output import Output
from tests.golden import pinned
from tests.golden.trajectories import STEPS, losses

ROOT = Path(__file__).parents[1]
BASE = ROOT / "harness/mini/models/llama"


def test_keys_stay() -> None:
    """A change here makes artifacts of every store worthless. Raise a step's version, and nothing else, to move its."""
    assert pinned.keys() == pinned.read("keys")


def test_defaults_stay() -> None:
    """A default is no part of a key: under another one a stored artifact would pass for what it is not."""
    assert pinned.defaults() == pinned.read("defaults")


def test_alternatives_are_told_apart_by_their_kind() -> None:
    """Classes that can stand in one place, as losses do, are in a key by their fields and their `kind` alone."""
    for name, members in pinned.alternatives().items():
        kinds = [getattr(member, "kind", None) for member in members]
        assert None not in kinds and len(set(kinds)) == len(kinds), name


def test_losses_stay(tmp_path: Path) -> None:
    """Each loss within what another order of summation changes, and no drift: the differences average to 0.

    They were made by TRL 1.16's own SFT and DPO trainers, on the same rows in the same order.
    """
    found = losses(BASE, tmp_path)
    for name, known in pinned.read("losses").items():
        assert len(found[name]) == STEPS
        assert found[name] == pytest.approx(known, abs=1e-5)
        assert abs(fmean(one - other for one, other in zip(found[name], known, strict=True))) < 5e-6


settings = st.dictionaries(st.sampled_from(["early", "late", "size"]), st.integers(0, 3))


@given(given_before=settings, default=st.none() | st.booleans() | st.integers() | st.text(max_size=3))
def test_a_setting_that_is_added_with_a_default_changes_no_key(given_before: dict[str, int], default: object) -> None:
    """Neither as a field of a settings class nor as a parameter of a step; what differs from the default does."""
    fields = [(name, int, dataclasses.field(default=0)) for name in ("early", "late", "size")]
    before = dataclasses.make_dataclass("Settings", fields, frozen=True)
    after = dataclasses.make_dataclass("Settings", [*fields, ("new", object, default)], frozen=True)

    def body(out: Output, *, settings: object, seed: int = 0) -> None: ...

    def grown(out: Output, *, settings: object, seed: int = 0, another: object = default) -> None: ...

    def key(function: Any, made: type, **more: object) -> str:
        function.__qualname__ = function.__name__ = "body"
        return step()(function)(settings=made(**given_before, **more)).key

    assert key(body, before) == key(body, after) == key(grown, after)
    assert key(body, after, new="something else") != key(body, before)


@pytest.mark.slow
def test_contents_stay(tmp_path: Path) -> None:
    """Every artifact of ``harness reproduce all --fast`` holds the bytes that it held, on a like processor."""
    known = pinned.read("contents")
    if pinned.processor() != {name: known[name] for name in pinned.processor()}:
        pytest.skip(f"pinned with torch {known['torch']} on {known['instructions']}")
    command = [sys.executable, "-m", "harness", "reproduce", "all", "--fast", "--run-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert pinned.contents(tmp_path) == known
