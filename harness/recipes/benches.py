"""The evaluation sets: as a scale fills them, or the official ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from evals.alpaca_eval2_steps import given_calibration, official_calibration
from evals.bench import Bench
from evals.official_data import (
    ALPACA_EVAL_HUB,
    ARENA_HARD_BASELINE,
    calibration_on_hub,
    length_calibration,
    load_baseline,
)
from evals.official_steps import (
    N_INSTRUCTIONS,
    OFFICIAL_DATA,
    baseline_responses,
    file_digest,
    official_baseline,
)
from harness.config.yaml_files import config_path, load_yaml
from harness.endpoints.reference import EndpointReference
from harness.engine.artifacts import Artifact
from harness.engine.unresolved import resolved
from harness.errors import UserError, unknown
from harness.models.generator import Sampling
from harness.models.hub import NotFetched
from harness.recipes.scales import BenchRole, DataRole, JudgeRole, Scale, load_scale
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
    judge: EndpointReference | None = None
    judge_repeats: int = 1
    allow_missing: bool = False
    length_calibration: Path | None = None
    max_new_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class OfficialSettings:
    """configs/official/answers.yaml: how models answer."""

    sampling: Sampling


def official_settings() -> OfficialSettings:
    """What the official evaluation sets use beside their data."""
    return load_yaml(config_path("official/answers.yaml"), OfficialSettings)


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
    return given_calibration(path=str(path.absolute()), digest=file_digest(path)).with_label(path.name)


def bench_on(scale: Scale, name: str) -> Bench:
    """The evaluation set `name` as the scale fills it. Raises UserError for an unknown one.

    A judge that is not the embedded one is asked with the official prompts, and calibrates no length control: that
    would take seven further sets of verdicts.
    """
    if name not in scale.benches:
        raise unknown("bench", name, scale.benches)
    role, judged_by = scale.benches[name], scale.judge.reference()
    baselines, baseline_name = _baselines_of(role.baselines)
    bench = Bench(
        baselines=baselines,
        baseline_name=baseline_name,
        judge=judged_by,
        prompt=scale.prompt_set().judge_prompt(name) if judged_by.is_embedded else official_prompt(name),
        sampling=scale.sampling,
        allow_missing=scale.allow_missing,
        length_calibration=_official_calibration() if _is_official_metric(name, role, judged_by) else None,
    )
    if not judged_by.is_embedded:
        return bench
    return replace(
        bench,
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
    "alpaca_eval2": PublishedMetric("AlpacaEval 2.0", N_INSTRUCTIONS["alpaca_eval2"], "gpt4_1106_preview"),
    "arena_hard": PublishedMetric("Arena-Hard v0.1", N_INSTRUCTIONS["arena_hard"], ARENA_HARD_BASELINE),
}


def _baselines_of(role: DataRole) -> tuple[Artifact, str]:
    """A scale's instructions with the baseline's answers, and the baseline's name."""
    if not role.reference.startswith(OFFICIAL_DATA):
        return role.artifact(), role.reference
    bench = role.reference.removeprefix(OFFICIAL_DATA)
    if bench not in METRICS:
        raise unknown("bench with official data", bench, METRICS)
    metric = METRICS[bench]
    digest = resolved(role.reference, lambda: load_baseline(bench).fingerprint)
    rows = baseline_responses(bench=bench, source=None, baseline=None, fingerprint=digest)
    rows = rows.with_label(f"{bench} {metric.baseline}")
    if role.size < metric.n_instructions:
        rows = first_responses(responses=rows, size=role.size).with_label(rows.label)
    return rows, metric.baseline


def _is_official_metric(name: str, role: BenchRole, judged_by: EndpointReference) -> bool:
    """Whether the scale's bench is AlpacaEval 2.0 as it is defined, so that its published length calibration holds."""
    whole = role.baselines.size >= METRICS["alpaca_eval2"].n_instructions
    own = role.baselines.reference == f"{OFFICIAL_DATA}alpaca_eval2"
    return name == "alpaca_eval2" and own and whole and judged_by == judge(OFFICIAL_JUDGE)


def _official_calibration() -> Artifact:
    """What AlpacaEval 2.0's length control is calibrated on, from the hub."""
    name = f"{OFFICIAL_DATA}df_gamed.csv"
    commit = resolved(name, lambda: calibration_on_hub().commit)
    digest = resolved(name, lambda: file_digest(calibration_on_hub(commit=commit).path))
    return official_calibration(repository=ALPACA_EVAL_HUB, commit=commit, digest=digest).with_label("df_gamed.csv")


def _limited_scale(choice: BenchChoice) -> Scale:
    if choice.data or choice.baseline:
        raise UserError(f"--data and --baseline go with --scale {OFFICIAL}: scale {choice.scale} has its own")
    scale = load_scale(choice.scale)
    return scale.limited(choice.limit) if choice.limit else scale


def _scale_bench(name: str, choice: BenchChoice) -> Bench:
    scale = _limited_scale(choice)
    if choice.judge is not None:
        scale = replace(scale, judge=JudgeRole.of(choice.judge))
    return bench_on(scale, name)


def _official_bench(name: str, choice: BenchChoice) -> Bench:
    baselines, baseline_name = _official_baselines(name, choice)
    return Bench(
        baselines=baselines,
        baseline_name=baseline_name,
        judge=choice.judge or judge(OFFICIAL_JUDGE),
        prompt=official_prompt(name),
        sampling=official_settings().sampling,
    )


@contextmanager
def _or_passed(option: str) -> Iterator[None]:
    """Names an option of `harness eval` where a file of the hub cannot be had."""
    try:
        yield
    except NotFetched as error:
        raise UserError(f"{error}, or pass {option} to read it from this machine") from None


def _official_baselines(name: str, choice: BenchChoice) -> tuple[Artifact, str]:
    with _or_passed("--data FOLDER"):
        baselines, baseline_name = official_baseline(name, choice.data, choice.baseline)
    if choice.limit:
        baselines = first_responses(responses=baselines, size=choice.limit).with_label(baselines.label)
    return baselines, baseline_name


def _length_calibration(name: str, bench: Bench, choice: BenchChoice) -> Artifact | None:
    """The file chosen; else the official one, for the metric as it is defined and nothing else."""
    path = choice.length_calibration
    if path is None and departure(name, bench, choice) is None:
        if choice.data is None:
            with _or_passed("--lc-calibration FILE"):
                return _official_calibration()
        path = length_calibration(choice.data)
    return calibration_from(path) if path is not None else None
