"""A paper from outside the package: its folder is named, its method installed, and its table is run for real."""

import csv
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.papers import find_exhibit
from harness.recipes.registries import METHODS
from tests.command import Harness
from tests.plugins import install

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
DOCUMENT = ROOT / "docs" / "add-a-paper.md"
TEXTS = {".py", ".yaml", ".md", ".toml"}
FILES = sorted(path for path in TOY.rglob("*.*") if path.suffix in TEXTS)
NAMES = re.compile(r"papers[./]toy|toy/|sft-twice")


@pytest.fixture
def toy(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """The command where the paper and its method are known."""
    monkeypatch.setenv("HARNESS_PAPERS", str(TOY.parent))
    site = tmp_path / "site"
    site.mkdir()
    project = tomllib.loads((TOY / "pyproject.toml").read_text())["project"]
    [(group, methods)] = project["entry-points"].items()
    install(site, project["name"], [(group, name, target) for name, target in methods.items()])
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(TOY)
    METHODS.__dict__.pop("_entries", None)
    yield harness
    METHODS.__dict__.pop("_entries", None)
    METHODS._loaded.discard("sft-twice")
    sys.modules.pop("twice", None)


def test_its_table_is_reproduced_in_a_folder_of_its_own(toy: Harness) -> None:
    outcome = toy("reproduce", "toy/table1", "--fast")
    assert outcome.exit_code == 0, outcome.err
    run = Path("runs/mini-fast/toy/table1")
    with (run / "table1.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [(cell["model"], cell["method"], cell["paper"]) for cell in cells] == [
        ("one", "sft", "3.5"),
        ("one", "sft-twice", "6.0"),
    ]
    assert all(cell["ours"] for cell in cells)
    assert (run / "checkpoints" / "one-sft-twice-seed0" / "model.safetensors").is_file()
    report = (run / "report.md").read_text(encoding="utf-8")
    assert "One-Base (1B)" in report and "Two stages are better than one" in report
    assert "over the paper's 1 orderings" in report  # and not those of another paper as well
    assert "A base model of 1B parameters" in report  # the ledger
    assert "toy-paper 1.0" in report and str(TOY / "prompts" / "mini.yaml") in report
    assert "sgpo" not in report.lower()


def test_it_is_listed_and_known_to_every_command_that_takes_a_name(toy: Harness) -> None:
    listed = toy("list", "papers").out
    assert re.search(r"^toy +Twice: .*\(arXiv 0000.00000; exhibits table1; scales mini\)$", listed, re.M)
    assert re.search(r"^toy/table1 +Table 1: Arena-Hard after one", toy("list", "experiments").out, re.M)
    assert str(find_exhibit("table1")) == "sgpo/table1"  # several have it
    assert toy("plan", "toy/all", "--fast").out.startswith("toy/all on the scale 'mini'")
    assert "0 disagreements" in toy("paper", "check", "toy").out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["plan", "toy/tabel1"], "unknown experiment 'toy/tabel1'; did you mean 'toy/table1'?"),
        (["doctor", "tyo/table1"], "unknown experiment 'tyo/table1'; did you mean 'toy/table1'?"),
        (["plan", "toy/table1", "--scale", "small"], "unknown scale 'small' (known: mini; yours is a file"),
        (["paper", "check", "tyo"], "unknown paper 'tyo'; did you mean 'toy'?"),
    ],
)
def test_its_names_are_the_nearest_ones(toy: Harness, arguments: list[str], complaint: str) -> None:
    outcome = toy(*arguments)
    assert outcome.exit_code == 2
    assert complaint in outcome.err


def test_no_other_file_names_it() -> None:
    folders = ("harness", "methods", "evals", "reports", "configs", "benchmarks", "tests", "docs")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in TEXTS]
    assert len(files) > 300
    own = (TOY, Path(__file__), DOCUMENT)
    naming = [path for path in [*files, *ROOT.glob("*.*")] if path.suffix in TEXTS and NAMES.search(path.read_text())]
    assert [path for path in naming if not any(path.is_relative_to(each) for each in own)] == []


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_the_document_quotes_its_files(path: Path) -> None:
    language = {".py": "python", ".yaml": "yaml", ".toml": "toml"}[path.suffix]
    quoted = f"`{path.relative_to(TOY)}`"
    text = DOCUMENT.read_text(encoding="utf-8")
    assert quoted in text
    assert f"```{language}\n{path.read_text(encoding='utf-8')}```" in text.partition(quoted)[2]
