"""A paper from outside the package: its folder is named, its method installed, and its table is run for real."""

import csv
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.papers.names import find_exhibit
from harness.recipes.registries import EVALS, METHODS
from tests.command import Harness
from tests.plugins import install

pytestmark = pytest.mark.usefixtures("in_this_process")

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
DOCUMENT = ROOT / "docs" / "add-a-paper.md"
TEXTS = {".py", ".yaml", ".md", ".toml"}
FILES = sorted(path for path in TOY.rglob("*.*") if path.suffix in TEXTS)
NAMES = re.compile(r"papers[./]toy|toy/|sft-twice|brevity")
OFFERED = ((METHODS, "sft-twice", "twice"), (EVALS, "brevity", "brevity"))
"""What its package offers: the registry, the name in it, and the module."""


@pytest.fixture
def toy(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """The command where the paper, its method and its benchmark are known."""
    monkeypatch.setenv("HARNESS_PAPERS", str(TOY.parent))
    site = tmp_path / "site"
    site.mkdir()
    project = tomllib.loads((TOY / "pyproject.toml").read_text())["project"]
    groups = project["entry-points"]
    assert set(groups) == {registry.group for registry, _, _ in OFFERED}
    entries = [(group, name, target) for group, named in groups.items() for name, target in named.items()]
    install(site, project["name"], entries)
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(TOY)
    _forget()
    yield harness
    _forget()


def _forget() -> None:
    """Have the registries look for packages again, as another process would."""
    for registry, name, module in OFFERED:
        registry.__dict__.pop("_entries", None)
        registry._loaded.discard(name)
        sys.modules.pop(module, None)


def read_cells(run: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of the table's file by method and bench."""
    with (run / "table1.csv").open(newline="") as file:
        return {(cell["method"], cell["bench"]): cell for cell in csv.DictReader(file)}


def test_its_table_is_reproduced_in_a_folder_of_its_own(toy: Harness) -> None:
    outcome = toy("reproduce", "toy/table1", "--fast")
    assert outcome.exit_code == 0, outcome.err
    run = Path("runs/mini-fast/toy/table1")
    cells = read_cells(run)
    assert {place: cell["paper"] for place, cell in cells.items()} == {
        ("sft", "arena_hard"): "3.5",
        ("sft", "brevity"): "41.0",
        ("sft-twice", "arena_hard"): "6.0",
        ("sft-twice", "brevity"): "48.5",
    }
    assert all(cell["ours"] for cell in cells.values())
    assert (run / "checkpoints" / "one-sft-twice-seed0" / "model.safetensors").is_file()
    report = (run / "report.md").read_text(encoding="utf-8")
    assert "One-Base (1B)" in report and "Two stages are better than one" in report
    assert "over the paper's 1 orderings" in report  # and not those of another paper as well
    assert "A base model of 1B parameters" in report  # the ledger
    assert "toy-paper 1.0" in report and str(TOY / "prompts" / "mini.yaml") in report
    assert "sgpo" not in report.lower()


def test_a_row_can_have_another_setting_of_its_method(toy: Harness, without_preflight: None) -> None:
    row = "sft-twice:rounds=2"
    outcome = toy("reproduce", "toy/table1", "--fast", "--methods", f"sft-twice,{row}")
    assert outcome.exit_code == 0, outcome.err
    run = Path("runs/mini-fast/toy/table1")
    cells = read_cells(run)
    assert {method for method, _ in cells} == {"sft-twice", row}
    assert all(cell["ours"] for cell in cells.values())
    assert cells[row, "brevity"]["paper"] == ""
    report = (run / "report.md").read_text(encoding="utf-8")
    assert row in report and "rounds = 2 in the row" in report
    assert trained_weights(run, row) != trained_weights(run, "sft-twice")


def trained_weights(run: Path, row: str) -> bytes:
    """The weights that a row ends with."""
    [folder] = (each for each in (run / "checkpoints").iterdir() if each.name == f"one-{row}-seed0")
    return (folder / "model.safetensors").read_bytes()


def test_it_is_listed_and_known_to_every_command_that_takes_a_name(toy: Harness) -> None:
    listed = toy("list", "papers").out
    assert re.search(r"^toy +Twice: .*\(arXiv 0000.00000; exhibits table1; scales mini\)$", listed, re.M)
    assert re.search(r"^toy/table1 +Table 1: Arena-Hard and brevity after one", toy("list", "experiments").out, re.M)
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
