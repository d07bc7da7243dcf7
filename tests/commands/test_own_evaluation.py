"""An evaluation of a package of one's own, as docs/evaluations.md says: its example runs, and what departs is named."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.recipes.registries import EVALS, load_evaluation
from tests.command import Harness, Outcome
from tests.plugins import install

DOCUMENT = Path(__file__).parents[2] / "docs" / "evaluations.md"
EXAMPLE = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
OUTPUTS = [
    {"instruction": f"Ask {number}", "output": "x" * number, "generator": "a-model", "dataset": "mine"}
    for number in range(4)
]

Run = Callable[[str], Outcome]


@pytest.fixture
def forget_names() -> Iterator[None]:
    """The registry reads the entry points again, before and after."""
    EVALS.__dict__.pop("_entries", None)
    yield
    EVALS.__dict__.pop("_entries", None)
    EVALS._loaded.discard("answer_length")


@pytest.fixture
def own(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_names: None) -> Iterator[Run]:
    """Installs the evaluation of this source and runs it on four outputs, of which the first is empty."""
    package = tmp_path / "site"
    (package / "my_package").mkdir(parents=True)
    (package / "my_package" / "__init__.py").touch()
    install(package, "my-package", [("harness.evals", "answer_length", "my_package.answer_length:MEASUREMENT")])
    monkeypatch.syspath_prepend(package)
    (tmp_path / "outputs.json").write_text(json.dumps(OUTPUTS))

    def run(source: str) -> Outcome:
        (package / "my_package" / "answer_length.py").write_text(source)
        return harness("eval", "--bench", "answer_length", "--outputs", tmp_path / "outputs.json")

    yield run
    for name in [name for name in sys.modules if name.startswith("my_package")]:
        del sys.modules[name]


@pytest.fixture
def example() -> str:
    assert EXAMPLE is not None
    return EXAMPLE[1]


def test_the_example_of_the_document_runs(own: Run, example: str) -> None:
    outcome = own(example)
    assert outcome.exit_code == 0, outcome.err
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert lines[0] == "answer_length: a-model"
    assert any(re.fullmatch(r"characters mean 2\.00 \[[0-9.]+, [0-9.]+\]", line) for line in lines), lines
    assert "rows 3 of 4" in lines


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ('{"n": 805, "characters": 1069.8}', "summary.json: n_missing is missing"),
        (
            '{"n": 1, "n_missing": 0, "characters": 1069.8}',
            "summary.json: characters is the plain number 1069.8; write {",
        ),
        ('{"n": "many", "n_missing": 0}', "summary.json: n is the text 'many'; write a whole number"),
        ("[1, 2]", "summary.json is the list [1, 2]; write an object"),
    ],
)
def test_a_summary_that_departs_is_one_line(own: Run, example: str, wrong: str, complaint: str) -> None:
    source = re.sub(
        r"out\.write_json\(.*?\n    \)\n", f'out.write_json("summary.json", {wrong})\n', example, flags=re.DOTALL
    )
    outcome = own(source)
    assert outcome.exit_code == 2
    [error] = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert error.startswith("error: the evaluation answer_length does not keep to its contract: ")
    assert complaint in error
    assert "Traceback" not in outcome.err


def test_a_summary_that_is_not_saved_is_one_line(own: Run, example: str) -> None:
    source = re.sub(r"out\.write_json\(.*?\n    \)\n", "", example, flags=re.DOTALL)
    outcome = own(source)
    assert outcome.exit_code == 2
    assert "saved no JSON file summary.json" in outcome.err.splitlines()[-1]


def test_a_measure_that_returns_no_promise_is_one_line(own: Run, example: str) -> None:
    outcome = own(example.replace("return answer_lengths(", "return dict("))
    assert outcome.exit_code == 2
    assert outcome.err.splitlines()[-1].endswith("its measure returned a dict; return what calling a step gives")


def test_an_unknown_need_is_one_line(own: Run, example: str) -> None:
    outcome = own(example.replace('needs=("outputs",)', 'needs=("answers",)'))
    assert outcome.exit_code == 2
    assert "a measurement needs some of model, outputs, baselines; 'answers' is none" in outcome.err


def test_what_is_no_evaluation_is_one_line(own: Run, example: str) -> None:
    outcome = own(example + "\nMEASUREMENT = measure\n")
    assert outcome.exit_code == 2
    assert "it is a function, not a evals.bench.Evaluation or Measurement" in outcome.err


def test_an_unknown_evaluation_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'perplexity'"):
        load_evaluation("perplexiti")
