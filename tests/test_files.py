import errno
import os
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.files import disk_full_error, replace_file, replace_link

NO_ROOM = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS]


@pytest.mark.parametrize("number", NO_ROOM)
def test_a_full_or_read_only_disk_is_named_with_its_place(number: int) -> None:
    told = disk_full_error(OSError(number, os.strerror(number)), Path("runs"))
    assert isinstance(told, UserError)
    assert str(told).startswith(f"cannot write to runs ({os.strerror(number)}); fix that and run the same command")
    assert "cannot write to runs/rows.jsonl" in str(
        disk_full_error(OSError(number, os.strerror(number), "runs/rows.jsonl"), Path("runs"))
    )


def test_a_full_disk_is_found_behind_what_it_led_to() -> None:
    error = RuntimeError("cannot save")
    error.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert disk_full_error(error, Path("runs")) is not None


@pytest.mark.parametrize("error", [ValueError("28"), OSError("no number"), FileNotFoundError(errno.ENOENT, "x")])
def test_any_other_error_is_not_the_disks(error: Exception) -> None:
    assert disk_full_error(error, Path("runs")) is None


def test_what_killed_processes_left_beside_a_file_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".page.html-0a1b2c3d").write_text("half")
    (tmp_path / ".page.html-notes").write_text("somebody's own")
    replace_file(tmp_path / "page.html", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"page.html", ".page.html-notes"}
    assert (tmp_path / "page.html").read_bytes() == b"whole"


def test_a_file_that_another_process_took_for_a_stray_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, calls = os.replace, []

    def first_is_gone(aside: Path, path: Path) -> None:
        calls.append(aside)
        if len(calls) == 1:
            aside.unlink()
        rename(aside, path)

    monkeypatch.setattr(os, "replace", first_is_gone)
    replace_link(tmp_path / "best", "elsewhere")
    assert (len(calls), os.readlink(tmp_path / "best")) == (2, "elsewhere")
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "gone" / "page.html", b"")
