"""IFEval (Zhou et al. 2023, arXiv 2311.07911): instructions that a program can verify, such as a number of words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals import scoring
from evals.base import RESAMPLES, ItemResults, Options, Scored, Setting
from evals.ifeval.checks import CHECKERS, FollowedInstructions, check_instructions, check_mini_instructions
from evals.ifeval.language_data import language_data_line
from evals.ifeval.prompts import HUB, N_PROMPTS, OFFICIAL, official_prompts, prompt_file
from evals.ifeval.scores import METRICS, followed_results
from evals.item_scores import write_scores
from evals.lm_eval.run import installed_version
from evals.official_steps import stored_outputs
from evals.own_items import OwnItems, UserData
from harness.engine.artifacts import Artifact, Output, step
from harness.mini.identity import world_digest
from harness.steps.data import DataRole
from harness.steps.respond import respond

MINI = "mini:instructions"
MINI_PROMPTS = DataRole(MINI, N_PROMPTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class IfevalOptions(Options):
    """The options of IFEval: the prompts, of the world or "official:ifeval", or a file like input_data.jsonl."""

    prompts: DataRole = MINI_PROMPTS


class Ifeval(OwnItems):
    """The following of instructions that can be verified, by a checkpoint or by stored answers."""

    summary = "share of verifiable instructions followed, by prompt and by instruction, strictly and loosely"
    source = "Zhou et al. 2023, arXiv 2311.07911; lm-eval's checkers"
    metrics = METRICS
    Options = IfevalOptions
    max_new_tokens = 1280

    def official(self, given: UserData) -> IfevalOptions:
        """Return the options of the official prompts, from the hub or the user's file or folder."""
        return IfevalOptions(prompts=DataRole(given.data or OFFICIAL, given.limit or N_PROMPTS))

    def run(self, setting: Setting, checkpoint: Artifact, seed: int) -> Artifact:
        """Return the rows about a checkpoint's answers, which are greedy."""
        prompts = self._prompts(setting)
        sampling = setting.sampling.greedy()
        return self._checked(setting, respond(model=checkpoint, prompts=prompts, sampling=sampling, seed=seed), prompts)

    def stored(self, setting: Setting, path: Path) -> Artifact:
        """Return the rows about the answers in a file."""
        prompts = self._prompts(setting)
        return self._checked(setting, stored_outputs("ifeval", path, prompts), prompts)

    def rows(self, setting: Setting, **given: Artifact) -> Artifact:
        """Return `FollowedInstructions` rows of `outputs`."""
        return self._checked(setting, given["outputs"], self._prompts(setting))

    def score(self, setting: Setting, rows: Sequence[Artifact], name: str) -> Artifact:
        """Build `scores.json` of the accuracies and their means."""
        return score_ifeval(rows=rows, allow_missing=setting.allow_missing, resamples=RESAMPLES)

    def compare(self, setting: Setting, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
        """Build `comparison.json` of the differences on the same prompts."""
        return compare_ifeval(better=better, worse=worse, allow_missing=setting.allow_missing, resamples=RESAMPLES)

    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Return which instructions are followed, by prompt."""
        return [followed_results(rows.rows(FollowedInstructions)) for each in scored for rows in each.rows]

    def fetch(self) -> Iterator[str]:
        """Fetch the prompts, and NLTK's data. Raises UserError for what cannot be had."""
        yield f"data set  {HUB}: {prompt_file(OFFICIAL).stat().st_size / 1e6:.1f} MB  is there"
        yield from language_data_line()

    def departure(self, setting: Setting) -> str | None:
        """Describe what keeps the accuracies from being IFEval's."""
        prompts: DataRole = setting.options.prompts
        if prompts.reference == MINI:
            return "not IFEval: prompts and checkers are those of the embedded world"
        return f"not IFEval: on the first {prompts.size} of {N_PROMPTS} prompts" if prompts.size < N_PROMPTS else None

    def _prompts(self, setting: Setting) -> Artifact:
        prompts: DataRole = setting.options.prompts
        if prompts.reference.startswith("mini:"):
            return prompts.artifact()
        installed_version()
        return official_prompts(prompts)

    def _checked(self, setting: Setting, outputs: Artifact, prompts: Artifact) -> Artifact:
        if setting.options.prompts.reference.startswith("mini:"):
            return check_mini_instructions(outputs=outputs, prompts=prompts, world=world_digest())
        return check_instructions(outputs=outputs, prompts=prompts, checkers=CHECKERS)


BENCHMARK = Ifeval()


@step(version=1)
def score_ifeval(out: Output, *, rows: Sequence[Artifact], allow_missing: bool, resamples: int) -> None:
    """Write `scores.json` over all training seeds, and each seed's own in `seed-<n>/`."""
    read = [each.rows(FollowedInstructions) for each in rows]
    sets = [followed_results(each) for each in read]
    write_scores(out, rows, sets, max(map(len, read)), allow_missing=allow_missing, resamples=resamples)


@step(version=1)
def compare_ifeval(
    out: Output, *, better: Sequence[Artifact], worse: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """Write `comparison.json`: for each accuracy and mean the paired difference between two methods."""
    first, second = ([followed_results(rows.rows(FollowedInstructions)) for rows in side] for side in (better, worse))
    scoring.write_comparison(out, first, second, METRICS, allow_missing=allow_missing, resamples=resamples)
