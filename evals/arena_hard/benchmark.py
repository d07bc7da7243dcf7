"""Arena-Hard v0.1 from a checkpoint to its score: the steps. How verdicts become a score: `scores`."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals import scoring
from evals.arena_hard.files import ArenaAnswer, ArenaJudgment, Game, write_answers, write_judgments
from evals.arena_hard.judgment_files import JudgmentFiles
from evals.arena_hard.scores import METRICS, PUBLISHED, Games, asked_questions, score_judgments, verdicts_asked
from evals.base import RESAMPLES, ItemResults, Scored
from evals.judged_pairs import JudgedPairs, PairSetting
from harness.endpoints.cost import text_token_counter
from harness.engine.artifacts import Artifact, Output, step
from harness.models.generator import Sampling
from harness.records import Judgment, Response
from harness.steps import judge
from harness.steps.judge_prompt import JudgePrompt

ANSWER_TOKENIZER = "cl100k_base"
"""What Arena-Hard counts the tokens of every model's answers with (gen_answer.py: tiktoken's for gpt-3.5-turbo)."""


class ArenaHard(JudgedPairs):
    """Arena-Hard v0.1."""

    summary = "Bradley-Terry win rate against one baseline on hard prompts, verdicts in both orders"
    source = "Li et al. 2024; SGPO, section 4.3"
    metrics = METRICS
    protocol = "arena_hard"
    verdict_files = JudgmentFiles
    published = PUBLISHED

    def sampling(self, sampling: Sampling) -> Sampling:
        """Sample greedily (section 4.3)."""
        return sampling.greedy()

    def score(self, setting: PairSetting, rows: Sequence[Artifact], name: str) -> Artifact:
        """Return the score, with each seed's files in Arena-Hard's own formats."""
        return score_arena_hard(
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
        """Return the paired difference of the scores."""
        return compare_arena_hard(better=better, worse=worse, allow_missing=setting.allow_missing, resamples=RESAMPLES)

    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Return the verdicts by question."""
        return [Games(verdicts_of(rows)) for each in scored for rows in each.rows]


BENCHMARK = ArenaHard()


@step(version=3)
def score_arena_hard(
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
    """Write `scores.json` over all training seeds, and each seed's files in Arena-Hard's own formats in `seed-<n>/`.

    A judge asked repeatedly gives one `model_judgment` file each time. `prompt` is what it was asked with.
    """
    n_questions = len(baselines.rows(Response))
    rules: dict[str, Any] = {"resamples": resamples, "allow_missing": allow_missing}
    sets = []
    for number, artifact in enumerate(judgments):
        repeats = [games_of(rows, name, judge_name, prompt) for rows in judge.by_repeat(artifact.rows(Judgment))]
        _export(out.folder / f"seed-{number}", repeats, _answers_given(artifact, name))
        scores = score_judgments(_flat(repeats), n_questions=n_questions, repeats=n_repeats, **rules)
        scores["uncertainty"] = _uncertainty([repeats], resamples)
        out.write_json(f"seed-{number}/scores.json", scores)
        sets.append(repeats)
    scores = score_training_seeds(list(map(_flat, sets)), n_questions=n_questions, repeats=n_repeats, **rules)
    scores["uncertainty"] = _uncertainty(sets, resamples)
    out.write_json("scores.json", scores)


def score_training_seeds(
    sets: Sequence[Sequence[ArenaJudgment]], *, n_questions: int, repeats: int = 1, **rules: Any
) -> dict[str, Any]:
    """Return `scoring.score` of one method, on the questions that any training seed has a judgment on."""
    asked, items = verdicts_asked(n_questions, repeats), asked_questions(sets)
    return scoring.score(list(map(Games, sets)), asked=asked, items=items, **rules)


def _uncertainty(sets: Sequence[Sequence[Sequence[ArenaJudgment]]], resamples: int) -> dict[str, Any]:
    """Return the uncertainty of verdicts [training seeds][repeats][questions]."""
    items = asked_questions([each for repeats in sets for each in repeats])
    return scoring.uncertainty([list(map(Games, repeats)) for repeats in sets], items=items, resamples=resamples)


def _export(folder: Path, repeats: Sequence[Sequence[ArenaJudgment]], answers: Sequence[ArenaAnswer]) -> None:
    """Write Arena-Hard's files of one model."""
    folder.mkdir()
    for repeat, rows in enumerate(repeats):
        write_judgments(folder / f"model_judgment{f'-{repeat}' if repeat else ''}.jsonl", rows)
    write_answers(folder / "model_answer.jsonl", answers)


@step(version=3)
def compare_arena_hard(
    out: Output, *, better: Sequence[Artifact], worse: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """Write `comparison.json`: the paired difference between two methods on the same questions."""
    first, second = ([Games(verdicts_of(artifact)) for artifact in side] for side in (better, worse))
    scoring.write_comparison(out, first, second, METRICS, allow_missing=allow_missing, resamples=resamples)


def _flat(repeats: Sequence[Sequence[ArenaJudgment]]) -> list[ArenaJudgment]:
    return [judgment for judgments in repeats for judgment in judgments]


def verdicts_of(judgments: Artifact) -> list[ArenaJudgment]:
    """Return the games of all repeats of a judgments artifact, without names and prompts, which a comparison needs none
    of."""
    return _flat([games_of(rows, "model", "judge", None) for rows in judge.by_repeat(judgments.rows(Judgment))])


def games_of(rows: Sequence[Judgment], name: str, judge_name: str, prompt: JudgePrompt | None) -> list[ArenaJudgment]:
    """Return the two games of each question, the one with the baseline as A first; with what was asked, given the
    `prompt`."""
    games: dict[str, dict[str, Game]] = defaultdict(dict)
    for row in rows:
        asked = _asked(row, prompt) if prompt else ""
        games[row.prompt.id][row.order] = Game(row.verdict or None, row.reply, asked)
    return [
        ArenaJudgment(question, name, judge_name, (played["baseline_first"], played["output_first"]))
        for question, played in games.items()
    ]


def _asked(row: Judgment, prompt: JudgePrompt) -> str:
    """Return the user's message that the judge was asked with first."""
    return judge.OrderedPair(row.prompt, row.baseline, row.output, row.order).request(prompt).messages[-1].content


def _answers_given(judgments: Artifact, name: str) -> list[ArenaAnswer]:
    """Add their lengths in tokens, where the tokenizer is installed."""
    count = text_token_counter(ANSWER_TOKENIZER)
    answers = {row.prompt.id: row.output for row in judgments.rows(Judgment)}
    return [ArenaAnswer(question, name, text, count(text) if count else None) for question, text in answers.items()]
