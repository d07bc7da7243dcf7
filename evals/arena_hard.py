"""Arena-Hard v0.1 (Li et al. 2024, "From Crowdsourced Data to High-Quality Benchmarks"): the score, from verdicts.

Each question is judged twice, with the baseline as A in the first game and as B in the second. A decisive verdict (≫)
counts as three battles, a tie as half a win for each side; Bradley–Terry strengths are fitted to the battles, and the
score is the probability in per cent that the model beats the baseline, which is at 50 by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evals import completeness, summaries
from evals.formats.arena_hard import ARENA_GAMES, ArenaJudgment
from harness.errors import UserError
from harness.records import share_by_label

if TYPE_CHECKING:
    from evals.stats.bootstrap import FloatArray, Statistic

METRICS = ("score",)
OFFICIAL_QUESTIONS = 500
DECISIVE_WEIGHT = 3
OFFICIAL_ROUNDS = 100
OFFICIAL_SEED = 42


def score_judgments(
    judgments: Sequence[ArenaJudgment],
    *,
    n_questions: int = OFFICIAL_QUESTIONS,
    repeats: int = 1,
    resamples: int = 1000,
    seed: int = 0,
    allow_missing: bool = False,
    mend: str = completeness.ASK_AGAIN,
) -> dict[str, Any]:
    """Score one model's verdicts against the baseline.

    Returns `score`; `ci95`, 95 % interval with questions resampled, all verdicts on one kept together (None when one
    question alone has a verdict); `ci95_official`, the v0.1 scorer's, with battles resampled one by one in 100 rounds;
    `n_battles` (decisive verdicts count three); `n_asked`, two verdicts for each of `n_questions`, times `repeats`;
    `n_missing`, those of them that are absent or without a label. When less than 99 % are there, score and intervals
    are None and `withheld` says why, and how to `mend` it, unless `allow_missing`.
    Raises UserError when there is no verdict at all, or more questions than `n_questions`.
    """
    axis = _axis([judgments])
    asked, missing = _asked(n_questions, repeats), _missing([judgments], n_questions, repeats)
    too_few = completeness.withheld(asked - missing, asked, allow_missing=allow_missing, mend=mend)
    statistic = _aligned_statistic(judgments, axis)
    interval = summaries.intervals({"score": statistic}, len(axis), resamples=resamples, seed=seed)["score"]
    several = len({judgment.question_id for judgment in judgments if _verdicts(judgment)}) > 1
    shown = {
        "score": statistic.value,
        "ci95": interval if several else None,
        "ci95_official": list(official_interval(judgments)),
    }
    return {
        **(dict.fromkeys(shown) if too_few else shown),
        "n_battles": len(_battles(judgments)),
        "n_asked": asked,
        "n_missing": missing,
        "withheld": too_few,
        "resamples": resamples,
        "seed": seed,
    }


def score_training_seeds(
    judgments: Sequence[Sequence[ArenaJudgment]],
    *,
    n_questions: int = OFFICIAL_QUESTIONS,
    repeats: int = 1,
    resamples: int = 1000,
    seed: int = 0,
    allow_missing: bool = False,
) -> dict[str, Any]:
    """The score of one method trained with several seeds: see `summaries.over_training_seeds`.

    Of each seed two verdicts are asked for each of `n_questions`, times `repeats`. When one seed has less than 99 % of
    them all is None and `withheld` says why, unless `allow_missing`.
    """
    asked, missing = _asked(n_questions, repeats), [_missing([each], n_questions, repeats) for each in judgments]
    axis = _axis(judgments)
    return summaries.over_training_seeds(
        {"score": [_aligned_statistic(each, axis) for each in judgments]},
        len(axis),
        asked=asked,
        missing=missing,
        withheld=completeness.withheld(asked - max(missing), asked, allow_missing=allow_missing),
        resamples=resamples,
        seed=seed,
    )


def uncertainty(
    judgments: Sequence[Sequence[Sequence[ArenaJudgment]]], *, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Where the score's uncertainty comes from: `UncertaintyComponents` in points; empty for one set of verdicts.

    `judgments` [training seeds][repeated verdicts][questions].
    """
    if not summaries.has_parts(judgments):
        return {}
    axis = _axis([each for repeats in judgments for each in repeats])
    statistics = [[_aligned_statistic(each, axis) for each in repeats] for repeats in judgments]
    return summaries.uncertainty({"score": statistics}, len(axis), resamples=resamples, seed=seed)


def compare_judgments(
    first: Sequence[Sequence[ArenaJudgment]],
    second: Sequence[Sequence[ArenaJudgment]],
    *,
    resamples: int = 1000,
    seed: int = 0,
    allow_missing: bool = False,
) -> dict[str, Any]:
    """Paired comparison of two models on the same questions: `difference` (first minus second, in points) with `ci95`,
    `p_value` and the other keys of `summaries.comparison`.

    Each model is a sequence of judgments, one a training seed. Only questions with a verdict of every set are used.
    Where these are less than 99 % of what a set has, there is no difference unless `allow_missing`, and `withheld` says
    why.
    """
    shared = on_shared_questions([*first, *second], allow_missing=allow_missing)
    if shared.withheld:
        return summaries.no_comparison("score", shared.withheld, shared.n_prompts)
    of_first, of_second = shared.statistics[: len(first)], shared.statistics[len(first) :]
    return summaries.comparison("score", of_first, of_second, shared.n_prompts, resamples=resamples, seed=seed)


def on_shared_questions(
    sets: Sequence[Sequence[ArenaJudgment]], *, allow_missing: bool = False
) -> summaries.SharedPrompts:
    """The score of every set, on the questions that all have a verdict on; withheld where these are less than 99 % of
    what a set has, unless `allow_missing`."""
    judged = [{judgment.question_id for judgment in each if _verdicts(judgment)} for each in sets]
    axis = sorted(set.intersection(*judged))
    if reason := completeness.withheld_comparison(len(axis), max(map(len, judged)), allow_missing=allow_missing):
        return summaries.SharedPrompts((), len(axis), reason)
    return summaries.SharedPrompts(tuple(_aligned_statistic(each, axis) for each in sets), len(axis))


def official_interval(judgments: Sequence[ArenaJudgment]) -> tuple[float, float]:
    """The v0.1 scorer's interval: 2.5 and 97.5 percentiles over 100 bootstrap samples of the battles, seed 42.

    It draws battles one by one, the three copies of a decisive verdict among them, in the order of the judgment file.
    Both verdicts on a question and all copies of one are alike, so this is no interval for new questions: `ci95` is.
    """
    import numpy as np

    battles = np.array(_battles(judgments))
    generator = np.random.RandomState(OFFICIAL_SEED)
    drawn = generator.randint(0, len(battles), size=(OFFICIAL_ROUNDS, len(battles)))
    won = battles[drawn].sum(axis=1)
    lower, upper = np.percentile(_score(won, len(battles) - won), [2.5, 97.5])
    return float(lower), float(upper)


def _verdicts(judgment: ArenaJudgment) -> list[tuple[float, int]]:
    """The model's share of the win (1, ½ or 0) and the weight of each verdict on a question that has a label."""
    verdicts = []
    for game, reply in enumerate(judgment.games):
        if reply.score is not None:
            win = share_by_label(reply.score, shown_first=game == 1)
            verdicts.append((win, DECISIVE_WEIGHT if len(reply.score) == len("A>>B") else 1))
    return verdicts


def _battles(judgments: Sequence[ArenaJudgment]) -> list[float]:
    """The model's share of the win in each battle: a verdict stands as often as its weight says, in the order given."""
    return [win for judgment in judgments for win, weight in _verdicts(judgment) for _ in range(weight)]


def _asked(n_questions: int, repeats: int) -> int:
    return ARENA_GAMES * n_questions * repeats


def _axis(judgments: Sequence[Sequence[ArenaJudgment]]) -> list[str]:
    """The questions that any set has a judgment on."""
    return sorted({judgment.question_id for each in judgments for judgment in each})


def _missing(judgments: Sequence[Sequence[ArenaJudgment]], n_questions: int, repeats: int) -> int:
    """Verdicts absent or without a label, over all sets. Raises UserError for none at all or too many questions."""
    missing = 0
    for each in judgments:
        given = sum(len(_verdicts(judgment)) for judgment in each)
        model = each[0].model if each else "the model"
        if not given:
            raise UserError(f"no verdict on {model} has a label; nothing can be scored")
        if (judged := len(_axis([each]))) > n_questions:
            raise UserError(f"{judged} questions judged for {model}, but the set has {n_questions}")
        missing += _asked(n_questions, repeats) - given
    return missing


def _score(won: FloatArray, lost: FloatArray) -> FloatArray:
    """100 · P(model beats baseline) by Bradley–Terry for weighted wins and losses of the model, both [batch]."""
    import numpy as np

    from evals.stats.bradley_terry import bradley_terry, win_probability

    wins = np.zeros((len(won), 2, 2))
    wins[:, 0, 1], wins[:, 1, 0] = won, lost
    return 100 * win_probability(bradley_terry(wins), anchor=1)[:, 0]


def _aligned_statistic(judgments: Sequence[ArenaJudgment], axis: Sequence[str]) -> Statistic:
    """The score as a statistic on the questions of `axis`; judgments on other questions are left out.

    A question judged repeatedly counts with all its verdicts.
    """
    import numpy as np

    from evals.stats.bootstrap import Statistic

    place = {question_id: position for position, question_id in enumerate(axis)}
    won, lost = np.zeros(len(axis)), np.zeros(len(axis))
    for judgment in judgments:
        if judgment.question_id in place:
            for win, weight in _verdicts(judgment):
                won[place[judgment.question_id]] += win * weight
                lost[place[judgment.question_id]] += (1 - win) * weight

    def resample(counts: FloatArray) -> FloatArray:
        resampled_won, resampled_lost = counts @ won, counts @ lost
        scores = np.full(len(counts), np.nan)
        judged = resampled_won + resampled_lost > 0
        scores[judged] = _score(resampled_won[judged], resampled_lost[judged])
        return scores

    return Statistic(float(resample(np.ones((1, len(axis))))[0]), resample)
