"""Bandits: policies of a few logits, trained on drawn preferences, with the tests of their claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from evals.bandit import compare_actions
from harness.config.codec import decode
from harness.engine.artifacts import Artifact, labels
from harness.engine.store import Store
from harness.errors import UserError
from harness.experiments.interface import Experiment, Request, Tests, stated, test_place
from harness.papers.bandit import BanditFigure, BanditMethod, BanditTraining
from harness.papers.claims import NO_MODEL, Comparison
from harness.results.exhibits import ActionProbability, BanditResult, MostLikely
from harness.steps.bandit import BanditPolicy, train_bandit
from harness.training.losses import PreferenceLoss

AS_PRINTED = ""
"""In the place of another training: the figure's own."""

Place = tuple[str, str]
"""Training and method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditExperiment(Experiment):
    """A figure of a bandit, as promises; its size is the paper's on every scale."""

    exhibit: BanditFigure
    policies: Mapping[Place, Artifact]

    def targets(self) -> list[Artifact]:
        """List policies and tests."""
        return [*self.policies.values(), *self.tests.values()]

    def result(self, store: Store) -> BanditResult:
        """Read the probabilities, and which action is the most likely one, over training seeds."""
        rows = {place: store.bind(artifact).rows(BanditPolicy) for place, artifact in self.policies.items()}
        found = {
            (training, behavior.id, method): [row for row in of_place if row.behavior == number]
            for (training, method), of_place in rows.items()
            for number, behavior in enumerate(self.exhibit.behaviors)
        }
        return BanditResult(
            exhibit=self.exhibit,
            probabilities=tuple(each for place, of in found.items() for each in self._probabilities(*place, of)),
            most_likely=tuple(self._most_likely(*place, of) for place, of in found.items()),
        )

    def _probabilities(
        self, training: str, behavior: str, method: str, rows: Sequence[BanditPolicy]
    ) -> list[ActionProbability]:
        from harness.papers.bandit_solutions import solution

        drawn_from = self.exhibit.behavior(behavior).probabilities
        expected = solution(self.exhibit.method(method).loss, self.exhibit.preferences, drawn_from)
        of_actions = zip(*(row.probabilities for row in rows), strict=True)
        return [
            ActionProbability(
                training=training,
                behavior=behavior,
                method=method,
                action=number,
                probability=fmean(values),
                sd=stdev(values) if len(values) > 1 else None,
                analytic=None if expected is None else float(expected[number]),
            )
            for number, values in enumerate(of_actions)
        ]

    def _most_likely(self, training: str, behavior: str, method: str, rows: Sequence[BanditPolicy]) -> MostLikely:
        chosen = [max(range(len(row.probabilities)), key=row.probabilities.__getitem__) for row in rows]
        counts = tuple(chosen.count(action) for action in range(len(self.exhibit.actions)))
        return MostLikely(training, behavior, method, counts, fmean(row.loss for row in rows))


def bandit(exhibit: BanditFigure, request: Request) -> BanditExperiment:
    """Return the figure; of the request it takes the training seeds alone. Raises UserError for a loss that there is
    not."""
    trainings = {AS_PRINTED: exhibit.training, **{each.id: each.training for each in exhibit.others}}
    policies = {
        (name, method.id): _policies(exhibit, method, training, request.seeds).append_label(name)
        for name, training in trainings.items()
        for method in exhibit.methods
    }
    return BanditExperiment(exhibit=exhibit, policies=policies, tests=_tests(exhibit, policies))


def _policies(
    exhibit: BanditFigure, method: BanditMethod, training: BanditTraining, seeds: tuple[int, ...]
) -> Artifact:
    with labels(method.id):
        return train_bandit(
            loss=_loss(exhibit, method),
            preferences=exhibit.preferences,
            behaviors=tuple(each.probabilities for each in exhibit.behaviors),
            pairs=exhibit.pairs,
            training=training,
            seeds=seeds,
        )


def _loss(exhibit: BanditFigure, method: BanditMethod) -> PreferenceLoss:
    union: Any = PreferenceLoss
    where = f"{exhibit.name}: methods.{method.id}.loss"
    loss: PreferenceLoss = decode(union, method.loss, where)
    if any(each.target == "prompt" for each in loss.sequences):
        raise UserError(f"{where}: a bandit has no prompt, whose likelihood this loss has in it; choose another")
    return loss


def _tests(exhibit: BanditFigure, policies: Mapping[Place, Artifact]) -> Tests:
    return {test_place(NO_MODEL, each): _test(exhibit, policies, each) for _, each in stated(exhibit, ())}


def _test(exhibit: BanditFigure, policies: Mapping[Place, Artifact], stated: Comparison) -> Artifact:
    (better, better_action), (worse, worse_action) = map(exhibit.place, (stated.better, stated.worse))
    return compare_actions(
        better=policies[AS_PRINTED, better],
        worse=policies[AS_PRINTED, worse],
        better_action=better_action,
        worse_action=worse_action,
        behavior=[each.id for each in exhibit.behaviors].index(stated.bench),
        pairs=exhibit.pairs,
    ).append_label(f"{stated.bench} {stated.better} against {stated.worse}")
