import json
import os
import subprocess
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from harness import provenance


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


def test_a_checkout_is_looked_at_and_not_written_to(tmp_path: Path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "file").write_text("1")
    subprocess.run(["git", "-C", str(tmp_path), "add", "file"], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(tmp_path), *identity, "commit", "-qm", "first"], check=True)
    index = tmp_path / ".git" / "index"
    os.utime(tmp_path / "file", (1, 1))  # for which git would write the index anew, under a lock
    before = index.read_bytes()
    assert provenance.git_state(tmp_path)["dirty"] is False
    assert index.read_bytes() == before


def test_packages_that_are_not_installed_are_left_out():
    assert set(provenance.package_versions(("pytest", "no-such-package"))) == {"pytest"}


def test_the_device_is_told_without_importing_torch():
    assert provenance.device()
    assert provenance.provenance() is provenance.provenance()


def distribution(folder: Path, source: object) -> Distribution:
    """An installed package, with what pip writes down of where it came from."""
    info = folder / "their_package-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.2\n")
    if source is not None:
        (info / "direct_url.json").write_text(json.dumps(source))
    return Distribution.at(info)


@pytest.mark.parametrize(
    ("source", "commit"),
    [
        (None, "unknown"),
        ({"url": "file:///somewhere", "dir_info": {}}, "unknown"),
        ({"url": "https://host/repository", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}}, "a" * 40),
        ("no mapping", "unknown"),
    ],
)
def test_a_package_from_outside_is_named_with_version_and_commit(tmp_path: Path, source: object, commit: str):
    assert provenance.package_origin(distribution(tmp_path, source)) == {
        "package": "their-package",
        "version": "1.2",
        "commit": commit,
    }


def test_an_editable_install_is_named_by_the_checkout_it_is_in(tmp_path: Path):
    checkout, inside = tmp_path / "checkout", tmp_path / "checkout" / "their package"
    inside.mkdir(parents=True)
    source = {"url": inside.as_uri(), "dir_info": {"editable": True}}
    package = distribution(tmp_path, source)
    commit = make_checkout(checkout)
    assert provenance.package_origin(package)["commit"] == "unknown"  # the checkout knows nothing of it
    (inside / "code.py").write_text("1")
    commit = make_checkout(checkout)
    (checkout / "beside").write_text("not theirs")
    origin = provenance.package_origin(package)
    assert (origin["commit"], origin["dirty"]) == (commit, False)
    (inside / "code.py").write_text("2")
    assert provenance.package_origin(package)["dirty"] is True


def make_checkout(folder: Path) -> str:
    """Commits all that is in the folder."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init"], ["add", "."], ["commit", "--allow-empty", "-m", "all"]):
        subprocess.run(["git", "-C", str(folder), *identity, *command], check=True, capture_output=True)
    told = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return told.stdout.strip()
