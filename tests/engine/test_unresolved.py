"""What a plan puts where a model or data set is not at hand, and that nothing else does."""

from typing import NoReturn

import pytest

from harness.engine.unresolved import has_placeholder, placeholders, resolved
from harness.errors import UserError
from harness.steps.data import data, model


def missing() -> NoReturn:
    raise UserError("it is not here")


def test_what_can_be_resolved_is() -> None:
    assert resolved("name", lambda: "digest") == "digest"
    with placeholders() as reasons:
        assert resolved("name", lambda: "digest") == "digest"
    assert reasons == {}


def test_what_cannot_is_an_error_outside_and_a_reason_inside() -> None:
    with pytest.raises(UserError, match="it is not here"):
        resolved("name", missing)
    with placeholders() as reasons:
        found = resolved("name", missing)
    assert has_placeholder({"fingerprint": found}) and reasons == {"name": "it is not here"}
    with pytest.raises(UserError):
        resolved("name", missing)


def test_what_is_part_of_the_package_is_an_error_inside_too() -> None:
    with placeholders(), pytest.raises(UserError, match="unknown model"):
        model("mini:qwem2")


def test_a_graph_can_be_built_of_what_is_not_there_and_its_keys_differ_by_reference() -> None:
    with placeholders() as reasons:
        one, other = (data(f"nowhere/{name}.jsonl", 3) for name in "ab")
    assert one.key != other.key
    assert has_placeholder(one.params) and set(reasons) == {"nowhere/a.jsonl", "nowhere/b.jsonl"}
