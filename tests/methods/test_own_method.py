"""A method of a package of one's own, as docs/add-a-method.md says: its example runs, as a row with settings."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.config.yaml_files import CONFIGS
from harness.recipes.registries import METHODS
from tests import plugins
from tests.command import Harness

pytestmark = pytest.mark.usefixtures("in_this_process")

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/add-a-method.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    """The first block of a kind in the document."""
    found = re.search(f"```{kind}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def project(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that the command runs in, with the package, its entry point and the recipe."""
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "distillation.py").write_text(block("python"))
    [(name, target)] = re.findall(r'^(\S+) = "(.*)"$', block("toml"), re.MULTILINE)
    plugins.install(tmp_path, "my-package", [("harness.methods", name, target)])
    recipe = (CONFIGS / "papers/sgpo/recipes/mini.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(recipe.replace("methods:\n", f"methods:\n{block('yaml')}", 1))
    monkeypatch.syspath_prepend(tmp_path)
    _forget()
    yield tmp_path
    _forget()


def _forget() -> None:
    """Have the registry look for packages again, as another process would."""
    METHODS.__dict__.pop("_entries", None)
    METHODS._loaded.discard("distillation")
    for module in ("my_package.distillation", "my_package"):
        sys.modules.pop(module, None)


def test_the_example_is_a_row_with_settings_and_the_report_says_what_was_set(
    project: Path, harness: Harness, without_preflight: None
) -> None:
    [line] = re.findall("^harness (reproduce .*)$", DOCUMENT, re.MULTILINE)
    done = harness(*line.split(), "--limit", "16", "--set", "methods.sft.training.epochs=1")
    assert done.exit_code == 0, done.err
    [manifest] = [json.loads(path.read_text()) for path in project.glob("runs/**/manifest.json")]
    [part] = manifest["results"]
    assert part["rows"] == ["sft", "distillation", "distillation:min_words=8"]
    labels = {row["method"]: row["label"] for row in part["exhibit"]["rows"]}
    assert "min_words = 8" in str(part["exhibit"]["rows"]), labels
    assert manifest["provenance"]["outside"]["method distillation"]["package"] == "my-package"
    assert manifest["recipe"] == "mine.yaml"
    changed = [each["we_do"] for each in manifest["deviations"] if each["paper_says"] == "as in mine.yaml"]
    assert changed == [
        "methods.sft.training.epochs = 1, by --set",
        "min_words = 8 in the row distillation:min_words=8",
    ]
    [report] = project.glob("runs/**/report.md")
    assert "min_words = 8 in the row" in report.read_text(encoding="utf-8").replace("\\", "")
    assert "mine.yaml" in report.read_text(encoding="utf-8")


def test_a_wrong_setting_or_a_missing_one_is_one_line(project: Path, harness: Harness) -> None:
    for arguments, complaint in (
        (("--methods", "distillation:min_word=8"), "unknown key 'min_word'; did you mean 'min_words'"),
        (("--methods", "distillation:min_words=-1"), "min_words must not be negative, but is -1"),
        (("--set", "methods.distillation.min_words=few"), "min_words: expected a whole number, got 'few'"),
    ):
        done = harness("plan", "table3", "--recipe", "./mine.yaml", *arguments)
        assert (done.exit_code, done.out, done.err.count("\n")) == (2, "", 1), done.err
        assert complaint in done.err
    done = harness("plan", "table3", "--methods", "distillation")
    assert done.err == ("error: configs/papers/sgpo/recipes/mini.yaml: methods.distillation: missing key 'training'\n")
