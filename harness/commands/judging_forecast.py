"""`harness eval --dry-run`: what judging would cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals.mt_bench.answers import stand_in_answers
from evals.mt_bench.benchmark import MtBench, grading_prompts
from evals.mt_bench.grading import turns_to_grade
from evals.mt_bench.questions import TwoTurnQuestion
from harness.commands.evaluate import require_outputs
from harness.commands.evaluations import Evaluation, Source, build_evaluations
from harness.endpoints.cost import CostEstimate, describe, estimate
from harness.endpoints.reply_cache import is_recorded
from harness.engine.artifacts import Artifact
from harness.engine.pipeline import run
from harness.engine.store import Store
from harness.recipes.benches import BenchChoice, judged_pairs
from harness.records import Response
from harness.steps.judge import needs_judge, pair_up


@dataclass(frozen=True, slots=True)
class JudgingForecast:
    """The estimated cost of judging one bench; `assumes_answers` where the baseline's stand in for answers to come."""

    bench: str
    cost: CostEstimate
    assumes_answers: bool
    like: str = "the baseline's"
    """What answers are taken to be as long as."""

    def __str__(self) -> str:
        assumed = f"\nanswers            not there yet; taken to be as long as {self.like}"
        return f"{self.bench}\n{describe(self.cost)}{assumed if self.assumes_answers else ''}"

    def as_json(self) -> dict[str, Any]:
        """Return the same figures; dollars are None where the price is unknown."""
        cost, counts = self.cost, ("calls", "recorded", "prompt_tokens", "counting")
        tokens = ("completion_tokens", "most_completion_tokens")
        return {
            "bench": self.bench,
            "judge": cost.reference.model,
            "judge_base_url": cost.reference.base_url or None,
            **{name: getattr(cost, name) for name in (*counts, *tokens)},
            "usd": cost.usd(),
            "most_usd": cost.most_usd(),
            "usd_batch": cost.usd(batch=True),
            "most_usd_batch": cost.most_usd(batch=True),
            "assumes_answers": self.assumes_answers,
        }


def forecast(benches: Sequence[str], source: Source, choice: BenchChoice, run_dir: Path) -> list[JudgingForecast]:
    """Estimate what judging would cost, bench by bench, without asking the judge anything (`--dry-run`).

    Data is read, and answers that are not there yet are not generated: the baseline's stand in for their length.
    """
    judged = [each for name in benches for each in build_evaluations(name, source, choice) if each.outputs]
    store = Store(run_dir / "store")
    run([_asked(each) for each in judged], store)
    if source.outputs:
        require_outputs(judged, source.outputs, choice, store)
    return [_forecast(each, store) for each in judged]


def _forecast(each: Evaluation, store: Store) -> JudgingForecast:
    if isinstance(each.benchmark, MtBench):
        return _forecast_of_grading(each, each.benchmark, store)
    setting, protocol = each.setting, judged_pairs(each.name).protocol
    baselines = store.bind(setting.baselines).rows(Response)
    is_known = each.outputs is not None and store.has(each.outputs)
    outputs = store.bind(each.outputs).rows(Response) if each.outputs and is_known else _stand_ins(baselines)
    games = pair_up(protocol, outputs, baselines, setting.judge_repeats)
    requests = [game.request(setting.prompt) for game in games if needs_judge(protocol, game)]
    cost = estimate(requests, setting.judge, is_recorded(store.reply_cache, setting.judge))
    return JudgingForecast(each.title, cost, assumes_answers=not is_known)


def _asked(each: Evaluation) -> Artifact:
    """Return what is asked: instructions with a baseline's answers, or questions of two turns."""
    if isinstance(each.benchmark, MtBench):
        return each.benchmark.questions(each.setting)
    baselines: Artifact = each.setting.baselines
    return baselines


def _forecast_of_grading(each: Evaluation, benchmark: MtBench, store: Store) -> JudgingForecast:
    setting = each.setting
    questions = store.bind(_asked(each)).rows(TwoTurnQuestion)
    is_known = each.outputs is not None and store.has(each.outputs)
    answers = store.bind(each.outputs).rows(Response) if each.outputs and is_known else stand_in_answers(questions)
    prompts = grading_prompts(setting)
    requests = [turn.request(prompts) for turn in turns_to_grade(questions, answers, setting.judge_repeats)]
    cost = estimate(requests, setting.judge, is_recorded(store.reply_cache, setting.judge))
    return JudgingForecast(each.title, cost, assumes_answers=not is_known, like="the references")


def _stand_ins(baselines: Sequence[Response]) -> list[Response]:
    """Return answers of the baselines' length, but not equal to them: equal ones are asked about less, or not at
    all."""
    return [replace(row, text=f"{row.text}.") for row in baselines]
