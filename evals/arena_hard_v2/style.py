"""The style of answers, counted as Arena-Hard's tool counts it (add_markdown_info.py of lmarena/arena-hard-auto)."""

import re
from collections.abc import Callable

from harness.endpoints.cost import text_token_counter

TOKENIZER = "o200k_base"
"""What the tool counts tokens with: tiktoken's for gpt-4o."""
NO_TOKENIZER = f"no style control: tokens are counted with {TOKENIZER}, of the package rs-bpe, which is not installed"

_CODE = re.compile(r"```([^`]*)```")
_HEADER = re.compile(r"^#{1,6}\s", re.MULTILINE)
_ITEM = re.compile(r"^\s*(?:\d+\.|[-*+])\s", re.MULTILINE)
_BOLD = (re.compile(r"\*\*[^*\n]+\*\*"), re.compile(r"__[^_\n]+__"))
_BOTH_ANSWERS = re.compile(
    r"<\|The Start of Assistant A's Answer\|>\n(.*)\n<\|The End of Assistant A's Answer\|>\n\n"
    r"<\|The Start of Assistant B's Answer\|>\n(.*)\n<\|The End of Assistant B's Answer\|>",
    re.DOTALL,
)
"""The answers in what a judge is asked."""

Style = tuple[int, int, int, int]
"""Tokens, headers, list items and bold texts of an answer."""


def style_counter() -> Callable[[str], Style] | None:
    """Return a counter of an answer's style; None where its tokenizer is not installed."""
    count = text_token_counter(TOKENIZER)
    return (lambda answer: (count(answer), *_marks(answer))) if count else None


def _marks(answer: str) -> tuple[int, int, int]:
    """Count headers, list items and bold texts outside of blocks of code, whose content the tool removes wherever it
    stands."""
    text = answer
    for code in _CODE.findall(answer):
        text = text.replace(code, "")
    bold = sum(len(pattern.findall(text)) for pattern in _BOLD)
    return len(_HEADER.findall(text)), len(_ITEM.findall(text)), bold


def shown_answers(user_prompt: str) -> tuple[str, str] | None:
    """Return the answers shown to a judge as A and B; None where what it was asked does not show them."""
    found = _BOTH_ANSWERS.search(user_prompt)
    return (found[1], found[2]) if found else None
