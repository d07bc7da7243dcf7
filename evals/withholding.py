"""When a score is withheld: below 99 % of the results that were asked for, unless the user allows it."""

REQUIRED_SHARE = 0.99
"""Of what was asked for."""

ALLOW_MISSING_FLAG = "--allow-missing"

ASK_AGAIN = "the same command asks for the others again"
COMPLETE_FILE = "complete the file"
"""How verdicts come to be there: of a judge that is asked, and of a file."""


def is_whole(there: int, wanted: int) -> bool:
    """Return whether `there` of `wanted` are enough to pass for all: from 99 % on."""
    return there >= REQUIRED_SHARE * wanted


def withheld(judged: int, asked: int, *, allow_missing: bool, mend: str = ASK_AGAIN) -> str | None:
    """Return why no headline is shown for `judged` of `asked` verdicts; None for 99 % of them or more, or if allowed.

    `mend` says how the others come to be there; it is empty for results that are no verdicts.
    """
    if allow_missing or is_whole(judged, asked):
        return None
    what = f"verdicts are there; {mend}," if mend else "items have a result;"
    return f"only {judged} of {asked} {what} {ALLOW_MISSING_FLAG} scores these alone"


def comparison_withheld(shared: int, largest: int, allow_missing: bool | None) -> str | None:
    """Return why sets are not compared that have `shared` items in common, the largest one `largest`."""
    if shared and (allow_missing or is_whole(shared, largest)):
        return None
    reason = f"the sets share {shared} of {largest} prompts"
    if allow_missing is None:
        return reason
    return f"{reason} with a verdict; {ALLOW_MISSING_FLAG} compares on these alone"
