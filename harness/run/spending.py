"""The requests of a run to endpoints, and their cost."""

import sys
from collections.abc import Iterable, Mapping

from harness.endpoints.reply_cache import Spending, spending
from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute
from harness.engine.limits import Limits
from harness.engine.pipeline import run
from harness.engine.store import Store


def run_and_report_spending(
    targets: Iterable[Artifact],
    store: Store,
    limits: Limits | None = None,
    compute: Compute | None = None,
    expected: Mapping[str, float] | None = None,
) -> None:
    """Make all `targets`, and print what judge and teacher were asked and paid, however the run ends.

    `expected`: seconds of each step, by key.
    """
    limits = (limits or Limits()).of_one_run()
    try:
        run(targets, store, limits=limits, compute=compute, expected=expected)
    finally:
        _print_spending(spending(store.reply_cache, limits.run_id))


def _print_spending(paid: Spending) -> None:
    if paid.answers:
        price = f"${paid.usd:.4f}" if paid.unpriced < paid.answers else "price unknown"
        tokens = f"{paid.prompt_tokens:,} prompt and {paid.completion_tokens:,} completion tokens"
        print(f"endpoints: {paid.answers:,} answers, {tokens}, {price}; all kept", file=sys.stderr)
    if paid.uncounted:
        print(
            f"endpoints: the tokens of {paid.uncounted:,} of them are not counted by the endpoint and not in that sum;"
            f" ${paid.usd:.4f} counts them with the most that they can cost",
            file=sys.stderr,
        )
    if paid.unread:
        print(
            f"endpoints: {paid.unread:,} more requests got no whole answer and may be charged for all the same:"
            f" ${paid.usd:.4f} counts them with the most that they can cost, ${paid.unread_usd:.4f}",
            file=sys.stderr,
        )
    if count := paid.damaged.total():
        names = ", ".join(paid.damaged)
        print(
            f"{count} damaged line{'s' * (count != 1)} in the record of replies ({names}) passed over; what they held"
            " is asked for again where it is needed",
            file=sys.stderr,
        )
