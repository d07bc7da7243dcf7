"""Gold quality: the truth that every judge of this world only sees through noise and bias."""

from harness.mini.language import read_answer, read_request
from harness.mini.world import true_value

WRONG_COST = 0.5
NOISE_COST = 0.25  # of a repeated statement, and of one that nobody asked for


def gold_quality(request: str, answer: str) -> float:
    """Compute the quality in [0, 1]: (right - 0.5 wrong - 0.25 repeated - 0.25 not asked) / asked, cut at 0.

    The first statement about an asked aspect is right or wrong; each further one about it is repeated. A statement
    without a value, or about another entity, is wrong. Fillers and style cost nothing and earn nothing: quality is
    not a function of length.
    """
    asked = read_request(request)
    seen: set[str] = set()
    right = wrong = noise = 0
    for statement in read_answer(answer):
        if statement.aspect in seen or statement.aspect not in asked.aspects:
            noise += 1
            continue
        seen.add(statement.aspect)
        about_entity = statement.entity in (None, asked.entity)
        if about_entity and statement.value == true_value(asked.entity, statement.aspect):
            right += 1
        else:
            wrong += 1
    return max(0.0, (right - WRONG_COST * wrong - NOISE_COST * noise) / len(asked.aspects))
