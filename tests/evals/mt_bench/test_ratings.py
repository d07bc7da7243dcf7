"""How ratings are read, beside what FastChat's own function reads in the same replies (ratings.yaml)."""

from pathlib import Path
from typing import Any

import pytest

from evals.mt_bench.ratings import read_rating
from harness.config.yaml_files import read_yaml

REPLIES: list[dict[str, Any]] = read_yaml(Path(__file__).with_name("ratings.yaml"))
NO_RATING = -1


@pytest.mark.parametrize("each", REPLIES, ids=lambda each: repr(each["reply"])[:40])
def test_ratings_are_read_as_by_the_official_tool(each: dict[str, Any]) -> None:
    official = None if each["official"] == NO_RATING else each["official"]
    assert read_rating(each["reply"]) == each.get("ours", official)


def test_only_thinking_and_what_stops_the_official_tool_are_read_otherwise() -> None:
    others = [each for each in REPLIES if "ours" in each]
    assert len(REPLIES) - len(others) >= 60
    assert all("<think>" in each["reply"] or each["official"] == "SyntaxError" for each in others)
