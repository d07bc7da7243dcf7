"""When a score may be shown: failed and absent verdicts are counted, never scored."""

ALLOW_MISSING_FLAG = "--allow-missing"

REQUIRED_SHARE = 0.99

ASK_AGAIN = "the same command asks for the others again"
COMPLETE_FILE = "complete the file"
"""How verdicts come to be there: of a judge that is asked, and of a file."""


def withheld_comparison(shared: int, largest: int, *, allow_missing: bool) -> str | None:
    """Why two sets of verdicts are not compared that have `shared` prompts in common, the larger one `largest`."""
    if shared and (allow_missing or is_whole(shared, largest)):
        return None
    return f"the sets share {shared} of {largest} prompts with a verdict; {ALLOW_MISSING_FLAG} compares on these alone"


def is_whole(there: int, wanted: int) -> bool:
    """Whether `there` of `wanted` are enough to pass for all: from 99 % on."""
    return there >= REQUIRED_SHARE * wanted


def withheld(judged: int, asked: int, *, allow_missing: bool, mend: str = ASK_AGAIN) -> str | None:
    """Why no headline is shown for `judged` of `asked` verdicts, or None when one is: from 99 % on, or if allowed."""
    if allow_missing or is_whole(judged, asked):
        return None
    return f"only {judged} of {asked} verdicts are there; {mend}, {ALLOW_MISSING_FLAG} scores these alone"
