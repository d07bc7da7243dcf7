"""The verdict of a cell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.compare import obstacle, verdict

PER_CENT = st.floats(min_value=0, max_value=100)


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        (10.0, "within"),
        (8.0, "within"),
        (12.0, "within"),
        (7.96, "within"),
        (12.04, "within"),
        (7.9, "outside"),
        (12.1, "outside"),
    ],
)
def test_within_means_inside_the_interval_up_to_the_papers_rounding(published: float, expected: str) -> None:
    assert verdict(10.0, (8.0, 12.0), published, 1, None) == expected


@pytest.mark.parametrize(
    ("value", "ci95", "published", "why_not", "expected"),
    [
        (10.0, (8.0, 12.0), None, "scale", "not comparable: not in the paper"),
        (10.0, (8.0, 12.0), 10.0, "scale", "not comparable: scale"),
        (None, None, 10.0, "scale", "not comparable: scale"),
        (None, None, 10.0, None, "not comparable: withheld"),
        (10.0, None, 10.0, None, "not comparable: no interval"),
    ],
)
def test_not_comparable_says_why(
    value: float | None, ci95: tuple[float, float] | None, published: float | None, why_not: str | None, expected: str
) -> None:
    assert verdict(value, ci95, published, 1, why_not) == expected


@pytest.mark.parametrize(
    ("scale", "fast", "judge", "expected"),
    [
        ("paper", False, "gpt-4-1106-preview", None),
        ("paper", False, "another", "judge"),
        ("paper", True, "gpt-4-1106-preview", "reduced counts"),
        ("mini", True, "another", "scale"),
    ],
)
def test_obstacle(scale: str, fast: bool, judge: str, expected: str | None) -> None:
    assert obstacle(scale, fast, judge, "paper", "gpt-4-1106-preview") == expected


@given(PER_CENT, PER_CENT, PER_CENT)
def test_a_wider_interval_never_turns_within_into_outside(low: float, high: float, published: float) -> None:
    low, high = min(low, high), max(low, high)
    if verdict(low, (low, high), published, 1, None) == "within":
        assert verdict(low, (low - 1, high + 1), published, 1, None) == "within"
