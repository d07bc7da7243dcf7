"""Simulated judgments of Arena-Hard v2.0, in the current layout of its tool."""

import random
from typing import Any

LABELS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
SHOWN = (
    "<|User Prompt|>\n{question}\n\n<|The Start of Assistant A's Answer|>\n{a}\n<|The End of Assistant A's Answer|>\n\n"
    "<|The Start of Assistant B's Answer|>\n{b}\n<|The End of Assistant B's Answer|>"
)
BASELINES = {"hard_prompt": "o3-mini-2025-01-31", "creative_writing": "gemini-2.0-flash-001"}
SIZES = {"hard_prompt": 80, "creative_writing": 40}
TEXT = "list of facts that one could say about the matter in hand with care or without"


def answer(rng: random.Random, marks: float) -> str:
    """A text with headers, items and bold words, more of them with more `marks`, and now and then some code."""
    lines = []
    for _ in range(rng.randint(2, 12)):
        words = " ".join(rng.choices(TEXT.split(), k=rng.randint(2, 14)))
        kind = rng.random()
        start = "## " if kind < 0.2 * marks else "- " if kind < 0.5 * marks else "1. " if kind < 0.6 * marks else ""
        lines.append(start + (f"**{words}**" if rng.random() < 0.3 * marks else words))
    if rng.random() < 0.2:
        lines.append("```\n# no header\n- no item\n```")
    return "\n".join(lines)


def judgments(model: str, *, ability: float, marks: float, missing: float = 0.0) -> list[dict[str, Any]]:
    """The rows of one model, whose judge likes long answers; a share `missing` of games has no label."""
    rng = random.Random(model)
    rows = []
    for category, size in SIZES.items():
        for number in range(size):
            baseline, own = answer(rng, 0.5), answer(rng, marks)
            merit = ability + rng.gauss(0, 1) + 0.004 * (len(own) - len(baseline))
            games = [_game(rng, baseline, own, -merit, missing), _game(rng, own, baseline, merit, missing)]
            identity = {"uid": f"{category}-{number}", "category": category, "judge": "gpt-4.1", "model": model}
            rows.append(identity | {"baseline": BASELINES[category], "games": games})
    return rows


def _game(rng: random.Random, a: str, b: str, merit_of_a: float, missing: float) -> dict[str, Any]:
    place = min(4, max(0, round(2 - merit_of_a - rng.gauss(0, 0.5))))
    score = None if rng.random() < missing else LABELS[place]
    user = SHOWN.format(question="Say something.", a=a, b=b)
    prompt = [{"role": "system", "content": "Judge."}, {"role": "user", "content": user}]
    return {"score": score, "judgment": {"answer": f"[[{score}]]"}, "prompt": prompt}


MODELS: dict[str, dict[str, float]] = {
    "plain": {"ability": -0.6, "marks": 0.2},
    "even": {"ability": 0.0, "marks": 0.5, "missing": 0.05},
    "adorned": {"ability": 0.7, "marks": 1.2},
}
