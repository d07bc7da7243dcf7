import subprocess
from pathlib import Path

from harness.core import provenance


def test_a_checkout_is_named_by_commit_and_state(tmp_path: Path):
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    assert provenance.git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("2")
    assert provenance.git_state(tmp_path)["dirty"] is True
    (tmp_path / "installed").mkdir()
    assert provenance.git_state(tmp_path / "installed") == {"commit": "unknown", "dirty": None}


def test_packages_that_are_not_installed_are_left_out():
    assert set(provenance.package_versions(("pytest", "no-such-package"))) == {"pytest"}


def test_the_device_is_told_without_importing_torch():
    assert provenance.device()
    assert provenance.provenance() is provenance.provenance()
