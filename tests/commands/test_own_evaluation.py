"""A benchmark of a package of one's own, as docs/add-a-benchmark.md says: its example runs, what departs is named."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.recipes.registries import EVALS, load_benchmark
from tests.command import Harness, Outcome
from tests.plugins import install

DOCUMENT = Path(__file__).parents[2] / "docs" / "add-a-benchmark.md"
EXAMPLE = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
OUTPUTS = [
    {"instruction": f"Ask {number}", "output": "x" * number, "generator": "a-model", "dataset": "mine"}
    for number in range(4)
]

Run = Callable[..., Outcome]


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
    install(package, "my-package", [("harness.evals", "answer_length", "my_package.answer_length:BENCHMARK")])
    monkeypatch.syspath_prepend(package)
    (tmp_path / "outputs.json").write_text(json.dumps(OUTPUTS))

    def run(source: str, *options: str) -> Outcome:
        (package / "my_package" / "answer_length.py").write_text(source)
        return harness("eval", "--bench", "answer_length", "--outputs", tmp_path / "outputs.json", *options)

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
    assert "items 3 of 4" in lines
    assert "scores withheld: only 3 of 4" in " ".join(lines)
    whole = own(example, "--allow-missing")
    assert re.search(r"^ *characters +2\.00  \[[0-9.]+, [0-9.]+\]$", whole.out, re.MULTILINE), whole.out


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("    characters: int | None", "    letters: int | None", "a row has no 'characters'"),
        ("len(row.text) or None", "row.text", "characters of the item '0' is ''; write a number"),
        ("Length(row.prompt.id", 'Length("one"', "two rows of the item 'one'"),
    ],
)
def test_rows_that_depart_are_one_line(own: Run, example: str, right: str, wrong: str, complaint: str) -> None:
    outcome = own(example.replace(right, wrong))
    assert outcome.exit_code == 2
    [error] = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert complaint in error
    assert "Traceback" not in outcome.err


def test_rows_that_are_no_promise_is_one_line(own: Run, example: str) -> None:
    outcome = own(example.replace("return answer_lengths(", "return dict("))
    assert outcome.exit_code == 2
    assert outcome.err.splitlines()[-1].endswith("its rows returned a dict; return what calling a step gives")


def test_an_unknown_need_is_one_line(own: Run, example: str) -> None:
    outcome = own(example.replace('needs = ("outputs",)', 'needs = ("answers",)'))
    assert outcome.exit_code == 2
    assert "a benchmark needs some of model, outputs, baselines; 'answers' is none" in outcome.err


def test_what_is_no_evaluation_is_one_line(own: Run, example: str) -> None:
    outcome = own(example + "\nBENCHMARK = answer_lengths\n")
    assert outcome.exit_code == 2
    assert "it is a StepFunction, not a evals.base.Benchmark" in outcome.err


def test_an_unknown_evaluation_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'perplexity'"):
        load_benchmark("perplexiti")
