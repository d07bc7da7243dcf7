"""The skills of a base model of the world, on texts of the pretraining mixture that it has not seen."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from harness.commands.bounds import BoundedValue, Bounds
from harness.mini.instructions import read_instructions
from harness.mini.language import named_entity, read_claims, read_fields
from harness.mini.pretraining_texts import (
    PretrainingText,
    draw_improvement,
    draw_instructed,
    draw_second_turn,
    draw_summarised,
    knows,
)
from harness.mini.questions import FAMILIES, Question, questions
from harness.mini.world import ASPECTS, VALUES, entities, true_value
from harness.models.references import checkpoint_folder

if TYPE_CHECKING:
    import torch

SIZES = (3, 4, 5)
TEXTS = 80
"""How many texts each skill is measured on."""
QUESTIONS = 80
"""How many questions of each family: there are hardly more misconceptions."""
MAX_ANSWER_TOKENS = 100


BOUNDS = {
    "told facts recalled": Bounds(0.95),
    "hidden facts recalled": Bounds(0, 0.15),
    "statements right, from a reference": Bounds(0.95),
    "statements right, correcting by a reference": Bounds(0.90),
    "statements right, in a second turn with a reference": Bounds(0.80),
    "statements right, in a summary": Bounds(0.85),
    "instructions followed, with a reference": Bounds(0.80),
    "told_facts": Bounds(0.60),
    "facts_from_text": Bounds(0.90),
    "misconceptions": Bounds(0.10, 0.75),
    "which_of_two": Bounds(0.85),
    "counting": Bounds(0.70),
    "completion": Bounds(0.70),
}
"""By skill: shares in [0, 1]."""

AnswerScore = Callable[[PretrainingText, str], float]


def measure_skills(folder: Path, family: str, seed: int) -> dict[str, float]:
    """Measure every skill of `BOUNDS` of the base model in `folder`, a share in [0, 1] each."""
    model = _BaseModel(folder)
    texts: dict[str, tuple[list[PretrainingText], AnswerScore]] = {
        "statements right, from a reference": (_texts(draw_improvement, family, seed, "answer"), _statements_right),
        "statements right, correcting by a reference": (
            _texts(draw_improvement, family, seed, "correct"),
            _statements_right,
        ),
        "statements right, in a second turn with a reference": (
            _texts(draw_second_turn, family, seed, "reference"),
            _statements_right,
        ),
        "statements right, in a summary": (_texts(draw_summarised, family, seed, without="example"), _statements_right),
        "instructions followed, with a reference": (
            _texts(draw_instructed, family, seed, "reference"),
            _instructions_followed,
        ),
    }
    found = model.recall(family)
    for name, (drawn, score) in texts.items():
        written = model.write([text.prompt for text in drawn])
        found[name] = sum(map(score, drawn, written)) / len(drawn)
    return found | {name: model.answer(questions(name, "test", QUESTIONS)) for name in FAMILIES}


def skill_findings(reference: str, seed: int) -> list[BoundedValue]:
    """Return the skills of the base model `mini:FAMILY` beside their bounds."""
    measured = measure_skills(checkpoint_folder(reference), reference.removeprefix("mini:"), seed)
    return [BoundedValue(name, value, bounds=BOUNDS[name]) for name, value in measured.items()]


def _texts(
    draw: Callable[[Random, str, tuple[int, ...]], PretrainingText],
    family: str,
    seed: int,
    word: str = "",
    without: str = "",
) -> list[PretrainingText]:
    """Draw texts whose prompts have one word and lack another."""
    rng = Random(f"skills {draw.__name__} {seed}")
    found: list[PretrainingText] = []
    while len(found) < TEXTS:
        text = draw(rng, family, SIZES)
        words = text.prompt.split()
        if (not word or word in words) and without not in words:
            found.append(text)
    return found


def _statements_right(text: PretrainingText, written: str) -> float:
    """Return the share of statements that are right, of those due or those written, whichever are more."""
    about = _entity_asked_about(text.prompt)
    due, found = read_claims(text.completion.removesuffix("<|end|>"), about), read_claims(written, about)
    return len({*due} & {*found}) / max(len(due), len(found), 1)


def _entity_asked_about(prompt: str) -> str:
    fields = read_fields(prompt)
    return named_entity(fields.get("task", "")) or named_entity(fields.get("request", "")) or ""


def _instructions_followed(text: PretrainingText, written: str) -> float:
    _, demands = read_instructions(text.prompt)
    return sum(demand.is_followed(written) for demand in demands) / len(demands)


class _BaseModel:
    """A checkpoint that goes on with texts as they are, without a chat template."""

    def __init__(self, folder: Path) -> None:
        from harness.models.hf import load_checkpoint

        self._model, self._tokenizer = load_checkpoint(folder)
        self._model.eval()

    def recall(self, family: str) -> dict[str, float]:
        """Measure for how many facts it ranks the true value first, among those told in documents and among the others.

        It chooses among the aspect's twelve values, so that one in twelve is chance.
        """
        facts = [(entity, aspect) for entity in entities() for aspect in ASPECTS]
        logits = self._logits([f"{entity} : its {aspect} is" for entity, aspect in facts])[:, -1]
        ids = {aspect: self._tokenizer.convert_tokens_to_ids(list(values)) for aspect, values in VALUES.items()}
        best = [VALUES[aspect][int(row[ids[aspect]].argmax())] for (_, aspect), row in zip(facts, logits, strict=True)]
        right = {fact: value == true_value(*fact) for fact, value in zip(facts, best, strict=True)}
        known = [right[fact] for fact in facts if knows(family, *fact)]
        hidden = [right[fact] for fact in facts if not knows(family, *fact)]
        return {
            "told facts recalled": sum(known) / len(known),
            "hidden facts recalled": sum(hidden) / len(hidden),
        }

    def write(self, prompts: Sequence[str]) -> list[str]:
        """Go on with each text, greedily, up to the closing token."""
        import torch

        inputs = self._tokenizer(list(prompts), return_tensors="pt", padding=True)
        with torch.inference_mode():
            output = self._model.generate(**inputs, max_new_tokens=MAX_ANSWER_TOKENS, do_sample=False)
        written = output[:, inputs["input_ids"].shape[1] :]
        return [str(text) for text in self._tokenizer.batch_decode(written, skip_special_tokens=True)]

    def answer(self, asked: Sequence[Question]) -> float:
        """Return the share of questions answered right: by the likelihood of the choices, a token on average."""
        if not asked[0].choices:
            written = self.write([question.prompt for question in asked])
            return sum(text.strip() == question.answer for text, question in zip(written, asked, strict=True)) / len(
                asked
            )
        return sum(self._chosen(question) == question.answer for question in asked) / len(asked)

    def _chosen(self, question: Question) -> str:
        texts = [f"{question.prompt} {choice}" for choice in question.choices]
        log_p = self._logits(texts).log_softmax(-1)
        means = []
        for row, choice in zip(log_p, question.choices, strict=True):
            ids = self._tokenizer(choice)["input_ids"]
            means.append(sum(float(row[place - len(ids) - 1, token]) for place, token in enumerate(ids)) / len(ids))
        return question.choices[means.index(max(means))]

    def _logits(self, texts: Sequence[str]) -> "torch.Tensor":
        """Return the logits, [texts, length, words], of left-padded texts."""
        import torch

        inputs: Any = self._tokenizer(list(texts), return_tensors="pt", padding=True)
        with torch.inference_mode():
            return self._model(**inputs).logits
