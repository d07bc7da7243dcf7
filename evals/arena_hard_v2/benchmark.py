"""Arena-Hard v2.0 from a checkpoint to its scores: the steps. How verdicts become scores: `scores`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evals import scoring
from evals.arena_hard.benchmark import games_of, verdicts_of
from evals.arena_hard.files import ArenaJudgment, write_current_judgments
from evals.arena_hard_v2.judgment_files import CategoryJudgmentFiles
from evals.arena_hard_v2.scores import BASELINES, METRICS, PUBLISHED, Answers, CategoryGames, score_judgments
from evals.base import RESAMPLES, ItemResults, Scored
from evals.judged_pairs import JudgedPairs, PairSetting
from harness.engine.artifacts import Artifact, Output, step
from harness.models.generator import Sampling
from harness.records import Judgment, Response
from harness.steps.judge import by_repeat
from harness.steps.judge_prompt import JudgePrompt
from harness.steps.question_categories import CATEGORIES, category_of


class ArenaHardV2(JudgedPairs):
    """Arena-Hard v2.0: as v0.1, in two categories with a baseline and a judging prompt each."""

    summary = "win rates on hard prompts and on creative writing, each against a baseline, style-controlled and raw"
    source = "lmarena/arena-hard-auto"
    metrics = METRICS
    protocol = "arena_hard_v2"
    verdict_files = CategoryJudgmentFiles
    published = PUBLISHED

    def sampling(self, sampling: Sampling) -> Sampling:
        """Sample greedily, as for v0.1."""
        return sampling.greedy()

    def score(self, setting: PairSetting, rows: Sequence[Artifact], name: str) -> Artifact:
        """Return the scores, with each seed's judgments in the tool's own format."""
        return score_arena_hard_v2(
            baselines=setting.baselines,
            judgments=rows,
            name=name,
            judge_name=setting.judge.model,
            prompt=setting.prompt,
            n_repeats=setting.judge_repeats,
            allow_missing=setting.allow_missing,
            resamples=RESAMPLES,
        )

    def compare(self, setting: PairSetting, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
        """Return the paired differences of the scores."""
        return compare_arena_hard_v2(
            better=better, worse=worse, allow_missing=setting.allow_missing, resamples=RESAMPLES
        )

    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Return the verdicts by question."""
        return [_verdicts(rows) for each in scored for rows in each.rows]


BENCHMARK = ArenaHardV2()


@step(version=1)
def score_arena_hard_v2(
    out: Output,
    *,
    baselines: Artifact,
    judgments: Sequence[Artifact],
    name: str,
    judge_name: str,
    prompt: JudgePrompt,
    n_repeats: int,
    allow_missing: bool,
    resamples: int,
) -> None:
    """Write `scores.json` over all training seeds, and each seed's judgments in the tool's format in `seed-<n>/`."""
    answers = baselines.rows(Response)
    writers = {row.prompt.id: row.writer for row in answers}
    asked = 2 * len(answers) * n_repeats
    rules: dict[str, Any] = {"resamples": resamples, "allow_missing": allow_missing}
    sets = []
    for number, artifact in enumerate(judgments):
        repeats = [
            [_named(each, writers) for each in games_of(rows, name, judge_name, prompt)]
            for rows in by_repeat(artifact.rows(Judgment))
        ]
        _export(out.folder / f"seed-{number}", repeats, prompt)
        games = [each for repeat in repeats for each in repeat]
        both = _judged_answers(artifact)
        scores = score_judgments(games, answers=both, n_questions=len(answers), repeats=n_repeats, **rules)
        out.write_json(f"seed-{number}/scores.json", scores)
        sets.append(CategoryGames(games, answers=both))
    items = scoring.all_items(sets)
    out.write_json("scores.json", scoring.score(sets, asked=asked, items=items, **rules))


@step(version=1)
def compare_arena_hard_v2(
    out: Output,
    *,
    better: Sequence[Artifact],
    worse: Sequence[Artifact],
    allow_missing: bool,
    resamples: int,
) -> None:
    """Write `comparison.json`: the paired differences between two methods on the same questions."""
    first, second = ([_verdicts(rows) for rows in side] for side in (better, worse))
    scoring.write_comparison(out, first, second, METRICS, allow_missing=allow_missing, resamples=resamples)


def _verdicts(artifact: Artifact) -> CategoryGames:
    """Return the games of all repeats, in the categories of their questions."""
    games = [_named(each, {}) for each in verdicts_of(artifact)]
    return CategoryGames(games, answers=_judged_answers(artifact))


def _judged_answers(judgments: Artifact) -> dict[str, Answers]:
    """Return the answers that were judged, by question."""
    return {row.prompt.id: (row.baseline, row.output) for row in judgments.rows(Judgment)}


def _named(judgment: ArenaJudgment, writers: dict[str, str]) -> ArenaJudgment:
    """Return the judgment with its category and the writer of the baseline's answer."""
    category = category_of(judgment.question_id)
    baseline = writers.get(judgment.question_id, BASELINES[category])
    return replace(judgment, category=category, baseline=baseline)


def _export(folder: Path, repeats: Sequence[Sequence[ArenaJudgment]], prompt: JudgePrompt) -> None:
    """Write the tool's judgments of one model, a file each time that the judge was asked."""
    folder.mkdir()
    systems = dict.fromkeys(CATEGORIES, prompt.system) | dict(getattr(prompt, "systems", ()))
    for repeat, rows in enumerate(repeats):
        write_current_judgments(folder / f"model_judgment{f'-{repeat}' if repeat else ''}.jsonl", rows, systems)
