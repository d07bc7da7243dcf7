"""What differs between two texts."""

from hypothesis import given
from hypothesis import strategies as st

from reports.blocks import Piece
from reports.worddiff import pieces

TEXTS = st.lists(st.sampled_from(["a", "b", "c.", " ", "\n", "  ", "\t"]), max_size=30).map("".join) | st.text()


@given(TEXTS, TEXTS)
def test_nothing_of_the_second_text_is_lost_or_made_up(first: str, second: str) -> None:
    found = pieces(first, second)
    assert "".join(piece.text for piece in found if piece.kind != "missing") == second
    assert all(piece.text for piece in found)


@given(TEXTS, TEXTS)
def test_every_word_of_the_first_text_is_the_same_or_missing(first: str, second: str) -> None:
    words = [word for piece in pieces(first, second) if piece.kind != "added" for word in piece.text.split()]
    assert words == first.split()


@given(TEXTS, TEXTS)
def test_no_more_is_marked_than_need_be(first: str, second: str) -> None:
    """The words that are the same are as many as in a longest common sequence, found naively."""
    before, after = first.split(), second.split()
    longest = [[0] * (len(after) + 1) for _ in range(len(before) + 1)]
    for i, mine in enumerate(before):
        for j, theirs in enumerate(after):
            longest[i + 1][j + 1] = longest[i][j] + 1 if mine == theirs else max(longest[i][j + 1], longest[i + 1][j])
    same = sum(len(piece.text.split()) for piece in pieces(first, second) if piece.kind == "same")
    assert same == longest[-1][-1]


@given(TEXTS)
def test_equal_texts_have_nothing_marked(text: str) -> None:
    assert pieces(text, text) == ((Piece(text),) if text else ())


def test_white_space_alone_is_no_difference() -> None:
    assert pieces("a b", " a\n\nb ") == (Piece(" a\n\nb "),)
