import pickle

import pytest

from harness.errors import Interrupted, StepFailed, UserError, WorkerDied, nearest, unknown


def test_a_user_error_is_one_line_and_exits_with_2():
    error = UserError("no such model\n  in /tmp")
    assert str(error) == "no such model in /tmp"
    assert error.exit_code == 2


def test_a_worker_that_dies_for_want_of_memory_is_for_the_user_to_mend():
    assert (WorkerDied("a").exit_code, StepFailed("a").exit_code) == (2, 1)


@pytest.mark.parametrize("error", [UserError("a b"), StepFailed("a\nb"), WorkerDied("a"), Interrupted("a")])
def test_errors_survive_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.exit_code) == (type(error), str(error), error.exit_code)


def test_a_typo_is_answered_with_the_nearest_name():
    assert nearest("sgop", ["dpo", "sft", "sgpo"]) == "sgpo"
    assert nearest("zzz", ["dpo", "sft"]) is None
    assert str(unknown("method", "sgop", ["sft", "sgpo", "dpo"])) == (
        "unknown method 'sgop'; did you mean 'sgpo'? (known: dpo, sft, sgpo)"
    )
    assert str(unknown("method", "zzz", [])) == "unknown method 'zzz' (known: none)"
