"""The instructions of a prompt that an answer follows: by lm-eval's checkers, or by those of the embedded world."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evals.ifeval.language_data import require_language_data
from evals.ifeval.prompts import Demands, demands_of
from evals.lm_eval.run import instruction_checkers
from harness.engine.artifacts import Artifact, Output, step
from harness.errors import unknown
from harness.mini.instructions import Instruction, read_instructions
from harness.mini.language import clauses
from harness.records import Prompt, Response

CHECKERS = "4.0"
"""The version of lm-eval's task whose checkers these are."""


@dataclass(frozen=True, slots=True)
class FollowedInstructions:
    """One prompt: its instructions, and for each whether the answer follows it, strictly and loosely.

    Both are None for a prompt without an answer.
    """

    id: str
    instructions: tuple[str, ...]
    strict: tuple[bool, ...] | None
    loose: tuple[bool, ...] | None


@step(version=1)
def check_instructions(out: Output, *, outputs: Artifact, prompts: Artifact, checkers: str) -> None:
    """Write `FollowedInstructions` rows of `outputs` by lm-eval's checkers, whose version is `checkers`.

    The checkers draw at random what a prompt does not tell them: for two of the 541, whose letters "#" and "!" they do
    not take, another letter. lm-eval's own number moves with that by 0.1; here each prompt has the same seed, as the
    language detection has.

    Raises UserError for an instruction that they do not know, and where NLTK's data is missing.
    """
    check, demands = _official_check(), demands_of(prompts)
    _write(out, outputs, prompts, lambda prompt, answer: check(prompt, answer, demands[prompt.id]))


@step(version=1)
def check_mini_instructions(out: Output, *, outputs: Artifact, prompts: Artifact, world: str) -> None:
    """Write `FollowedInstructions` rows of `outputs` by the checkers of the world, whose code `world` identifies."""
    _write(out, outputs, prompts, _check_mini)


CheckOfAnswer = Callable[[Prompt, str], FollowedInstructions]


def _write(out: Output, outputs: Artifact, prompts: Artifact, check: CheckOfAnswer) -> None:
    """Write a row for each prompt, without a result for one that has no answer."""
    answers = {row.prompt.id: row.text for row in outputs.rows(Response)}
    asked = [row.prompt for row in prompts.rows(Response)]
    progress = out.track(len(asked), "rows")
    rows = []
    for prompt in asked:
        row = check(prompt, answers.get(prompt.id, ""))
        rows.append(row if prompt.id in answers else replace(row, strict=None, loose=None))
        progress.advance()
    out.write_rows(rows)


# lm-eval's


def _official_check() -> Callable[[Prompt, str, Demands], FollowedInstructions]:
    """Return the check by lm-eval's functions, which are imported once NLTK's data is there."""
    require_language_data()
    import langdetect

    langdetect.DetectorFactory.seed = 0
    known, process_results = instruction_checkers()

    def check(prompt: Prompt, answer: str, demands: Demands) -> FollowedInstructions:
        if stray := next((name for name in demands.instruction_id_list if name not in known), None):
            raise unknown(f"instruction of IFEval in the prompt {prompt.id}:", stray, known)
        random.seed(0)
        followed = process_results(_document(prompt, demands), [answer])
        strict, loose = (tuple(followed[f"inst_level_{kind}_acc"]) for kind in ("strict", "loose"))
        return FollowedInstructions(prompt.id, demands.instruction_id_list, strict, loose)

    return check


def _document(prompt: Prompt, demands: Demands) -> dict[str, Any]:
    """Return a prompt as lm-eval has the rows of the data set."""
    return {
        "key": prompt.id,
        "prompt": prompt.text,
        "instruction_id_list": list(demands.instruction_id_list),
        "kwargs": list(demands.kwargs),
    }


# The embedded world's


def _check_mini(prompt: Prompt, answer: str) -> FollowedInstructions:
    demands, forgiven = _mini(prompt), _forgiven(answer)
    strict = tuple(each.is_followed(answer) for each in demands)
    loose = tuple(any(map(each.is_followed, forgiven)) for each in demands)
    return FollowedInstructions(prompt.id, tuple(map(_name, demands)), strict, loose)


def _mini(prompt: Prompt) -> Sequence[Instruction]:
    return read_instructions(prompt.text)[1]


def _name(instruction: Instruction) -> str:
    return f"{instruction.kind}:{instruction.argument}"


def _forgiven(answer: str) -> list[str]:
    """Return an answer as it is, and without its first or its last clause or both, where something is left.

    As IFEval forgives a first and a last line; an answer of the world is one line of clauses.
    """
    written = clauses(answer)
    shorter = (written[1:], written[:-1], written[1:-1])
    return [answer, *(" ".join(each) for each in shorter if each)]
