"""Arena-Hard v0.1 from a checkpoint to its score: the steps. How verdicts become a score: `evals.arena_hard`."""

from collections import defaultdict
from collections.abc import Sequence

from evals import arena_hard
from evals.bench import Bench, Evaluation
from evals.formats import ArenaAnswer, ArenaJudgment, Game, write_answers, write_judgments
from harness.core.artifacts import Artifact, Output, step
from harness.core.records import Judgment, Response
from harness.steps.judge import judge_fingerprint, judge_pairs
from harness.steps.respond import respond

RESAMPLES = 1000


def _judgments(bench: Bench, checkpoint: Artifact, seed: int) -> Artifact:
    """Greedy answers (section 4.3), judged against the baseline's in both orders."""
    outputs = respond(model=checkpoint, prompts=bench.baselines, sampling=bench.sampling.greedy(), seed=seed)
    return judge_pairs(
        judge=bench.judge,
        template=bench.template,
        protocol="arena_hard",
        outputs=outputs,
        baselines=bench.baselines,
    )


def _score(bench: Bench, judgments: Sequence[Artifact], name: str) -> Artifact:
    return score_arena_hard(
        baselines=bench.baselines, judgments=judgments, name=name, judge_name=bench.judge_name, resamples=RESAMPLES
    )


def _compare(bench: Bench, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
    return compare_arena_hard(better=better, worse=worse, resamples=RESAMPLES)


EVALUATION = Evaluation(
    summary="Bradley-Terry win rate against one baseline on hard prompts, verdicts in both orders",
    source="Li et al. 2024; SGPO, section 4.3",
    metrics=("score",),
    judgments=_judgments,
    score=_score,
    compare=_compare,
    fingerprint=lambda bench: judge_fingerprint(bench.judge, bench.template, "arena_hard"),
)


@step(version=1)
def score_arena_hard(
    out: Output, *, baselines: Artifact, judgments: Sequence[Artifact], name: str, judge_name: str, resamples: int
) -> None:
    """`scores.json` over all training seeds, and each seed's files in Arena-Hard's own formats in `seed-<n>/`."""
    questions = len(baselines.rows(Response))
    sets = []
    for number, artifact in enumerate(judgments):
        rows = _arena_judgments(artifact, name, judge_name)
        folder = out.folder / f"seed-{number}"
        folder.mkdir()
        write_judgments(folder / "model_judgment.jsonl", rows)
        write_answers(folder / "model_answer.jsonl", _answers(artifact, name))
        scores = arena_hard.score_judgments(rows, n_questions=questions, resamples=resamples)
        out.write_json(f"seed-{number}/scores.json", scores)
        sets.append(rows)
    out.write_json("scores.json", arena_hard.score_training_seeds(sets, n_questions=questions, resamples=resamples))


@step(version=1)
def compare_arena_hard(out: Output, *, better: Sequence[Artifact], worse: Sequence[Artifact], resamples: int) -> None:
    """`comparison.json`: the paired difference between two methods on the same questions."""
    first, second = ([_arena_judgments(artifact) for artifact in side] for side in (better, worse))
    out.write_json("comparison.json", {"score": arena_hard.compare_judgments(first, second, resamples=resamples)})


def _arena_judgments(judgments: Artifact, name: str = "model", judge_name: str = "judge") -> list[ArenaJudgment]:
    """The two games of each question, the one with the baseline as A first."""
    games: dict[str, dict[str, Game]] = defaultdict(dict)
    for row in judgments.rows(Judgment):
        games[row.prompt.id][row.order] = Game(row.verdict or None, row.reply)
    return [
        ArenaJudgment(question, name, judge_name, (played["baseline_first"], played["output_first"]))
        for question, played in games.items()
    ]


def _answers(judgments: Artifact, name: str) -> list[ArenaAnswer]:
    answers = {row.prompt.id: row.output for row in judgments.rows(Judgment)}
    return [ArenaAnswer(question, name, text) for question, text in answers.items()]
