"""The settings of the trainings that are still to be done: what they ask for of packages, the base model and the
data."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.engine.artifacts import Artifact
from harness.engine.graph import by_work, input_of, short_label
from harness.errors import UserError
from harness.models.chat import conversation, prompt_ids
from harness.models.hf import load_config, load_tokenizer
from harness.preflight.check import Check
from harness.preflight.context import NotAtHand, PreflightContext, TrainingRow, source
from harness.records import PreferencePair
from harness.steps.revise import require_revision_prompt
from harness.training.losses import PreferenceLoss, shows_drafts
from harness.training.rows import PairEncoding
from harness.training.trainer import require_packages, with_adapters

DRAWN_BY = ("model", "policy")
"""Inputs that are models: what they were trained on is not what they are asked."""


def settings_checks(context: PreflightContext) -> Iterator[Check]:
    """Check for each base model the settings of its trainings, and the lengths of given prompts where they are
    bounded."""
    for base, steps in context.model_runs().items():
        name, trainings = context.name_of(base), by_work(steps).get("training", [])
        if not trainings:
            continue
        what = f"settings for {name}"
        try:
            for each in trainings:
                _require_revision_prompt(each)
                if context.recipe.compute.executor == "local":  # else packages are the nodes'
                    require_packages(context.settings(each))
            folder = context.described(base)
            _require_fitting_model(folder, trainings, context)
            yield from _prompt_lengths(name, load_tokenizer(folder), trainings, context)
            yield Check("ok", what, "packages, modules for adapters and prompts are there")
        except NotAtHand as error:
            yield Check("warning", what, f"not checked: {error}")
        except UserError as error:
            yield Check("failure", what, str(error))


def _loss(training: Artifact) -> PreferenceLoss | None:
    loss: PreferenceLoss | None = training.arguments.get("loss")
    return loss


def _require_revision_prompt(training: Artifact) -> None:
    """Raise UserError where a loss shows an answer as a draft, and nothing says how."""
    loss, prompt = _loss(training), training.arguments.get("revision_prompt", "")
    if loss is None or not shows_drafts(loss.sequences):
        return
    try:
        require_revision_prompt(prompt)
    except UserError as error:
        raise UserError(f"the loss {loss.kind} shows an answer as a draft to revise: {error}") from None


def _require_fitting_model(folder: Path, trainings: Sequence[Artifact], context: PreflightContext) -> None:
    """Raise UserError where the model lacks modules that adapters are for, or cannot be trained on pairs.

    It is built without weights, but for the one layer on which token trees are tried.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from harness.training.exactness import require_exact_trees
    from harness.training.scoring import SequenceScorer

    adapters = {lora for each in trainings if (lora := context.settings(each).lora) and find_spec("peft")}
    takes_pairs = any(map(_loss, trainings))
    if not adapters and not takes_pairs:
        return
    config = load_config(folder)
    if takes_pairs:
        require_exact_trees(config)
    with torch.device("meta"):
        if takes_pairs:
            SequenceScorer(AutoModelForCausalLM.from_config(config))
        for each in adapters:
            with_adapters(AutoModelForCausalLM.from_config(config), each)


def _prompt_lengths(
    name: str, tokenizer: Any, trainings: Sequence[Artifact], context: PreflightContext
) -> Iterator[Check]:
    """Check all prompts of given data against each `max_prompt_length`.

    Warns only where the training may not see all rows of the data.
    """
    for training in trainings:
        most = context.settings(training).max_prompt_length
        if most is None:
            continue
        for role, rows in _given(training, context).items():
            what = f"prompts of {role} for {name}"
            lengths = {row.prompt.id: _prompt_length(row, training, tokenizer) for row in rows}
            longer = [each for each in lengths if lengths[each] > most]
            stage = f"max_prompt_length of {short_label(training)}, {most} tokens"
            if not longer:
                yield Check("ok", what, f"{len(rows)}, none above {stage}")
                continue
            longest = max(longer, key=lengths.__getitem__)
            sees_all = (context.graph.most_rows(_rows_of(training)) or 0) >= len(rows)
            detail = f"{len(longer)} of {len(rows)} are longer than {stage}; the longest, {longest}, has"
            mend = f"{lengths[longest]}: raise max_prompt_length, or leave such prompts out of the data"
            yield Check("failure" if sees_all else "warning", what, f"{detail} {mend}")


def _prompt_length(row: TrainingRow, training: Artifact, tokenizer: Any) -> int:
    """Count the tokens of a row's prompt; of a pair, of the longest one that the loss shows."""
    loss = _loss(training)
    if loss is None or not isinstance(row, PreferencePair):
        return len(prompt_ids(tokenizer, conversation(row.prompt)))
    max_length, template = training.arguments["settings"].max_length, training.arguments.get("revision_prompt", "")
    encoding = PairEncoding(tokenizer, max_length, loss.sequences, revision_prompt=template)
    return max(encoding(row).starts)


def _rows_of(training: Artifact) -> Artifact:
    """Return what the training learns from."""
    names = [name for name in ("examples", "pairs", "demonstrations") if name in training.inputs]
    return input_of(training, names[0])


def _given(training: Artifact, context: PreflightContext) -> dict[str, Sequence[TrainingRow]]:
    """Return all rows of the data sets whose prompts the training learns from as they are, by their role."""
    asked = {source(each) for each in _asked(_rows_of(training))}
    data = context.all_rows.training_data()
    return {name: context.rows(each) for name, each in data.items() if source(each.artifact) in asked}


def _asked(rows: Artifact) -> Iterator[Artifact]:
    """Go back from rows to the data that their prompts are from, unless a template wrote them anew."""
    if "reference" in rows.params:
        yield rows
    elif "template" not in rows.params:
        for name, value in rows.inputs.items():
            for each in () if name in DRAWN_BY else (value,) if isinstance(value, Artifact) else value:
                yield from _asked(each)
