"""`--quiet`: nothing of how far a command is, and all else as without it."""

import pytest

from harness.terminal import progress_stream
from tests.command import Harness
from tests.mends import COMMANDS, options_of


def test_the_commands_that_take_long_have_it() -> None:
    with_it = {name for name in COMMANDS if "--quiet" in options_of(name)}
    assert with_it == {"reproduce", "sweep", "eval", "compare", "regress"}


@pytest.mark.usefixtures("in_this_process")
def test_a_run_prints_its_result_alone(harness: Harness) -> None:
    asked = ("eval", "--bench", "arena_hard", "--model", "mini:llama", "--limit", "4")
    quiet = harness(*asked, "--quiet", "--run-dir", "quiet")
    plain = harness(*asked, "--run-dir", "plain")
    assert (quiet.exit_code, plain.exit_code) == (0, 0), quiet.err + plain.err
    assert quiet.out == plain.out
    assert "load_model" in plain.err
    [where] = quiet.err.splitlines()  # which is no progress
    assert where.startswith("arena_hard: rows and scores are in ")


def test_errors_are_printed_still_and_the_next_command_is_not_quiet(harness: Harness) -> None:
    import sys

    outcome = harness("compare", "nowhere", "--methods", "a,b", "--quiet")
    assert outcome.exit_code == 2 and outcome.err.startswith("error: ")
    assert progress_stream() is sys.stderr
