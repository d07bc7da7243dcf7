"""The checks of training's arithmetic, on a few rows of the run, by the code that trains."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from harness.engine.artifacts import Artifact, Tracker
from harness.engine.compute import Compute
from harness.engine.main_memory import GIB
from harness.engine.progress import silent
from harness.engine.scratch import temporary_folder
from harness.errors import UserError
from harness.preflight.check import Check
from harness.preflight.context import NotAtHand, PreflightContext
from harness.preflight.machine import MAX_CPU_PARAMETERS, LocalMachine, gib, local_machine
from harness.records import PreferencePair, Response, read_rows
from harness.training.job import CURVES, TrainingStep
from harness.training.losses import Dpo
from harness.training.memory import resume_bytes
from harness.training.settings import TrainingSettings

R = TypeVar("R", Response, PreferencePair)

ROWS = 4
"""Of a batch that is taken at once, and row by row."""

MAX_TOKENS = 256
"""Tokens that a row is cut at here: arithmetic shows as well on short rows."""

LOSS_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
"""Of the difference's norm, as a share of the gradient's: rounding alone stays well below, a wrong weight does not."""

MAX_MEMORY_SHARE = 0.5
"""Of free memory that the checks may take."""


def training_checks(context: PreflightContext, machine: LocalMachine | None = None) -> Iterator[Check]:
    """Check for each base model the first DPO loss, and the gradient of one batch at once and row by row."""
    for name in context.models:
        what = f"training of {name}"
        try:
            if reason := _too_large(context, context.base(name), machine or local_machine()):
                yield Check("warning", what, f"not tried: {reason}")
            else:
                processes, gpus = context.recipe.compute.processes, (machine or local_machine()).gpus
                alone = f"; tried in one process, the run trains in {processes}" if processes > 1 and gpus else ""
                yield from (replace(check, detail=f"{check.detail}{alone}") for check in _try(context, name))
        except NotAtHand as error:
            yield Check("warning", what, f"not tried: {error}")
        except UserError as error:
            yield Check("failure", what, str(error))


def _try(context: PreflightContext, name: str) -> Iterator[Check]:
    """Make the checks that the run's own rows allow: a run of SFT alone has no pairs."""
    folder, trainings = context.checkpoint(context.base(name)), context.trainings(name)
    preference, supervised = (
        next((each.arguments["settings"] for each in trainings if ("loss" in each.arguments) is on_pairs), None)
        for on_pairs in (True, False)
    )
    if preference and (pairs := _rows(context, PreferencePair)):
        yield check_first_loss(name, folder, pairs[:ROWS], preference)
    if supervised and (answers := _rows(context, Response)):
        yield check_gradients(name, folder, spread_by_length(answers), supervised)


def _rows(context: PreflightContext, kind: type[R]) -> list[R]:
    """Return the rows of the first training set of their kind; none where the run uses no such set."""
    data = next((each for each in context.training_data().values() if each.type is kind), None)
    return [row for row in context.rows(data) if isinstance(row, kind)] if data else []


def _too_large(context: PreflightContext, base: Artifact, machine: LocalMachine) -> str:
    """Return why the model is not trained here; empty if it can be."""
    if not context.has_weights(base):
        return "its weights are not on this machine: harness prefetch"
    shape = context.shape(base)
    needed, free = resume_bytes(shape) + GIB, machine.gpus[0] if machine.gpus else machine.free_memory
    if needed > MAX_MEMORY_SHARE * free:
        return f"{gib(needed)} of {gib(free)} that are free is too much for a check"
    if not machine.gpus and shape.parameters > MAX_CPU_PARAMETERS:
        return f"{shape.parameters / 1e9:.1f} billion parameters take too long without a GPU"
    return ""


def spread_by_length(rows: Sequence[Response]) -> list[Response]:
    """Return `ROWS` of the rows, from the shortest answer to the longest: unlike rows show wrong weights best."""
    ordered = sorted(rows[:MAX_TOKENS], key=lambda row: len(row.text))
    return [ordered[number * (len(ordered) - 1) // (ROWS - 1)] for number in range(ROWS)] if ordered else []


def check_first_loss(name: str, folder: Path, pairs: Sequence[PreferencePair], settings: TrainingSettings) -> Check:
    """Check that DPO starts at a loss of ln 2 where the policy is its own reference (Eq. 6), whatever the pairs."""
    from harness.training.preferences import run_preferences
    from harness.training.reference import ReferenceScorer

    what, precision = f"first DPO loss of {name}", settings.precision
    still = _still(settings)
    with temporary_folder() as out:
        references = None  # in half precision the policy scores the pairs itself (`optimize_preferences`)
        if precision == "float32":
            references = ReferenceScorer(folder, still.max_length, precision).log_probabilities(pairs)
        run_preferences(
            folder,
            pairs,
            references,
            Dpo(beta=1.0),
            still,
            seed=0,
            out=out,
            track=lambda work, unit, done=0: Tracker(work, unit, done, silent),
        )
        loss = read_rows(out / CURVES, TrainingStep)[0].loss
    detail = (
        f"{loss:.6f} with the policy as its reference, ln 2 = {math.log(2):.6f}" if loss is not None else "no number"
    )
    if loss is None or abs(loss - math.log(2)) > LOSS_TOLERANCE:
        return Check("failure", what, f"{detail}, more than {LOSS_TOLERANCE:g} apart: report it as a bug")
    return Check("ok", what, f"{detail} (within {LOSS_TOLERANCE:g}), on {len(pairs)} pairs")


def check_gradients(name: str, folder: Path, rows: Sequence[Response], settings: TrainingSettings) -> Check:
    """Check that the gradient of a global batch does not depend on how many rows a forward pass takes."""
    from harness.training.sft import sft_gradient

    what = f"gradient of {name}"
    still = _still(settings)
    with temporary_folder() as out:
        batched, single = (
            sft_gradient(folder, rows, still, out=out, compute=Compute(micro_batch_size=size)) for size in (ROWS, 1)
        )
    difference = (batched - single).norm().item() / batched.norm().item()
    tolerance = GRADIENT_TOLERANCE[settings.precision]
    detail = f"{ROWS} rows at once and one by one are {difference:.1e} of its norm apart, {tolerance:g} allowed"
    if not difference <= tolerance:
        return Check("failure", what, f"{detail}: leave out --micro-batch-size, and report it as a bug")
    return Check("ok", what, detail)


def _still(settings: TrainingSettings) -> TrainingSettings:
    """Return settings of one step that changes no weight, for rows that are cut, and without chance in the adapters."""
    return replace(
        settings,
        learning_rate=0.0,
        epochs=1,
        global_batch_size=ROWS,
        max_length=min(settings.max_length, MAX_TOKENS),
        max_prompt_length=None,
        warmup_share=0.0,
        lora=settings.lora and replace(settings.lora, dropout=0.0),
    )
