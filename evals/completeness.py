"""When a score may be shown: failed and absent verdicts are counted, never scored."""

ALLOW_MISSING_FLAG = "--allow-missing"

REQUIRED_SHARE = 0.99


def withheld_comparison(shared: int, largest: int, *, allow_missing: bool) -> str | None:
    """Why two sets of verdicts are not compared that have `shared` prompts in common, the larger one `largest`."""
    if shared and (allow_missing or shared >= REQUIRED_SHARE * largest):
        return None
    return f"the sets share {shared} of {largest} prompts with a verdict; {ALLOW_MISSING_FLAG} compares on these alone"


def withheld(judged: int, asked: int, *, allow_missing: bool) -> str | None:
    """Why no headline is shown for `judged` of `asked` verdicts, or None when one is: from 99 % on, or if allowed."""
    if allow_missing or judged >= REQUIRED_SHARE * asked:
        return None
    return (
        f"only {judged} of {asked} verdicts are there; the same command asks for the others again, "
        f"{ALLOW_MISSING_FLAG} scores these alone"
    )
