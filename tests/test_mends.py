"""What a message tells a user to pass can be passed: every option that is named anywhere is one of the command's.

`PRINTED_BY` says which commands print the messages of a function; `tests.conftest` looks at what commands printed too.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mends import COMMANDS, OPTION, absent

ROOT = Path(__file__).parents[1]
RUNS = ("reproduce", "doctor")
ASKS_JUDGES = (*RUNS, "plan", "eval", "judge check", "judge calibrate")
STORED = ("eval", "compare")
ALL_RUNS = (*RUNS, "plan", "prefetch")

PRINTED_BY: dict[str, tuple[str, ...]] = {
    "evals/alpaca_eval2/scores.py:LC_CALIBRATION_FLAG": ("eval", "compare", "judge calibrate"),
    "evals/withholding.py:ALLOW_MISSING_FLAG": ("reproduce", "eval", "compare"),
    "evals/alpaca_eval2/annotations.py:REFERENCE_OUTPUTS_FLAG": STORED,
    "evals/official_data.py:_check_writer": ("eval",),
    "evals/official_data.py:_official_instructions": ("eval",),
    "harness/commands/affected.py:_require_usable": ("regress",),
    "harness/endpoints/batch/api.py:BatchApi": ("reproduce", "eval", "judge calibrate"),
    "harness/endpoints/cost.py:Budget": ASKS_JUDGES,
    "harness/endpoints/endpoint.py:endpoint_client": ("reproduce", "doctor", "plan", "eval"),
    "harness/endpoints/batch/judge.py:BatchJudge": ("reproduce", "eval", "judge calibrate"),
    "harness/models/openai_teacher.py:TEACHER_OPTIONS": ALL_RUNS,
    "harness/endpoints/refusals.py:CommandOptions": ASKS_JUDGES,
    "harness/recipes/benches.py:_limited_recipe": ("eval",),
    "evals/alpaca_eval2/annotation_files.py:AnnotationFiles": STORED,
    "harness/commands/stored_verdicts.py:verdict_files": STORED,
    "harness/commands/compare_methods.py:_LEGEND_OF_CHECKPOINTS": ("compare",),
    "harness/commands/compare_methods.py:_LEGEND_OF_UNDECIDED": ("compare",),
    "harness/commands/evaluations.py:_judged": ("eval",),
    "harness/commands/evaluations.py:_graded": ("eval",),
    "harness/commands/evaluations.py:_own_items": ("eval",),
    "harness/recipes/benches.py:_embedded_options": ("eval",),
    "evals/lm_eval/benchmark.py:LmEvalTask": ("eval",),
    "evals/open_llm/benchmark.py:OpenLLM": ("eval",),
    "evals/own_items.py:OwnItems": ("eval",),
    "harness/commands/leaderboard.py:NO_LENGTH_CONTROL": ("leaderboard",),
    "harness/commands/leaderboard.py:parse_pairs": ("leaderboard",),
    "harness/commands/leaderboard.py:_pairs": ("leaderboard",),
    "harness/commands/new_package.py:_next": ("new method", "new eval", "new paper"),
    "harness/recipes/benches.py:_official_baselines": ("eval",),
    "harness/run/options.py:Choice": ALL_RUNS,
    "harness/engine/ray_bridge.py:_connect": ALL_RUNS,
    "harness/engine/ray_bridge.py:store_here": (*RUNS, "plan"),
    "harness/engine/ray_executor.py:RayExecutor": ALL_RUNS,
    "harness/engine/shared_store.py:SharedStore": ALL_RUNS,
    "harness/engine/workers.py:Workers": ("regress", "rates"),
    "harness/training/tracking.py:require_tracker": ("reproduce", "rates"),
    "harness/training/tracking.py:tracked": ("reproduce", "rates"),
    "harness/cli/eval_options.py:APPLIES": ("eval",),
    "harness/cli/eval_options.py:Need": ("eval",),
    "harness/cli/eval_options.py:_NEEDS": ("eval",),
    "harness/cli/eval_options.py:_OF_A_JUDGE": ("eval",),
    "harness/cli/eval_options.py:_offered": ("eval",),
    "harness/cli/eval_options.py:subject_of": ("eval",),
    "harness/commands/evaluations.py:Source": ("eval",),
    "harness/commands/evaluate.py:require_outputs": ("eval",),
    "harness/commands/evaluations.py:build_evaluations": ("eval",),
    "harness/run/evidence.py:MENDS": ("reproduce", "eval"),
    "harness/run/evidence.py:ELSEWHERE": ("eval", "compare", "regress"),
    "harness/experiments/build.py:build_experiments": ALL_RUNS,
    "harness/experiments/build.py:_require_models": ALL_RUNS,
    "harness/experiments/build.py:_require_no_rows": ALL_RUNS,
    "harness/commands/judge_calibrate.py:Published": ("judge calibrate",),
    "harness/commands/judge_calibrate.py:_bridged_model": ("judge calibrate",),
    "harness/preflight/judge_check.py:check_judge": ("judge check", "doctor"),
    "harness/run/manifest.py:keep_fuller_report": ("reproduce",),
    "harness/plan/calibrate.py:_measured": ("plan",),
    "harness/plan/hardware.py:speed": ("plan", "reproduce", "doctor"),
    "harness/plan/notes.py:assumptions": ("plan",),
    "harness/plan/notes.py:warnings": ("plan",),
    "harness/plan/notes.py:_retired": ("plan",),
    "harness/recipes/changes.py:asked_changes": ALL_RUNS,
    "harness/recipes/loading.py:load_recipe": ALL_RUNS,
    "harness/recipes/loading.py:_check_names": ALL_RUNS,
    "harness/recipes/recipe.py:Recipe": ALL_RUNS,
    "harness/run/manifest.py:_changed_settings": ("reproduce",),
    "harness/plan/notes.py:_misfits": ("plan",),
    "harness/preflight/data.py:check_rows": RUNS,
    "harness/preflight/machine.py:_resources": RUNS,
    "harness/preflight/machine.py:_training_processes": RUNS,
    "harness/preflight/machine.py:_memory_for": RUNS,
    "harness/preflight/machine.py:_disk": RUNS,
    "harness/preflight/training.py:check_gradients": RUNS,
    "harness/commands/rates.py:measure_sensitivity": ("rates", "mini rates"),
    "harness/regress/compare.py:TOO_FEW_SEEDS": ("regress",),
    "harness/regress/runs.py:require_comparable": ("regress",),
    "harness/commands/reproduce.py:_tell_what_has_no_rows": ("reproduce",),
    "harness/commands/small_data.py:split": ("data split",),
    "harness/steps/held_out.py:held_out_figures": ("rates",),
    "harness/steps/judge.py:_OTHER_TOKEN": ASKS_JUDGES,
    "reports/claims.py:_headline": ("reproduce",),
    "reports/regress.py:heading": ("reproduce",),
}
"""By the place of a message, the commands that print it: of those of a whole run, those with fewest options."""

COMMANDS_OF_OTHERS = {
    *("harness/provenance.py:_git", "harness/provenance.py:git_state", "harness/models/gguf.py:gguf_file"),
    "harness/endpoints/refusals.py:advice_on",
}
"""Where options are those of other programs."""


def messages() -> Iterator[tuple[str, str]]:
    """(place, text) of every text in our code that names an option; docstrings and the command line itself left out."""
    for package in ("harness", "methods", "evals", "reports"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.parent != ROOT / "harness/cli" or path.name == "eval_options.py":
                for name, text in _texts(ast.parse(path.read_text(encoding="utf-8"))):
                    yield f"{path.relative_to(ROOT).as_posix()}:{name}", text


def _texts(module: ast.Module) -> Iterator[tuple[str, str]]:
    for statement in module.body:
        name = getattr(statement, "name", "")
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            name = ast.unparse(statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0])
        docstrings = {id(node.value) for node in ast.walk(statement) if isinstance(node, ast.Expr)}
        inner = {id(part) for node in ast.walk(statement) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(statement):
            if isinstance(node, (ast.JoinedStr, ast.Constant)) and id(node) not in docstrings | inner:
                text = _text(node)
                if OPTION.search(text):
                    yield name, text


def _text(node: ast.expr) -> str:
    """A text as it is written, its fields as ``{}``."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else "{}"


@pytest.mark.parametrize(("place", "text"), [each for each in messages() if each[0] not in COMMANDS_OF_OTHERS])
def test_every_option_that_a_message_names_is_one_of_the_commands_that_prints_it(place: str, text: str) -> None:
    assert place in PRINTED_BY, f"say in PRINTED_BY which commands print {text!r}"
    for command in PRINTED_BY[place]:
        assert absent(command, text) == [], f"harness {command} prints {text!r}"


def test_no_place_is_named_that_has_no_message() -> None:
    assert {place for place, _ in messages()} == PRINTED_BY.keys() | COMMANDS_OF_OTHERS


def test_the_commands_are_there() -> None:
    assert {command for of in PRINTED_BY.values() for command in of} <= COMMANDS.keys()


@pytest.mark.parametrize(
    ("command", "message", "lacking"),
    [
        ("doctor", "pass --data FOLDER", ["--data"]),
        ("eval", "pass --data FOLDER", []),
        ("doctor", "`harness eval` takes --data FOLDER", []),
        ("doctor", "`harness eval` takes --no-such", ["--no-such"]),
        ("eval", "pip install --no-deps gguf, then --limit 3", []),
        ("judge check", "pass --model M", []),
    ],
)
def test_options_that_are_none_are_found(command: str, message: str, lacking: list[str]) -> None:
    assert absent(command, message) == lacking
