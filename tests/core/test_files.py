import errno
import os
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.core.files import no_room

NO_ROOM = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS]


@pytest.mark.parametrize("number", NO_ROOM)
def test_a_full_or_read_only_disk_is_named_with_its_place(number: int) -> None:
    told = no_room(OSError(number, os.strerror(number)), Path("runs"))
    assert isinstance(told, UserError)
    assert str(told).startswith(f"cannot write to runs ({os.strerror(number)}); see to that and run the same command")
    assert "cannot write to runs/rows.jsonl" in str(
        no_room(OSError(number, os.strerror(number), "runs/rows.jsonl"), Path("runs"))
    )


def test_a_full_disk_is_found_behind_what_it_led_to() -> None:
    error = RuntimeError("cannot save")
    error.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert no_room(error, Path("runs")) is not None


@pytest.mark.parametrize("error", [ValueError("28"), OSError("no number"), FileNotFoundError(errno.ENOENT, "x")])
def test_any_other_error_is_not_the_disks(error: Exception) -> None:
    assert no_room(error, Path("runs")) is None
