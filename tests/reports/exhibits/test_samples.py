"""Samples: responses beside the first one."""

import pytest

from harness.errors import UserError
from reports.blocks import MarkedSamples, Piece
from reports.markdown import markdown
from tests.reports.conftest import made_up_manifest, view_of


def test_changed_words_are_marked_against_the_first_response() -> None:
    samples = view_of(made_up_manifest("samples")).section.blocks[2]
    assert isinstance(samples, MarkedSamples)
    assert samples.detail.startswith("In the manner of Table 8; Qwen2.5-Base (7B)")
    (_, first), (label, second) = samples.samples[0].responses
    assert first == (Piece("its color is red ."),)
    assert label == "Improved response ỹ_θ*"
    assert second == (
        Piece("its color is "),
        Piece("red", "missing"),
        Piece("blue , and *sharp*", "added"),
        Piece(" ."),
    )
    text = "\n".join(markdown(samples))
    assert r"> **Improved response ỹ\_θ\*:** its color is ~~red~~ **blue , and \*sharp\*** ." in text


def test_lines_of_a_response_are_neither_lists_nor_headings_in_markdown() -> None:
    manifest = made_up_manifest("samples")
    text = "so:\n- one\n1. two\n    three\n\n===\n# four\n12) five"
    manifest["results"][0]["groups"][0]["samples"][0]["responses"] = {"SFT": text}
    shown = "\n".join(markdown(view_of(manifest).section.blocks[2]))
    lines = [
        "**SFT:** so:",
        r"\- one",
        r"1\. two",
        "\u00a0\u00a0\u00a0\u00a0three",
        "",
        r"\===",
        r"\# four",
        r"12\) five",
    ]
    assert "  \n".join(f"> {line}".rstrip() for line in lines) in shown


def test_an_unknown_group_is_an_error() -> None:
    manifest = made_up_manifest("samples")
    manifest["results"][0]["groups"][0]["group"] = 9
    with pytest.raises(UserError, match="samples has 5 groups of samples, none with the number 9"):
        view_of(manifest)
