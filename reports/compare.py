"""The verdict of one cell: is our number the paper's?"""

WITHIN = "within"
OUTSIDE = "outside"
NOT_IN_PAPER = "not comparable: not in the paper"


def obstacle(scale: str, fast: bool, judge: str, paper_scale: str, paper_judge: str) -> str | None:
    """Say why no number of a run can be compared with the paper's by value; None when it can."""
    if scale != paper_scale:
        return "scale"
    if fast:
        return "reduced counts"
    if judge != paper_judge:
        return "judge"
    return None


def verdict(
    value: float | None,
    ci95: tuple[float, float] | None,
    published: float | None,
    decimals: int,
    obstacle: str | None,
) -> str:
    """Return `within`, `outside` or `not comparable: <why>`.

    Within means that our 95 % interval meets the interval of numbers that the paper's figure, printed to `decimals`
    places, can stand for. All figures are in the same unit.
    """
    if published is None:
        return NOT_IN_PAPER
    if obstacle is not None:
        return f"not comparable: {obstacle}"
    if value is None:
        return "not comparable: withheld"
    if ci95 is None:
        return "not comparable: no interval"
    low, high = ci95
    rounding = 0.5 * 10**-decimals
    return WITHIN if low - rounding <= published <= high + rounding else OUTSIDE
