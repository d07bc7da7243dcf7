"""A scale of one's own is a file; a file that is no scale is one line."""

import shutil
from pathlib import Path

import pytest

from harness.config.yaml_files import CONFIGS, read_yaml
from harness.errors import UserError
from harness.recipes.loading import load_recipe, rates_path
from tests.command import Harness

NO_CONFIGS = {
    "nested deeply": ("[" * 5000 + "]" * 5000, "nested too deeply"),
    "a key twice": ("name: a\nname: b\n", ":2: key 'name' is given twice"),
    "a tab": ("name:\n\t- a\n", ":2: found character '\\t' that cannot start any token"),
    "two documents": ("name: a\n---\nname: b\n", "but found another document"),
    "a python object": ("!!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    "a number of 5,000 digits": (f"size: {'9' * 5000}\n", "integer"),
    "a day that there is not": ("day: 2026-13-45\n", "month must be in 1..12"),
    "an unhashable key": ("? {a: b}\n: c\n", "unhashable key"),
    "a wrong tag": ("a: !!timestamp x\n", ""),
    "a list": ("- one\n", "expected a mapping"),
    "a text": ("one\n", "expected a mapping"),
    "nothing": ("", "expected a mapping"),
    "other keys": ("one: 1\n", "unknown key 'one'"),
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A copy of the mini scale with another size."""
    path = tmp_path / "mine.yaml"
    text = (CONFIGS / "papers/sgpo/recipes/mini.yaml").read_text()
    path.write_text(text.replace("size: 3000", "size: 2000", 1))
    return path


@pytest.mark.parametrize("reference", ["mine.yaml", "./mine.yaml", "{folder}/mine.yaml"])
def test_a_scale_of_ones_own_is_named_by_its_file(mine: Path, monkeypatch: pytest.MonkeyPatch, reference: str) -> None:
    monkeypatch.chdir(mine.parent)
    recipe = load_recipe(reference.format(folder=mine.parent))
    assert (recipe.name, recipe.data["demonstrations"].size) == ("mine", 2000)


def test_a_copied_scale_is_another_in_what_is_printed_and_where_it_runs(harness: Harness, mine: Path) -> None:
    outcome = harness("plan", "table3", "--scale", "./mine.yaml")
    assert outcome.exit_code == 0, outcome.err
    assert outcome.out.startswith("sgpo/table3 on the scale 'mine'")


def test_its_rates_are_beside_it(mine: Path) -> None:
    assert load_recipe(str(mine)).rates is None
    shutil.copy(rates_path("mini"), mine.with_name("mine.rates.yaml"))
    assert load_recipe(str(mine)).rates == load_recipe("mini").rates is not None


def test_a_file_named_as_a_packaged_scale_is_refused(harness: Harness, mine: Path) -> None:
    mine.rename(mine.with_name("mini.yaml"))
    outcome = harness("plan", "table3", "--scale", "./mini.yaml")
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert outcome.err == "error: mini.yaml would be taken for the packaged scale 'mini'; give the file another name\n"


@pytest.mark.parametrize(("paper", "name"), [("sgpo", "mini"), ("sgpo", "small"), ("srpo", "mini")])
def test_the_packaged_file_itself_is_the_packaged_scale(paper: str, name: str) -> None:
    path = str(CONFIGS / f"papers/{paper}/recipes/{name}.yaml")
    assert load_recipe(path) == load_recipe(name, paper=paper)
    assert rates_path(path) == rates_path(name, paper)


@pytest.mark.parametrize("given", ["packaged", "mine"])
def test_a_recipe_of_another_paper_is_refused(harness: Harness, mine: Path, given: str) -> None:
    recipe = str(CONFIGS / "papers/sgpo/recipes/mini.yaml") if given == "packaged" else str(mine)
    outcome = harness("plan", "srpo/fig2", "--recipe", recipe)
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert f"{Path(recipe).name} is a recipe of the paper sgpo, not of srpo; choose one of" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_an_unknown_name_says_how_a_file_is_named(harness: Harness) -> None:
    assert "yours is a file, such as ./mine.yaml" in harness("plan", "table3", "--scale", "mine").err


def test_a_name_that_is_a_files_here_is_answered_with_the_file(harness: Harness, mine: Path) -> None:
    assert "yours is a file, such as ./mine.yaml" in harness("plan", "table3", "--scale", "mine").err
    mine.rename(mine.with_name("ours.yml"))
    assert "yours is a file, such as ./ours.yml" in harness("plan", "table3", "--scale", "ours").err


def test_a_file_that_is_not_there_is_not_called_by_a_wrong_name(harness: Harness, mine: Path) -> None:
    outcome = harness("plan", "table3", "--scale", "mini.yaml")
    assert outcome.err == "error: cannot read mini.yaml: No such file or directory\n"


@pytest.mark.parametrize(("text", "complaint"), NO_CONFIGS.values(), ids=NO_CONFIGS)
def test_what_is_no_scale_is_one_line(harness: Harness, tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "no.yaml").write_text(text)
    outcome = harness("plan", "table3", "--scale", "./no.yaml")
    assert (outcome.exit_code, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
    assert outcome.err.startswith("error: no.yaml") and complaint in outcome.err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(bytes(range(256)), "not UTF-8"), (b"a\0b", "special characters")],
)
def test_what_is_no_text_is_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "no.yaml").write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        read_yaml(tmp_path / "no.yaml")
