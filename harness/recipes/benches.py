"""The evaluation sets: as a scale fills them, or the official ones."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals.base import PublishedMetric, Setting
from evals.judged_pairs import JudgedPairs, PairSetting
from evals.mt_bench.benchmark import TwoTurnOptions
from evals.mt_bench.questions import BENCH as MT_BENCH
from evals.mt_bench.questions import PUBLISHED as TWO_TURNS
from evals.official_data import load_baseline
from evals.official_steps import OFFICIAL_DATA, baseline_responses, official_baseline
from evals.own_items import OwnItems, UserData
from harness.config.yaml_files import config_path, load_yaml
from harness.endpoints.reference import EndpointReference
from harness.engine.artifacts import Artifact
from harness.engine.unresolved import resolved
from harness.errors import UserError, named, unknown
from harness.models.generator import Sampling
from harness.models.hub import NotFetched
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import JudgeRole, Recipe
from harness.recipes.registries import EVALS, load_benchmark
from harness.steps.data import DataRole, first_responses
from harness.steps.judge import judge
from harness.steps.judge_prompt import OFFICIAL_JUDGE, official_prompt

OFFICIAL = "official"
"""In the place of a scale's name: the instructions, baselines and judging prompts of the benches themselves."""


@dataclass(frozen=True, slots=True)
class BenchChoice:
    """The options of an evaluation set.

    `scale` is a scale's name, or "official"; `data` a folder or file with official data instead of the hub; `baseline`
    the name of a model or a file of outputs; `limit` how many instructions are used, the first ones; `judge` the judge
    instead of the scale's; `length_calibration` a file like df_gamed.csv; `max_new_tokens` how long answers may be;
    `chat_template` whether tasks are asked through the model's chat template.
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
    chat_template: bool = False


@dataclass(frozen=True, slots=True)
class OfficialSettings:
    """configs/official/answers.yaml: how models answer, and how they are asked to revise an answer."""

    sampling: Sampling
    revision: str
    """With the fields {request} and {example}, the answer before."""


def official_settings() -> OfficialSettings:
    """Return how models answer on the official evaluation sets."""
    return load_yaml(config_path("official/answers.yaml"), OfficialSettings)


def revision_prompt(choice: BenchChoice) -> str:
    """Return how a model is shown its answer before: by the scale's prompt `revision`, or, without one, by that of
    configs/official/answers.yaml."""
    own = None if choice.scale == OFFICIAL else load_recipe(choice.scale).prompt_set().methods.get("revision")
    return own or official_settings().revision


def choose_bench(name: str, choice: BenchChoice) -> PairSetting:
    """Return the judged benchmark `name` as chosen.

    Raises UserError for names that are unknown, data that is not there, and choices that do not go together.
    """
    setting = _official_setting(name, choice) if choice.scale == OFFICIAL else _recipe_setting(name, choice)
    sampling = setting.sampling
    if choice.max_new_tokens:
        sampling = replace(sampling, max_new_tokens=choice.max_new_tokens)
    setting = replace(
        setting, sampling=sampling, judge_repeats=choice.judge_repeats, allow_missing=choice.allow_missing
    )
    return judged_pairs(name).with_files(setting, choice.length_calibration, choice.data)


def choose_unjudged(name: str, choice: BenchChoice) -> Setting:
    """Return the setting of a benchmark without a judge: the scale's options for it, if the scale has any."""
    recipe = None if choice.scale == OFFICIAL else _limited_recipe(choice)
    return Setting(
        options=recipe.benches.get(name) if recipe else None,
        judge=choice.judge or judge(OFFICIAL_JUDGE),
        sampling=recipe.sampling if recipe else official_settings().sampling,
        allow_missing=choice.allow_missing,
    )


def choose_graded(choice: BenchChoice) -> Setting:
    """Return MT-Bench as chosen: its own questions, or those of a scale.

    Raises UserError for data that is not there, and choices that do not go together.
    """
    if choice.scale == OFFICIAL:
        role = DataRole(f"{OFFICIAL_DATA}{MT_BENCH}", choice.limit or sys.maxsize)  # all there are
        options = TwoTurnOptions(questions=role, folder=choice.data or "")
        sampling = official_settings().sampling
        setting = Setting(options=options, judge=choice.judge or judge(TWO_TURNS.judges[0]), sampling=sampling)
    else:
        recipe = _limited_recipe(choice)
        if choice.judge is not None:
            recipe = replace(recipe, judge=JudgeRole.of(choice.judge))
        setting = bench_on(recipe, MT_BENCH)
    options = setting.options
    if choice.max_new_tokens:
        options = replace(options, max_new_tokens=choice.max_new_tokens)
    return replace(setting, options=options, judge_repeats=choice.judge_repeats, allow_missing=choice.allow_missing)


def choose_own_items(name: str, benchmark: OwnItems, choice: BenchChoice) -> Setting:
    """Return the setting of a benchmark that has its items itself: the official ones, or a scale's.

    Raises UserError for data that is not there, and for a scale on which it has no items.
    """
    setting = choose_unjudged(name, choice)
    options = setting.options
    if choice.scale == OFFICIAL:
        options = benchmark.official(UserData(choice.data, choice.limit))
    elif options is None:
        options = _embedded_options(name, benchmark, choice)
    if choice.chat_template:
        options = benchmark.with_chat_template(options)
    tokens = choice.max_new_tokens or (benchmark.max_new_tokens if choice.scale == OFFICIAL else None)
    sampling = replace(setting.sampling, max_new_tokens=tokens) if tokens else setting.sampling
    return replace(setting, options=options, sampling=sampling)


def _embedded_options(name: str, benchmark: OwnItems, choice: BenchChoice) -> Any:
    """Return the options of the embedded world's items, for a recipe of the world that does not name the benchmark."""
    recipe = load_recipe(choice.scale)
    if not recipe.truth_is_known and not benchmark.is_of_any_scale:
        raise UserError(f"scale {choice.scale} has no bench {name}; pass --scale {OFFICIAL} for its own items")
    options = benchmark.Options()
    return options.resized(min(choice.limit, options.size)) if choice.limit else options


def bench_on(recipe: Recipe, name: str) -> Setting:
    """Return the setting of the benchmark `name` as the scale fills it. Raises UserError for an unknown one."""
    options = named(f"bench in {recipe.where}:", name, recipe.benches)
    if isinstance(load_benchmark(name), JudgedPairs):
        return pairs_on(recipe, name)
    judge = recipe.judge.reference()
    return Setting(options=options, judge=judge, sampling=recipe.sampling, allow_missing=recipe.allow_missing)


def pairs_on(recipe: Recipe, name: str) -> PairSetting:
    """Return the setting of the benchmark `name`, which judges pairs, as the scale fills it.

    A judge that is not the embedded one is asked with the official prompts. Raises UserError for an unknown one.
    """
    options, judged_by = named(f"bench in {recipe.where}:", name, recipe.benches), recipe.judge.reference()
    baselines, baseline_name = _baselines_of(options.baselines)
    prompt = recipe.prompt_set().judge_prompt(name) if judged_by.is_embedded else official_prompt(name)
    return PairSetting(
        options=options,
        judge=judged_by,
        sampling=recipe.sampling,
        allow_missing=recipe.allow_missing,
        baselines=baselines,
        baseline_name=baseline_name,
        prompt=prompt,
        is_published=_is_published(name, options.baselines, judged_by),
    )


def baseline_roles(recipe: Recipe) -> dict[str, DataRole]:
    """Return, by benchmark, the data set of its instructions and baseline's answers; without those that have none."""
    found = {name: getattr(options, "baselines", None) for name, options in recipe.benches.items()}
    return {name: role for name, role in found.items() if isinstance(role, DataRole)}


def baselines_on(recipe: Recipe, name: str) -> Artifact:
    """Return the instructions of the benchmark `name`, answered by its baseline.

    Raises UserError for an unknown one.
    """
    roles = baseline_roles(recipe)
    if name not in roles:
        raise unknown("bench", name, roles)
    return _baselines_of(roles[name])[0]


def choose_baselines(name: str, choice: BenchChoice) -> Artifact:
    """Return the instructions and the baseline's answers of the evaluation set alone.

    Raises UserError as `choose_bench`.
    """
    if choice.scale == OFFICIAL:
        return _official_baselines(name, choice)[0]
    return baselines_on(_limited_recipe(choice), name)


def departure(name: str, setting: PairSetting, choice: BenchChoice) -> str | None:
    """Describe, to print beside the score, what keeps it from being the bench's own metric; None if nothing does."""
    metric = load_benchmark(name).published
    return metric.departure(_reasons(metric, setting, choice)) if metric else None


def _reasons(metric: PublishedMetric, setting: PairSetting, choice: BenchChoice) -> Iterator[str]:
    official = judge(metric.asked_judge)
    if choice.scale != OFFICIAL:
        yield f"the instructions are those of scale {choice.scale}"
    elif choice.limit and choice.limit < metric.n_items:
        yield f"on {choice.limit} of {metric.n_items} instructions"
    if setting.judge.model != official.model:
        yield f"judged by {setting.judge.model}, not {official.model}"
    elif setting.judge != official:
        yield f"judged by {setting.judge}" + "".join(f" without {name}" for name in setting.judge.without)
    if choice.scale == OFFICIAL and setting.baseline_name != metric.baseline:
        yield f"against {setting.baseline_name}, not {metric.baseline}"


def official_judge(bench: str) -> EndpointReference:
    """Return the judge that defines the bench's published metric; of a bench without one, AlpacaEval's."""
    metric = load_benchmark(bench).published
    return judge(metric.asked_judge if metric else OFFICIAL_JUDGE)


def published_metric(bench: str) -> PublishedMetric:
    """Return the metric that official data is of. Raises UserError for a bench without official data."""
    known = {name: metric for name in EVALS.builtin if (metric := load_benchmark(name).published)}
    if bench not in known:
        raise unknown("bench with official data", bench, known)
    return known[bench]


def _baselines_of(role: DataRole) -> tuple[Artifact, str]:
    """Return a scale's instructions with the baseline's answers, and the baseline's name."""
    if not role.reference.startswith(OFFICIAL_DATA):
        return role.artifact(), role.reference
    bench = role.reference.removeprefix(OFFICIAL_DATA)
    metric = published_metric(bench)
    digest = resolved(role.reference, lambda: load_baseline(bench).fingerprint)
    rows = baseline_responses(bench=bench, source=None, baseline=None, fingerprint=digest)
    rows = rows.with_label(f"{bench} {metric.baseline}")
    if role.size < metric.n_items:
        rows = first_responses(responses=rows, size=role.size).with_label(rows.label)
    return rows, metric.baseline


def _is_published(name: str, role: DataRole, judged_by: EndpointReference) -> bool:
    """Return whether a scale's bench is the published metric: all of its own instructions, and its judge."""
    metric = load_benchmark(name).published
    own = role.reference == f"{OFFICIAL_DATA}{name}"
    return metric is not None and own and role.size >= metric.n_items and judged_by == official_judge(name)


def _limited_recipe(choice: BenchChoice) -> Recipe:
    if choice.data or choice.baseline:
        raise UserError(f"--data and --baseline go with --scale {OFFICIAL}: scale {choice.scale} has its own")
    recipe = load_recipe(choice.scale)
    return recipe.limited(choice.limit) if choice.limit else recipe


def judged_pairs(name: str) -> JudgedPairs:
    """Return the benchmark `name`. Raises UserError for one that judges no pairs."""
    benchmark = load_benchmark(name)
    if not isinstance(benchmark, JudgedPairs):
        raise UserError(f"{name} judges no pairs of answers")
    return benchmark


def _recipe_setting(name: str, choice: BenchChoice) -> PairSetting:
    recipe = _limited_recipe(choice)
    if choice.judge is not None:
        recipe = replace(recipe, judge=JudgeRole.of(choice.judge))
    return pairs_on(recipe, name)


def _official_setting(name: str, choice: BenchChoice) -> PairSetting:
    baselines, baseline_name = _official_baselines(name, choice)
    role = DataRole(f"{OFFICIAL_DATA}{name}", choice.limit or sys.maxsize)  # all there are
    setting = PairSetting(
        options=judged_pairs(name).Options(baselines=role),
        baselines=baselines,
        baseline_name=baseline_name,
        judge=choice.judge or official_judge(name),
        prompt=official_prompt(name),
        sampling=official_settings().sampling,
    )
    return replace(setting, is_published=departure(name, setting, choice) is None)


@contextmanager
def or_passed(option: str) -> Iterator[None]:
    """Name an option of `harness eval` where a file of the hub cannot be had."""
    try:
        yield
    except NotFetched as error:
        raise UserError(f"{error}, or pass {option} to read it from this machine") from None


def _official_baselines(name: str, choice: BenchChoice) -> tuple[Artifact, str]:
    with or_passed("--data FOLDER"):
        baselines, baseline_name = official_baseline(name, choice.data, choice.baseline)
    if choice.limit:
        baselines = first_responses(responses=baselines, size=choice.limit).with_label(baselines.label)
    return baselines, baseline_name
