"""Trainings that make their own pairs: what is looked at before them."""

import pytest

from tests.command import Harness

RUN = ("sapo/table3", "--fast", "--methods", "sapo-orpo")


@pytest.mark.parametrize("command", ["doctor", "plan"])
def test_they_are_looked_at_like_others(harness: Harness, command: str) -> None:
    outcome = harness(command, *RUN)
    assert outcome.exit_code == 0, outcome
    assert "sapo-orpo" in outcome.out or "ok" in outcome.out


def test_one_that_would_be_spread_is_refused_beforehand(harness: Harness) -> None:
    outcome = harness("doctor", *RUN, "--accelerate", "fsdp", "--processes", "2")
    assert outcome.exit_code == 2
    assert "makes its own pairs runs in one process, not with accelerate: fsdp" in " ".join(outcome.out.split())
