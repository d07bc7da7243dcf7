"""Classes that can stand in one another's place are told apart by their `kind`."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from harness.config.codec import decode, encode
from harness.errors import UserError


@dataclass(frozen=True, slots=True)
class Circle:
    kind: ClassVar[str] = "circle"
    radius: float


@dataclass(frozen=True, slots=True)
class Square:
    kind: ClassVar[str] = "square"
    side: float


@dataclass(frozen=True, slots=True)
class Drawing:
    shapes: tuple[Circle | Square, ...]
    frame: Circle | Square | None = None
    dot: Circle | None = None


def test_what_is_encoded_is_decoded() -> None:
    drawing = Drawing((Square(2.0), Circle(1.0)), frame=Square(9.0), dot=Circle(0.5))
    content = encode(drawing)
    assert content["shapes"] == [{"kind": "square", "side": 2.0}, {"kind": "circle", "radius": 1.0}]
    assert decode(Drawing, content, "drawing") == drawing


def test_where_one_class_alone_can_stand_the_kind_may_be_left_out() -> None:
    assert decode(Drawing, {"shapes": [], "dot": {"radius": 1}}, "drawing").dot == Circle(1.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"shapes": [{"kind": "circel", "radius": 1}]}, "shapes[0]: unknown kind 'circel'; did you mean 'circle'?"),
        ({"shapes": [{"radius": 1}]}, "shapes[0]: expected a mapping with a kind, one of circle, square"),
        ({"shapes": [{"kind": ["circle"]}]}, "shapes[0]: expected a mapping with a kind"),
        ({"shapes": [{"kind": "circle", "side": 1}]}, "shapes[0]: unknown key 'side'"),
        ({"shapes": [3]}, "shapes[0]: expected a mapping with a kind"),
        ({"shapes": [], "dot": {"kind": "square", "side": 1}}, "dot: unknown key 'kind'"),
        ({"side": 1}, "unknown key 'side' (known: dot, frame, shapes; side is a key of frame)"),
        ({"radius": 1}, "unknown key 'radius' (known: dot, frame, shapes; radius is a key of frame and of dot)"),
        ({"size": 1}, "unknown key 'size' (known: dot, frame, shapes)"),
    ],
)
def test_the_error_is_that_of_the_class_which_is_meant(content: Any, message: str) -> None:
    with pytest.raises(UserError) as raised:
        decode(Drawing, content, "drawing")
    assert message in str(raised.value)
