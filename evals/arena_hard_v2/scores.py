"""Arena-Hard v2.0 (lmarena/arena-hard-auto at 196f6b8): the scores of its two categories, from verdicts.

Verdicts are weighed as in v0.1 (`evals.arena_hard.scores`), and a question counts with both of its verdicts or, as the
public tool has it, not at all. Each category has a baseline of its own, and a score with and without style control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from evals import scoring
from evals.arena_hard.files import ARENA_GAMES, ArenaJudgment
from evals.arena_hard.scores import OFFICIAL_ROUNDS, OFFICIAL_SEED, aligned_statistic, weighted_verdicts
from evals.arena_hard_v2.style import NO_TOKENIZER, shown_answers, style_counter
from evals.base import RESAMPLES, ItemResults, Metric, PublishedMetric
from evals.withholding import ASK_AGAIN
from harness.errors import UserError
from harness.steps.question_categories import CATEGORIES

if TYPE_CHECKING:
    from evals.stats.bootstrap import FloatArray, IntArray, Statistic

BASELINES = dict(zip(CATEGORIES, ("o3-mini-2025-01-31", "gemini-2.0-flash-001"), strict=True))
"""By category, the model that answers are compared with."""
HARD, CREATIVE = map(Metric, CATEGORIES)
HARD_STYLE, CREATIVE_STYLE = (Metric(f"{category}_style_controlled") for category in CATEGORIES)
METRICS = (HARD_STYLE, CREATIVE_STYLE, HARD, CREATIVE)
"""The style-controlled score is the one that the published leaderboard leads with."""
CATEGORY_OF = {HARD.name: CATEGORIES[0], CREATIVE.name: CATEGORIES[1]} | {
    HARD_STYLE.name: CATEGORIES[0],
    CREATIVE_STYLE.name: CATEGORIES[1],
}
STYLED = (HARD_STYLE.name, CREATIVE_STYLE.name)
PUBLISHED = PublishedMetric(
    title="Arena-Hard v2.0",
    n_items=750,
    items="questions",
    baseline=", ".join(BASELINES.values()),
    judges=("gpt-4.1", "gemini-2.5"),
    asked_judge="gpt-4.1",
)
"""The judges by the names of the tool's files; its leaderboards are of either."""
NO_ANSWERS = "no style control: the judge's prompts in the file do not show both answers"
OFFICIAL_LEVEL = 0.90

Answers = tuple[str, str]
"""The baseline's and the model's, to one question."""


def score_judgments(
    judgments: Sequence[ArenaJudgment],
    *,
    answers: Mapping[str, Answers] | None = None,
    n_questions: int = PUBLISHED.n_items,
    repeats: int = 1,
    allow_missing: bool = False,
    mend: str = ASK_AGAIN,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Score one model's verdicts: each of `METRICS`, its `ci95`, and `ci90_official` as the tool makes intervals.

    A category without a verdict has None, and style control where `style_control_withheld` says why. The counts are of
    verdicts, two a question. Raises UserError where no question has both verdicts, or there are more than
    `n_questions`.
    """
    results = CategoryGames(judgments, answers=answers or {})
    if not results.items:
        raise UserError(f"no question of {_model(judgments)} has both verdicts with a label; nothing can be scored")
    if (judged := len({each.question_id for each in judgments})) > n_questions:
        raise UserError(f"{judged} questions judged for {_model(judgments)}, but the set has {n_questions}")
    rules: dict[str, Any] = {"allow_missing": allow_missing, "mend": mend, "resamples": resamples, "seed": seed}
    asked = ARENA_GAMES * n_questions * repeats
    scores = scoring.score_one(results, asked=asked, **rules)
    there = () if scores["withheld"] else [name for name in CATEGORIES if results.of_category(name)]
    return {
        **scores,
        "ci90_official": {name: official_interval(results.of_category(name)) for name in there}
        | results.official_style_intervals(there),
        "n_battles": {name: len(battles(results.of_category(name))) for name in there},
        "style_control_withheld": results.style_withheld(),
    }


def _model(judgments: Sequence[ArenaJudgment]) -> str:
    return judgments[0].model if judgments else "the model"


@dataclass(frozen=True)
class CategoryGames(ItemResults):
    """One set of verdicts; a question without both labels has no result.

    `answers` are the baseline's and the model's by question; one that is not there is taken from what the judge was
    asked.
    """

    judgments: Sequence[ArenaJudgment]
    metrics: Sequence[Metric] = METRICS
    answers: Mapping[str, Answers] = field(default_factory=dict)

    @property
    def items(self) -> Sequence[str]:
        """The questions with both verdicts."""
        return list(dict.fromkeys(each.question_id for each in self.judgments if is_complete(each)))

    @property
    def n_results(self) -> int:
        """The number of verdicts that count."""
        return ARENA_GAMES * sum(map(is_complete, self.judgments))

    def of_category(self, category: str) -> list[ArenaJudgment]:
        """Return the judgments of a category that count."""
        return [each for each in self.judgments if each.category == category and is_complete(each)]

    def statistic(self, metric: str, items: Sequence[str]) -> Statistic:
        """Return a category's score on questions; those of the other category do not matter to it."""
        judgments = self.of_category(CATEGORY_OF[metric])
        if metric not in STYLED:
            return aligned_statistic(judgments, items)
        return self._style_controlled(judgments, items)

    def withheld(self, metric: str, items: Sequence[str], *, allow_missing: bool) -> str | None:
        """Return why there is no such score: a category without a verdict, or no style to be controlled."""
        wanted = set(items)
        if not any(each.question_id in wanted for each in self.of_category(CATEGORY_OF[metric])):
            return f"no verdict on {CATEGORY_OF[metric]}"
        return self.style_withheld() if metric in STYLED else None

    def style_withheld(self) -> str | None:
        """Return why style cannot be controlled; None where it can."""
        if style_counter() is None:
            return NO_TOKENIZER
        known = all(self._answers_to(each) for each in self.judgments if is_complete(each))
        return None if known else NO_ANSWERS

    def _answers_to(self, judgment: ArenaJudgment) -> Answers | None:
        return self.answers.get(judgment.question_id) or shown_answers(judgment.games[0].user_prompt)

    def official_style_intervals(self, categories: Sequence[str]) -> dict[str, list[float]]:
        """Return the tool's intervals of the style-controlled scores, by metric; none where style is not
        controlled."""
        from evals.stats.style_control import tool_interval

        if self.style_withheld():
            return {}
        rules: dict[str, Any] = {"rounds": OFFICIAL_ROUNDS, "seed": OFFICIAL_SEED, "level": OFFICIAL_LEVEL}
        found = {}
        for name in STYLED:
            judged = self.of_category(CATEGORY_OF[name])
            if CATEGORY_OF[name] in categories:
                found[name] = list(tool_interval(self._battle_features(judged), battles(judged), **rules))
        return found

    def _battle_features(self, judged: Sequence[ArenaJudgment]) -> FloatArray:
        """Return the differences of style [battles, 4]."""
        import numpy as np

        from evals.stats.style_control import style_features

        styles = [_styles(both) for each in judged if (both := self._answers_to(each))]
        counts = _battle_counts(judged)
        baseline, model = (np.repeat(np.array(side, dtype=float), counts, axis=0) for side in zip(*styles, strict=True))
        return style_features(model, baseline)

    def _style_controlled(self, judgments: Sequence[ArenaJudgment], items: Sequence[str]) -> Statistic:
        """Return the style-controlled score on questions."""
        import numpy as np

        from evals.stats.style_control import style_controlled_statistic

        place = {question: at for at, question in enumerate(items)}
        judged = [each for each in judgments if each.question_id in place]
        question: IntArray = np.repeat([place[each.question_id] for each in judged], _battle_counts(judged))
        return style_controlled_statistic(self._battle_features(judged), battles(judged), question, len(items))


def is_complete(judgment: ArenaJudgment) -> bool:
    """Return whether both verdicts on a question have a label."""
    return len(weighted_verdicts(judgment)) == ARENA_GAMES


def battles(judgments: Sequence[ArenaJudgment]) -> FloatArray:
    """Return the model's share of the win in each battle, in the tool's order: of a question the game with the model
    as A first."""
    import numpy as np

    return np.array(
        [win for each in judgments for win, weight in reversed(weighted_verdicts(each)) for _ in range(weight)]
    )


def official_interval(judgments: Sequence[ArenaJudgment]) -> list[float]:
    """Return the tool's interval: the 5 % and 95 % quantiles of 100 bootstrap samples of the battles, seed 42.

    The tool sets no seed. Battles of one question are alike, so this is no interval for new questions: `ci95` is.
    """
    import numpy as np

    outcomes = battles(judgments)
    drawn = np.random.RandomState(OFFICIAL_SEED).randint(0, len(outcomes), size=(OFFICIAL_ROUNDS, len(outcomes)))
    tail = (1 - OFFICIAL_LEVEL) / 2
    lower, upper = np.quantile(100 * outcomes[drawn].mean(axis=1), [tail, 1 - tail])
    return [float(lower), float(upper)]


def _battle_counts(judgments: Sequence[ArenaJudgment]) -> list[int]:
    """Count the battles of each question."""
    return [sum(weight for _, weight in weighted_verdicts(each)) for each in judgments]


@cache
def _styles(answers: Answers) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the styles of two answers."""
    count = style_counter()
    assert count
    return count(answers[0]), count(answers[1])
