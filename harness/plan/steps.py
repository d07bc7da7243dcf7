"""What one step takes: time on how many devices, tokens, calls of an endpoint."""

from dataclasses import dataclass, replace
from math import ceil

from harness.endpoints.cost import MESSAGE_TOKENS, TYPICAL_REPLY_TOKENS
from harness.endpoints.reference import JudgeReference
from harness.engine.artifacts import Artifact, find_step
from harness.engine.compute import Work
from harness.engine.limits import Limits
from harness.errors import UserError
from harness.models.openai_teacher import teacher_endpoint
from harness.models.origins import WITHOUT_WEIGHTS
from harness.plan.estimates import Estimates, model_shape
from harness.plan.hardware import Hardware, Kind, Machine, Speed, speed
from harness.plan.ranges import NOTHING, Range, about, total
from harness.plan.rows import RowCounts, Rows, count_tokens, is_trained, model_reference
from harness.recipes.recipe import Recipe
from harness.records import Prompt
from harness.steps.judge import orders
from harness.steps.judge_prompt import JudgePrompt
from harness.training.settings import PreferenceSettings, TrainingSettings

SEQUENCES = 2
"""Of a preference pair: the prompt with either answer."""

LONGEST_REPLY = 2.0
"""How many times `TYPICAL_REPLY_TOKENS` a reply that explains itself may take on average."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What an endpoint is asked. Tokens are totals."""

    endpoint: JudgeReference
    calls: int
    prompt_tokens: Range
    completion_tokens: Range


@dataclass(frozen=True, slots=True)
class StepCost:
    """What one step takes. `devices` are those it occupies for `seconds`; 0 for one that needs none."""

    artifact: Artifact
    work: Work
    seconds: Range
    devices: int
    tokens: Range = NOTHING
    """That a model is trained on, draws or scores."""
    calls: Calls | None = None
    speed: Speed | None = None
    suppositions: frozenset[str] = frozenset()
    unknown: str = ""
    """Why nothing is known of its cost; empty where it is."""

    @property
    def device_seconds(self) -> Range:
        """Seconds times devices."""
        return self.seconds.times(self.devices)


class StepCosts:
    """What the steps of one run take on one machine."""

    def __init__(
        self, scale: Recipe, machine: Machine, hardware: Hardware, rows: RowCounts, estimates: Estimates, limits: Limits
    ) -> None:
        self._scale, self._machine, self._hardware = scale, machine, hardware
        self._device = hardware.devices[machine.device]
        self._rows, self._estimates, self._limits = rows, estimates, limits
        self.has_gpus = self._device.is_gpu
        """Whether the devices are GPUs, which light work needs none of."""

    def of(self, artifact: Artifact) -> StepCost:
        """What making `artifact` takes."""
        work = find_step(artifact).work_of(artifact)
        if artifact.step == "judge_pairs":
            return self._judging(artifact)
        if work == "training":
            return self._training(artifact)
        if work == "asking":
            return self._teaching(artifact)
        if work == "generation":
            is_rules = (model_reference(artifact) or "").startswith(WITHOUT_WEIGHTS) and not is_trained(artifact)
            return self._light(artifact, "light") if is_rules else self._generation(artifact)
        if work == "likelihood":
            return self._likelihood(artifact)
        return self._light(artifact, work)

    def _training(self, artifact: Artifact) -> StepCost:
        is_preference = "pairs" in artifact.inputs
        rows = self._input_rows(artifact, "pairs" if is_preference else "examples")
        settings = training_settings(artifact)
        if rows is None:
            return self._unknown(artifact, "training", "it is not known how many rows it trains on")
        length = min(rows.tokens, settings.max_length) * (SEQUENCES if is_preference else 1)
        tokens = about(rows.count * length * settings.epochs, rows.spread)
        cost = self._running(artifact, "training", "preference" if is_preference else "sft", tokens, rows)
        references = artifact.inputs.get("references")
        if isinstance(references, Artifact) and scores_its_start(references) and not cost.unknown:
            scoring = self._running(artifact, "training", "likelihood", tokens, rows)
            return replace(cost, seconds=total([cost.seconds, scoring.seconds]), unknown=scoring.unknown)
        return cost

    def _generation(self, artifact: Artifact) -> StepCost:
        rows = self._rows.of(artifact)
        if rows is None:
            return self._unknown(artifact, "generation", "it is not known how many prompts it answers")
        return self._running(artifact, "generation", "generation", about(rows.count * rows.answer, rows.spread), rows)

    def _likelihood(self, artifact: Artifact) -> StepCost:
        is_preference = "pairs" in artifact.inputs
        rows = self._input_rows(artifact, "pairs" if is_preference else "responses")
        if rows is None:
            return self._unknown(artifact, "likelihood", "it is not known how many rows it scores")
        tokens = about(rows.count * rows.tokens * (SEQUENCES if is_preference else 1), rows.spread)
        return self._running(artifact, "likelihood", "likelihood", tokens, rows)

    def _running(self, artifact: Artifact, work: Work, kind: Kind, tokens: Range, rows: Rows) -> StepCost:
        reference = model_reference(artifact) or ""
        shape = model_shape(reference)
        if shape is None:
            return self._unknown(artifact, work, f"nothing is known of the size of {reference}")
        try:
            known = speed(self._hardware, self._machine.device, kind, shape.parameters)
        except UserError as error:
            return self._unknown(artifact, work, str(error))
        devices = self.devices_for(work)
        fixed = self._device.seconds_per_step.get(work, 0.0)
        seconds = tokens.over(known.tokens_per_second.times(devices)) + Range(fixed / 2, fixed, fixed * 2)
        return StepCost(artifact, work, seconds, devices, tokens, None, known, rows.suppositions)

    def _teaching(self, artifact: Artifact) -> StepCost:
        rows, reference = self._rows.of(artifact), model_reference(artifact)
        if rows is None or reference is None:
            return self._unknown(artifact, "asking", "it is not known how many prompts are asked")
        prompt = about(rows.count * (rows.prompt + 2 * MESSAGE_TOKENS), rows.spread)
        answers = about(rows.count * rows.answer, rows.spread)
        calls = Calls(teacher_endpoint(reference), rows.most, prompt, answers)
        return self._asking(artifact, calls, self._estimates.asking.long_seconds, rows)

    def _judging(self, artifact: Artifact) -> StepCost:
        judge, prompt = artifact.arguments["judge"], artifact.arguments["prompt"]
        outputs, baselines = self._input_rows(artifact, "outputs"), self._input_rows(artifact, "baselines")
        if outputs is None or baselines is None:
            return self._unknown(artifact, "asking", "it is not known how many pairs are judged")
        if judge.is_embedded:
            return self._light(artifact, "light")
        asked = orders_of(artifact) * artifact.arguments["repeats"]
        calls = int(min(outputs.most, baselines.most)) * asked
        shown = frame_tokens(prompt) + baselines.tokens + outputs.answer
        completion = _replies(prompt, calls)
        seconds = (
            self._estimates.asking.short_seconds if prompt.max_tokens < 10 else self._estimates.asking.long_seconds
        )
        spread = outputs.spread * outputs.answer / shown
        return self._asking(artifact, Calls(judge, calls, about(calls * shown, spread), completion), seconds, outputs)

    def _asking(self, artifact: Artifact, calls: Calls, seconds: float, rows: Rows) -> StepCost:
        waited = about(calls.calls * seconds / self._limits.concurrency, 0.5)
        return StepCost(artifact, "asking", waited, self._light_devices(), NOTHING, calls, None, rows.suppositions)

    def _light(self, artifact: Artifact, work: Work) -> StepCost:
        seconds = self._device.seconds_per_step.get("light", 1.0)
        return StepCost(artifact, work, Range(seconds / 10, seconds, seconds * 5), self._light_devices())

    def _unknown(self, artifact: Artifact, work: Work, why: str) -> StepCost:
        return StepCost(artifact, work, NOTHING, 0, unknown=why)

    def devices_for(self, work: Work) -> int:
        """How many devices a step of this kind occupies; no more than there are."""
        needs = self._scale.compute.needs(work)
        wanted = needs.gpus or (self._scale.compute.processes if work == "training" else 1)
        return max(1, min(wanted if self.has_gpus else needs.cpus, self._machine.devices))

    def _light_devices(self) -> int:
        return 0 if self.has_gpus else 1

    def _input_rows(self, artifact: Artifact, name: str) -> Rows | None:
        given = artifact.inputs[name]
        assert isinstance(given, Artifact)
        return self._rows.of(given)


def training_settings(artifact: Artifact) -> TrainingSettings:
    """The settings of a training step."""
    settings: TrainingSettings | PreferenceSettings = artifact.arguments["settings"]
    return settings.training if isinstance(settings, PreferenceSettings) else settings


def scores_its_start(references: Artifact) -> bool:
    """Whether what a preference training takes as its reference is the model it starts from, and no scores."""
    return references.step != "reference_log_probabilities"


def optimizer_steps(artifact: Artifact, rows: int) -> int:
    """How many steps a training takes on `rows` rows; the last batch of an epoch may be smaller."""
    settings = training_settings(artifact)
    return ceil(rows / settings.global_batch_size) * settings.epochs


def orders_of(artifact: Artifact) -> int:
    """In how many orders a judging step shows each pair."""
    return len(list(orders(artifact.arguments["protocol"], Prompt("0", "any"))))


def judge_of(artifact: Artifact) -> JudgeReference:
    """Who judges in a judging step."""
    found: JudgeReference = artifact.arguments["judge"]
    return found


def frame_tokens(prompt: JudgePrompt) -> int:
    """Prompt tokens of a question to a judge, without request and answers."""
    request = prompt.request("", "", "")
    return sum(count_tokens(message.content) + MESSAGE_TOKENS + 1 for message in request.messages) + MESSAGE_TOKENS


def _replies(prompt: JudgePrompt, calls: int) -> Range:
    """Completion tokens: one where no more is allowed, else what replies that explain themselves take."""
    typical = min(prompt.max_tokens, TYPICAL_REPLY_TOKENS)
    most = min(prompt.max_tokens, TYPICAL_REPLY_TOKENS * LONGEST_REPLY)
    return Range(typical * calls * (0.7 if prompt.max_tokens > 10 else 1.0), typical * calls, most * calls)
