"""The settings of MT-Bench's answers and grades: configs/official/mt_bench.yaml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.config.yaml_files import config_path, load_yaml
from harness.endpoints.protocol import ChatRequest, Message
from harness.models.generator import Sampling

FIRST_TURN, SECOND_TURN = TURNS = (1, 2)

_FIELD = re.compile(r"\{(question|question_1|question_2|answer|answer_1|answer_2|ref_answer_1|ref_answer_2)\}")


@dataclass(frozen=True, slots=True)
class GradingPrompt:
    """The words that ask a judge to grade one answer. `name` is the prompt's own in FastChat's files.

    FastChat's fields in braces stand for questions, answers and references, and other braces for themselves.
    """

    name: str
    user: str
    system: str = ""

    def messages(self, values: Mapping[str, str]) -> tuple[Message, ...]:
        """Return the conversation that shows `values`, by field."""
        user = Message("user", _FIELD.sub(lambda field: values[field[1]], self.user))
        return (Message("system", self.system), user) if self.system else (user,)


@dataclass(frozen=True, slots=True)
class GradingPrompts:
    """The prompts for a question's two turns, without references and with them, and how replies are drawn."""

    temperature: float
    max_tokens: int
    first_turn: GradingPrompt
    first_turn_by_reference: GradingPrompt
    second_turn: GradingPrompt
    second_turn_by_reference: GradingPrompt

    def prompt(self, turn: int, *, by_reference: bool) -> GradingPrompt:
        """Return the prompt for one turn."""
        if turn == FIRST_TURN:
            return self.first_turn_by_reference if by_reference else self.first_turn
        return self.second_turn_by_reference if by_reference else self.second_turn

    def request(self, prompt: GradingPrompt, values: Mapping[str, str], repeat: int = 0) -> ChatRequest:
        """Ask for the grade of what `values` show."""
        return ChatRequest(prompt.messages(values), self.max_tokens, self.temperature, repeat=repeat)


@dataclass(frozen=True, slots=True)
class MtBenchSettings:
    """The official sampling of answers, by category, and the judge's prompts: FastChat's, and the embedded judge's."""

    sampling: Sampling
    temperatures: dict[str, float]
    graded_by_reference: tuple[str, ...]
    official: GradingPrompts
    embedded: GradingPrompts


def mt_bench_settings() -> MtBenchSettings:
    """Read the settings that the package has."""
    return load_yaml(config_path("official/mt_bench.yaml"), MtBenchSettings)


@dataclass(frozen=True, slots=True)
class CategorySampling:
    """The sampling of answers by their question's category; a category without a temperature has that of
    `otherwise`."""

    otherwise: Sampling
    temperatures: tuple[tuple[str, float], ...] = ()

    def of(self, category: str) -> Sampling:
        """Return the sampling of answers to one category's questions."""
        temperature = dict(self.temperatures).get(category)
        return self.otherwise if temperature is None else _at(self.otherwise, temperature)


def _at(sampling: Sampling, temperature: float) -> Sampling:
    return replace(sampling, temperature=temperature) if temperature else sampling.greedy()


def category_sampling(otherwise: Sampling) -> CategorySampling:
    """Return FastChat's temperatures by category, and the rest of `otherwise`."""
    return CategorySampling(otherwise, tuple(sorted(mt_bench_settings().temperatures.items())))
