import errno
import os
import pickle

import pytest

from harness.engine import output, workers
from harness.engine.compute import Compute
from harness.engine.limits import Limits
from harness.engine.store import Store
from harness.errors import UserError
from tests.engine.sample_steps import numbers


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more_is_one_line(
    store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: int
) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(output, "write_rows", refuse)
    monkeypatch.setattr(workers, "print_to", lambda log: None)  # the terminal stays ours
    outcome = workers.attempt(pickle.dumps(numbers(count=3)), store, Limits(), Compute(), lambda event: None)
    assert isinstance(outcome, workers.Failed)
    assert isinstance(outcome.error(), UserError)
    assert outcome.message.startswith(f"cannot write to {store.root} ({os.strerror(number)})")
    assert not store.has(numbers(count=3))
