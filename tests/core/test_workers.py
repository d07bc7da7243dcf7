import errno
import os
import pickle

import pytest

from harness.core import output, workers
from harness.core.compute import Compute
from harness.core.errors import UserError
from harness.core.limits import Limits
from harness.core.store import Store
from tests.core.sample_steps import numbers


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
