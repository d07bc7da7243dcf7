"""Rows drawn at random, the same prompts from every set of responses."""

from collections.abc import Iterable
from hashlib import sha256

from harness.engine.artifacts import Artifact, Output, step
from harness.records import Response


@step(version=1, rows=lambda context: context.rows("responses").first(context.params["size"]))
def drawn_responses(out: Output, *, responses: Artifact, prompts: Artifact, size: int, seed: int) -> None:
    """Write the rows of `responses` to `size` prompts, drawn from those of the `Response` rows in `prompts`.

    They stay in their order. All sets with the same `prompts` get the same draw; see `drawn`.
    """
    chosen = set(drawn((row.prompt.id for row in prompts.rows(Response)), size, seed))
    out.write_rows(row for row in responses.rows(Response) if row.prompt.id in chosen)


def drawn(ids: Iterable[str], size: int, seed: int) -> list[str]:
    """Draw `size` of the different `ids`, without replacement, in their order; all of them where there are no more.

    An id's lot is a hash of `seed` and itself. So a draw does not depend on the order, a smaller one is part of a
    larger one, and ids that are taken away change nothing for the others.
    """
    different = list(dict.fromkeys(ids))
    chosen = set(sorted(different, key=lambda id: (_lot(id, seed), id))[:size])
    return [id for id in different if id in chosen]


def _lot(id: str, seed: int) -> bytes:
    return sha256(f"{seed} {id}".encode()).digest()
