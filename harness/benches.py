"""The evaluation sets: as a scale fills them, or the official ones."""

from dataclasses import dataclass, replace
from pathlib import Path

from evals.alpaca_eval2_steps import given_calibration
from evals.arena_hard import OFFICIAL_QUESTIONS
from evals.bench import Bench
from evals.instruction_set import OFFICIAL_INSTRUCTION_KEYS
from evals.official_data import ARENA_HARD_BASELINE, length_calibration
from evals.official_steps import file_digest, official_baseline
from harness.backends.interfaces import Sampling
from harness.backends.judges import JudgeReference
from harness.core.artifacts import Artifact
from harness.core.config import config_path, load_yaml
from harness.core.errors import UserError, unknown
from harness.scales import Scale, load_scale
from harness.steps.data import first_responses
from harness.steps.judge import judge
from harness.steps.judge_prompt import OFFICIAL_JUDGE, official_prompt

OFFICIAL = "official"
"""In the place of a scale's name: the instructions, baselines and judging prompts of the benches themselves."""


@dataclass(frozen=True, slots=True)
class BenchChoice:
    """What a user chooses about an evaluation set.

    `scale` is a scale's name, or "official"; `data` a folder or file with official data instead of the hub; `baseline`
    the name of a model or a file of outputs; `limit` how many instructions are used, the first ones; `judge` the judge
    instead of the scale's; `length_calibration` a file like df_gamed.csv; `max_new_tokens` how long answers may be.
    """

    scale: str
    data: str | None = None
    baseline: str | None = None
    limit: int | None = None
    judge: JudgeReference | None = None
    judge_repeats: int = 1
    allow_missing: bool = False
    length_calibration: Path | None = None
    max_new_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class OfficialSettings:
    """configs/evals/official.yaml: how models answer."""

    sampling: Sampling


def official_settings() -> OfficialSettings:
    """What the official evaluation sets use beside their data."""
    return load_yaml(config_path("evals/official.yaml"), OfficialSettings)


def choose_bench(name: str, choice: BenchChoice) -> Bench:
    """The evaluation set `name` as chosen.

    Raises UserError for names that are unknown, data that is not there, and choices that do not go together.
    """
    bench = _official_bench(name, choice) if choice.scale == OFFICIAL else _scale_bench(name, choice)
    sampling = bench.sampling
    if choice.max_new_tokens:
        sampling = replace(sampling, max_new_tokens=choice.max_new_tokens)
    return replace(
        bench,
        sampling=sampling,
        judge_repeats=choice.judge_repeats,
        allow_missing=choice.allow_missing,
        length_calibration=_length_calibration(name, bench, choice) if name == "alpaca_eval2" else None,
    )


def calibration_from(path: Path) -> Artifact:
    """A finished length calibration, from a file like df_gamed.csv. Raises UserError where it cannot be read."""
    return given_calibration(path=str(path.absolute()), digest=file_digest(path)).shared_as(path.name)


def bench_on(scale: Scale, name: str) -> Bench:
    """The evaluation set `name` as the scale fills it. Raises UserError for an unknown one."""
    if name not in scale.benches:
        raise unknown("bench", name, scale.benches)
    role = scale.benches[name]
    return Bench(
        baselines=role.baselines.artifact(),
        baseline_name=role.baselines.reference,
        judge=scale.judge.reference(),
        prompt=scale.prompt_set().judge[name],
        sampling=scale.sampling,
        gamed_baselines=tuple(part.artifact() for part in role.gamed_baselines),
        difficulty_pool=tuple(part.artifact() for part in role.difficulty_pool),
    )


def choose_baselines(name: str, choice: BenchChoice) -> Artifact:
    """The instructions and the baseline's answers of the evaluation set alone. Raises UserError as `choose_bench`."""
    if choice.scale == OFFICIAL:
        return _official_baselines(name, choice)[0]
    return bench_on(_limited_scale(choice), name).baselines


def departure(name: str, bench: Bench, choice: BenchChoice) -> str | None:
    """What keeps the score from being the bench's own metric, in words to print beside it; None if nothing does."""
    if name not in METRICS:
        return None
    metric, official = METRICS[name], judge(OFFICIAL_JUDGE)
    reasons = []
    if choice.scale != OFFICIAL:
        reasons.append(f"the instructions are those of scale {choice.scale}")
    elif choice.limit and choice.limit < metric.n_instructions:
        reasons.append(f"on {choice.limit} of {metric.n_instructions} instructions")
    if bench.judge.model != official.model:
        reasons.append(f"judged by {bench.judge.model}, not {official.model}")
    elif bench.judge != official:
        reasons.append(f"judged by {bench.judge}" + "".join(f" without {name}" for name in bench.judge.without))
    if choice.scale == OFFICIAL and bench.baseline_name != metric.baseline:
        reasons.append(f"against {bench.baseline_name}, not {metric.baseline}")
    return f"not {metric.title}: {'; '.join(reasons)}" if reasons else None


@dataclass(frozen=True, slots=True)
class PublishedMetric:
    """A published metric: what a score must rest on to bear its name."""

    title: str
    n_instructions: int
    baseline: str


METRICS = {
    "alpaca_eval2": PublishedMetric("AlpacaEval 2.0", len(OFFICIAL_INSTRUCTION_KEYS), "gpt4_1106_preview"),
    "arena_hard": PublishedMetric("Arena-Hard v0.1", OFFICIAL_QUESTIONS, ARENA_HARD_BASELINE),
}


def _limited_scale(choice: BenchChoice) -> Scale:
    if choice.data or choice.baseline:
        raise UserError(f"--data and --baseline go with --scale {OFFICIAL}: scale {choice.scale} has its own")
    scale = load_scale(choice.scale)
    return scale.limited(choice.limit) if choice.limit else scale


def _scale_bench(name: str, choice: BenchChoice) -> Bench:
    """A judge from elsewhere is asked with the official prompts, and calibrates no length control: that would take
    some 5,600 further verdicts."""
    bench = bench_on(_limited_scale(choice), name)
    if choice.judge is None or choice.judge.is_embedded:
        return bench
    prompt = official_prompt(name)
    return replace(bench, judge=choice.judge, prompt=prompt, gamed_baselines=(), difficulty_pool=())


def _official_bench(name: str, choice: BenchChoice) -> Bench:
    baselines, baseline_name = _official_baselines(name, choice)
    return Bench(
        baselines=baselines,
        baseline_name=baseline_name,
        judge=choice.judge or judge(OFFICIAL_JUDGE),
        prompt=official_prompt(name),
        sampling=official_settings().sampling,
    )


def _official_baselines(name: str, choice: BenchChoice) -> tuple[Artifact, str]:
    baselines, baseline_name = official_baseline(name, choice.data, choice.baseline)
    if choice.limit:
        baselines = first_responses(responses=baselines, size=choice.limit).shared_as(baselines.label)
    return baselines, baseline_name


def _length_calibration(name: str, bench: Bench, choice: BenchChoice) -> Artifact | None:
    """The file chosen; else the official one, for the metric as it is defined and nothing else."""
    path = choice.length_calibration
    if path is None and departure(name, bench, choice) is None:
        path = length_calibration(choice.data)
    if path is None:
        return None
    return calibration_from(path)
