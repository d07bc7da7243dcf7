"""`harness new`: a package of one's own, whose test passes where it is installed."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.papers import folders
from tests.command import Harness
from tests.plugins import install

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "method": ("half-dpo", ["README.md", "half_dpo.py", "pyproject.toml", "test_half_dpo.py"]),
    "eval": ("word-count", ["README.md", "pyproject.toml", "test_word_count.py", "word_count.py"]),
    "paper": (
        "my-paper",
        [
            *("README.md", "my_paper/__init__.py", "my_paper/deviations.yaml", "my_paper/exhibits/table1.yaml"),
            *("my_paper/paper.yaml", "my_paper/prompts/mini.yaml", "my_paper/recipes/mini.yaml"),
            *("pyproject.toml", "test_my_paper.py"),
        ],
    ),
}
QUICK = "not is_trained and not is_reproduced"
"""The tests of the packages that train nothing."""


def made(harness: Harness, kind: str) -> Path:
    """The folder of a new package."""
    name, _ = PACKAGES[kind]
    outcome = harness("new", kind, name)
    assert outcome.exit_code == 0, outcome.err
    return Path(name).resolve()


def in_environment(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python command where the package is installed, as its own pyproject.toml says."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    site = folder.parent / "site"
    site.mkdir(exist_ok=True)
    if not any(site.iterdir()):
        groups = project["entry-points"].items()
        entries = [(group, name, target) for group, named in groups for name, target in named.items()]
        install(site, project["name"], entries)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (site, folder, ROOT)))}
    return subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("kind", PACKAGES)
def test_it_writes_a_package_and_says_what_to_do_next(harness: Harness, kind: str) -> None:
    name, files = PACKAGES[kind]
    outcome = harness("new", kind, name)
    assert sorted(str(path.relative_to(name)) for path in Path(name).rglob("*") if path.is_file()) == files
    lines = outcome.out.splitlines()
    assert lines[0].startswith(f"made {name}/: ")
    assert lines[1:4] == ["next:", f"  pip install -e ./{name}", f"  pytest {name}"]
    assert lines[4].startswith("  harness ")
    texts = [path.read_text(encoding="utf-8") for path in Path(name).rglob("*") if path.is_file()]
    assert not any("{{" in text or "{%" in text for text in texts)


@pytest.mark.parametrize("kind", PACKAGES)
def test_its_quick_tests_pass(harness: Harness, kind: str) -> None:
    folder = made(harness, kind)
    done = in_environment(folder, "pytest", "-q", "-p", "no:cacheprovider", "-k", QUICK, str(folder))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["method", "paper"])
def test_all_its_tests_pass(harness: Harness, kind: str) -> None:
    folder = made(harness, kind)
    done = in_environment(folder, "pytest", "-q", "-p", "no:cacheprovider", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_paper_can_be_planned(harness: Harness) -> None:
    done = in_environment(made(harness, "paper"), "harness", "plan", "my_paper/table1", "--fast")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("my_paper/table1 on the scale 'mini'")


def test_a_new_methods_settings_can_be_changed_one_by_one(harness: Harness) -> None:
    rows = "half-dpo,half-dpo:beta=0.5,half-dpo:training.epochs=2,half-dpo:share=0.25"
    done = in_environment(made(harness, "method"), "harness", "plan", "table3", "--fast", "--methods", rows, "--json")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("method", "Half", "'Half' is no name for a package"),
        ("eval", "word_count", "no name for a package: write small letters, digits and dashes, as in my-eval"),
        ("paper", "../elsewhere", "no name for a package"),
        ("method", "dpo", "'dpo' is in `harness list methods` already"),
        ("eval", "alpaca-eval2", "'alpaca_eval2' is in `harness list evals` already"),
        ("paper", "sgpo", "'sgpo' is in `harness list papers` already"),
        ("method", "json", "a Python module is called json already"),
    ],
)
def test_a_name_that_cannot_be_is_one_line(harness: Harness, kind: str, name: str, message: str) -> None:
    outcome = harness("new", kind, name)
    assert outcome.exit_code == 2 and message in outcome.err and len(outcome.err.splitlines()) == 1
    assert not any(Path().iterdir())


def test_nothing_is_written_over(harness: Harness) -> None:
    Path("half-dpo").mkdir()
    outcome = harness("new", "method", "half-dpo")
    assert outcome.exit_code == 2 and "half-dpo is there already" in outcome.err
    assert not any(Path("half-dpo").iterdir())


@pytest.mark.parametrize("target", ["no_such_package", "no_such.package", "json"])
def test_a_package_without_the_paper_that_it_offers_is_named(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "broken", [("harness.papers", "mine", target)])
    monkeypatch.syspath_prepend(tmp_path)
    folders._installed.cache_clear()
    with pytest.raises(UserError, match=f"the package broken offers the paper 'mine', but {target} is no folder"):
        folders.papers()
    monkeypatch.undo()
    folders._installed.cache_clear()
