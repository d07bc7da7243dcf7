"""Revisions of a model's answers, one after the other (SRPO, arXiv 2406.01660, section 6)."""

from hashlib import sha256

from harness.engine.artifacts import Artifact
from harness.models.generator import Sampling
from harness.steps.revise import require_revision_prompt, revise


def revisions(
    model: Artifact, first: Artifact, *, template: str, sampling: Sampling, seed: int, count: int
) -> list[Artifact]:
    """Return `first`, the answers without revision, and `count` revisions by `model`, each of the answers before it.

    y_0 is given, and y_n ~ π(· | y_{n−1}, x). Raises ValueError for a negative count, and UserError
    for a template that does not show both request and answer.
    """
    require_revision_prompt(template)
    if count < 0:
        raise ValueError(f"the number of revisions must not be negative, but is {count}")
    answers = [first]
    for number in range(1, count + 1):
        drawn = revise(
            model=model,
            responses=answers[-1],
            template=template,
            sampling=sampling,
            seed=revision_seed(seed, number),
        )
        answers.append(drawn.append_label(f"revision {number}"))
    return answers


def revision_seed(seed: int, number: int) -> int:
    """Derive the seed of a revision: with one for all, an answer that was once copied would be copied ever after."""
    return int.from_bytes(sha256(f"{seed} revision {number}".encode()).digest()[:7], "big")
