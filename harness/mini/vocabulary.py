"""Every word of the world."""

from harness.mini.instructions import FORMS, FRAMES, KINDS
from harness.mini.language import FIELDS, FILLERS, NUMBERS, STYLES, WORDS_OF_FACTS, words_of
from harness.mini.questions import TEMPLATES
from harness.mini.requests import AGAIN, COMPARISON, CORRECTION, MORE, PROMPT_WORDS, QUESTIONS, SUMMARIES


def vocabulary() -> list[str]:
    """Return every word of the world, sorted."""
    templates = (*STYLES.values(), *FILLERS, *QUESTIONS, *SUMMARIES, *MORE, COMPARISON, CORRECTION, AGAIN, *TEMPLATES)
    words = words_of((*templates, *(kind.template for kind in KINDS.values())))
    words.update(FIELDS, PROMPT_WORDS, NUMBERS, FORMS, FRAMES, WORDS_OF_FACTS)
    return sorted(words)
