"""Arena-Hard v0.1 from a checkpoint to its score: the steps. How verdicts become a score: `evals.arena_hard`."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from evals import arena_hard
from evals.bench import RESAMPLES, Bench, Evaluation
from evals.formats.arena_hard import ArenaAnswer, ArenaJudgment, Game, write_answers, write_judgments
from harness.endpoints.cost import text_token_counter
from harness.engine.artifacts import Artifact, Output, step
from harness.records import Judgment, Response
from harness.steps import judge
from harness.steps.judge_prompt import JudgePrompt
from harness.steps.respond import respond

ANSWER_TOKENIZER = "cl100k_base"
"""What Arena-Hard counts the tokens of every model's answers with (gen_answer.py: tiktoken's for gpt-3.5-turbo)."""


def _answers(bench: Bench, checkpoint: Artifact, seed: int) -> Artifact:
    """Greedy answers (section 4.3)."""
    return respond(model=checkpoint, prompts=bench.baselines, sampling=bench.sampling.greedy(), seed=seed)


def _score(bench: Bench, judgments: Sequence[Artifact], name: str) -> Artifact:
    return score_arena_hard(
        baselines=bench.baselines,
        judgments=judgments,
        name=name,
        judge_name=bench.judge.model,
        prompt=bench.prompt,
        n_repeats=bench.judge_repeats,
        allow_missing=bench.allow_missing,
        resamples=RESAMPLES,
    )


def _compare(bench: Bench, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
    return compare_arena_hard(better=better, worse=worse, allow_missing=bench.allow_missing, resamples=RESAMPLES)


EVALUATION = Evaluation(
    summary="Bradley-Terry win rate against one baseline on hard prompts, verdicts in both orders",
    source="Li et al. 2024; SGPO, section 4.3",
    metrics=("score",),
    protocol="arena_hard",
    answers=_answers,
    score=_score,
    compare=_compare,
)


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
    """`scores.json` over all training seeds, and each seed's files in Arena-Hard's own formats in `seed-<n>/`.

    A judge asked repeatedly gives one `model_judgment` file each time. `prompt` is what it was asked with.
    """
    rules: dict[str, Any] = {
        "n_questions": len(baselines.rows(Response)),
        "repeats": n_repeats,
        "resamples": resamples,
        "allow_missing": allow_missing,
    }
    sets = []
    for number, artifact in enumerate(judgments):
        repeats = [_games(rows, name, judge_name, prompt) for rows in judge.by_repeat(artifact.rows(Judgment))]
        folder = out.folder / f"seed-{number}"
        folder.mkdir()
        for repeat, rows in enumerate(repeats):
            write_judgments(folder / f"model_judgment{f'-{repeat}' if repeat else ''}.jsonl", rows)
        write_answers(folder / "model_answer.jsonl", _answers_given(artifact, name))
        scores = arena_hard.score_judgments(_flat(repeats), **rules)
        scores["uncertainty"] = arena_hard.uncertainty([repeats], resamples=resamples)
        out.write_json(f"seed-{number}/scores.json", scores)
        sets.append(repeats)
    scores = arena_hard.score_training_seeds(list(map(_flat, sets)), **rules)
    scores["uncertainty"] = arena_hard.uncertainty(sets, resamples=resamples)
    out.write_json("scores.json", scores)


@step(version=3)
def compare_arena_hard(
    out: Output, *, better: Sequence[Artifact], worse: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """`comparison.json`: the paired difference between two methods on the same questions."""
    first, second = ([verdicts_of(artifact) for artifact in side] for side in (better, worse))
    result = arena_hard.compare_judgments(first, second, resamples=resamples, allow_missing=allow_missing)
    out.write_json("comparison.json", {"score": result})


def _flat(repeats: Sequence[Sequence[ArenaJudgment]]) -> list[ArenaJudgment]:
    return [judgment for judgments in repeats for judgment in judgments]


def verdicts_of(judgments: Artifact) -> list[ArenaJudgment]:
    """The games of all repeats of a judgments artifact, without names and prompts, which a comparison needs none of."""
    return _flat([_games(rows, "model", "judge", None) for rows in judge.by_repeat(judgments.rows(Judgment))])


def _games(rows: Sequence[Judgment], name: str, judge_name: str, prompt: JudgePrompt | None) -> list[ArenaJudgment]:
    """The two games of each question, the one with the baseline as A first; with what was asked, given the `prompt`."""
    games: dict[str, dict[str, Game]] = defaultdict(dict)
    for row in rows:
        asked = _asked(row, prompt) if prompt else ""
        games[row.prompt.id][row.order] = Game(row.verdict or None, row.reply, asked)
    return [
        ArenaJudgment(question, name, judge_name, (played["baseline_first"], played["output_first"]))
        for question, played in games.items()
    ]


def _asked(row: Judgment, prompt: JudgePrompt) -> str:
    """The user's message that the judge was asked with first."""
    return judge.Game(row.prompt, row.baseline, row.output, row.order).request(prompt).messages[-1].content


def _answers_given(judgments: Artifact, name: str) -> list[ArenaAnswer]:
    """With their lengths in tokens, where the tokenizer is installed."""
    count = text_token_counter(ANSWER_TOKENIZER)
    answers = {row.prompt.id: row.output for row in judgments.rows(Judgment)}
    return [ArenaAnswer(question, name, text, count(text) if count else None) for question, text in answers.items()]
