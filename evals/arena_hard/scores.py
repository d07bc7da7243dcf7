"""Arena-Hard v0.1 (Li et al. 2024, "From Crowdsourced Data to High-Quality Benchmarks"): the score, from verdicts.

Each question is judged twice, with the baseline as A in the first game and as B in the second. A decisive verdict (≫)
counts as three battles, a tie as half a win for each side. The score is the Bradley–Terry probability, in per cent,
that the model beats the baseline: of two sides alone that is the share of the battles that the model has won.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals import scoring, withholding
from evals.arena_hard.files import ARENA_GAMES, ArenaJudgment
from evals.base import RESAMPLES, ItemResults, Metric, PublishedMetric
from harness.errors import UserError
from harness.records import share_by_label
from harness.steps.judge_prompt import OFFICIAL_JUDGE

if TYPE_CHECKING:
    from evals.stats.bootstrap import Statistic

SCORE = Metric("score")
METRICS = (SCORE,)
PUBLISHED = PublishedMetric(
    title="Arena-Hard v0.1",
    n_items=500,
    items="questions",
    baseline="gpt-4-0314",
    judges=(OFFICIAL_JUDGE,),
)
DECISIVE_WEIGHT = 3
OFFICIAL_ROUNDS = 100
OFFICIAL_SEED = 42


def score_judgments(
    judgments: Sequence[ArenaJudgment],
    *,
    n_questions: int = PUBLISHED.n_items,
    repeats: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
    allow_missing: bool = False,
    mend: str = withholding.ASK_AGAIN,
) -> dict[str, Any]:
    """Score one model's verdicts against the baseline.

    Returns `score`; `ci95`, 95 % interval with questions resampled, all verdicts on one kept together (None when one
    question alone has a verdict); `ci95_official`, the v0.1 scorer's, with battles resampled one by one in 100 rounds;
    `n_battles` (decisive verdicts count three); `n_asked`, two verdicts for each of `n_questions`, times `repeats`;
    `n_missing`, those of them that are absent or without a label. When less than 99 % are there, score and intervals
    are None and `withheld` says why, and how to `mend` it, unless `allow_missing`.
    Raises UserError when there is no verdict at all, or more questions than `n_questions`.
    """
    axis = asked_questions([judgments])
    asked = verdicts_asked(n_questions, repeats)
    missing = asked - _scorable(judgments, n_questions)
    too_few = withholding.withheld(asked - missing, asked, allow_missing=allow_missing, mend=mend)
    statistic = aligned_statistic(judgments, axis)
    interval = scoring.intervals({SCORE: statistic}, len(axis), resamples=resamples, seed=seed)["score"]
    several = len({judgment.question_id for judgment in judgments if weighted_verdicts(judgment)}) > 1
    headlines = {
        "score": statistic.value,
        "ci95": interval if several else None,
        "ci95_official": list(official_interval(judgments)),
    }
    return {
        **(dict.fromkeys(headlines) if too_few else headlines),
        "n_battles": len(_battles(judgments)),
        "n_asked": asked,
        "n_missing": missing,
        "withheld": too_few,
        "resamples": resamples,
        "seed": seed,
    }


@dataclass(frozen=True, slots=True)
class Games(ItemResults):
    """One set of verdicts, of which two are asked on a question; all repeats of them together."""

    judgments: Sequence[ArenaJudgment]
    metrics: Sequence[Metric] = METRICS

    @property
    def items(self) -> Sequence[str]:
        """The questions with a verdict that has a label."""
        return list(dict.fromkeys(each.question_id for each in self.judgments if weighted_verdicts(each)))

    @property
    def n_results(self) -> int:
        """The number of verdicts with a label."""
        return sum(len(weighted_verdicts(judgment)) for judgment in self.judgments)

    def statistic(self, metric: str, items: Sequence[str]) -> Statistic:
        """Return the score on questions."""
        return aligned_statistic(self.judgments, items)


def official_interval(judgments: Sequence[ArenaJudgment]) -> tuple[float, float]:
    """Return the v0.1 scorer's interval: 2.5 and 97.5 percentiles over 100 bootstrap samples of the battles, seed 42.

    It draws battles one by one, the three copies of a decisive verdict among them, in the order of the judgment file.
    Both verdicts on a question and all copies of one are alike, so this is no interval for new questions: `ci95` is.
    """
    import numpy as np

    battles = np.array(_battles(judgments))
    generator = np.random.RandomState(OFFICIAL_SEED)
    drawn = generator.randint(0, len(battles), size=(OFFICIAL_ROUNDS, len(battles)))
    lower, upper = np.percentile(100 * (battles[drawn].sum(axis=1) / len(battles)), [2.5, 97.5])
    return float(lower), float(upper)


def weighted_verdicts(judgment: ArenaJudgment) -> list[tuple[float, int]]:
    """Return the model's share of the win (1, ½ or 0) and the weight of each verdict on a question that has a label."""
    verdicts = []
    for game, reply in enumerate(judgment.games):
        if reply.score is not None:
            win = share_by_label(reply.score, shown_first=game == 1)
            verdicts.append((win, DECISIVE_WEIGHT if len(reply.score) == len("A>>B") else 1))
    return verdicts


def _battles(judgments: Sequence[ArenaJudgment]) -> list[float]:
    """Return the model's share of the win in each battle: a verdict stands as often as its weight says, in the order
    given."""
    return [win for judgment in judgments for win, weight in weighted_verdicts(judgment) for _ in range(weight)]


def verdicts_asked(n_questions: int, repeats: int) -> int:
    """Count the verdicts that are wanted: one a game."""
    return ARENA_GAMES * n_questions * repeats


def asked_questions(judgments: Sequence[Sequence[ArenaJudgment]]) -> list[str]:
    """Return the questions that any set has a judgment on, with a label or without, sorted."""
    return sorted({judgment.question_id for each in judgments for judgment in each})


def _scorable(judgments: Sequence[ArenaJudgment], n_questions: int) -> int:
    """Count the verdicts that have a label.

    Raises UserError for none at all, and for more questions than there are.
    """
    model = judgments[0].model if judgments else "the model"
    n_labelled = Games(judgments).n_results
    if not n_labelled:
        raise UserError(f"no verdict on {model} has a label; nothing can be scored")
    if (judged := len(asked_questions([judgments]))) > n_questions:
        raise UserError(f"{judged} questions judged for {model}, but the set has {n_questions}")
    return n_labelled


def aligned_statistic(judgments: Sequence[ArenaJudgment], axis: Sequence[str]) -> Statistic:
    """Return the score as a statistic on the questions of `axis`; judgments on other questions are left out.

    A question judged repeatedly counts with all its verdicts.
    """
    import numpy as np

    from evals.stats.bootstrap import ratio_statistic

    place = {question_id: position for position, question_id in enumerate(axis)}
    won, battles = np.zeros(len(axis)), np.zeros(len(axis))
    for judgment in judgments:
        if judgment.question_id in place:
            for win, weight in weighted_verdicts(judgment):
                won[place[judgment.question_id]] += win * weight
                battles[place[judgment.question_id]] += weight
    return ratio_statistic(won, battles)
