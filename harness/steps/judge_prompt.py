"""The prompts that judges are asked with, the benchmarks' own among them."""

import random
import re
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.config.yaml_files import config_path, load_yaml, read_yaml
from harness.endpoints.protocol import ChatRequest, Message
from harness.errors import UserError, unknown
from harness.records import Order
from harness.steps.question_categories import CATEGORIES, category_of

OFFICIAL_JUDGE = "gpt-4-1106-preview"
"""The judge model that defines AlpacaEval 2.0 and Arena-Hard v0.1: another judge's scores are not theirs."""

OFFICIAL_PROMPTS = ("alpaca_eval2", "arena_hard", "pairwise", "alpaca_farm", "arena_hard_v2")

_FIELD = re.compile(r"\{(request|first|second)\}")

_ALPACA_EVAL_JUDGES = {"alpaca_eval2": "weighted_alpaca_eval_gpt4_turbo", "alpaca_farm": "alpaca_eval_gpt4_0613"}
"""By bench, the judge of the alpaca-eval package whose words and parameters it has."""
_ALPACA_EVAL_FIELDS = {"{instruction}": "{request}", "{output_1}": "{first}", "{output_2}": "{second}"}
_CHAT_TURN = re.compile(r"<\|im_start\|>(system|user)\n(.*?)<\|im_end\|>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """The question to a judge: the text, and how its reply is drawn. The one place that knows either.

    `user` is a message with the fields {request}, {first} and {second} (other braces stand for themselves), after the
    message `system` if there is one. `second_attempt` is what a judge is told whose reply has no label; without it, it
    is asked once. The parameters are those of `ChatRequest`.
    """

    user: str
    max_tokens: int
    system: str = ""
    temperature: float = 0.0
    top_logprobs: int = 0
    second_attempt: str = ""

    def request(self, request: str, first: str, second: str, repeat: int = 0) -> ChatRequest:
        """Ask which of `first` and `second` answers `request` better."""
        values = {"request": request, "first": first, "second": second}
        user = Message("user", _FIELD.sub(lambda field: values[field[1]], self.user))
        messages = (Message("system", self.system), user) if self.system else (user,)
        return ChatRequest(messages, self.max_tokens, self.temperature, self.top_logprobs, repeat)

    def of(self, prompt_id: str) -> "JudgePrompt":
        """Return how the judge is asked about one prompt: alike about all."""
        return self

    def again(self, asked: ChatRequest, reply: str) -> ChatRequest:
        """Ask a second time, after a reply without a label."""
        messages = (*asked.messages, Message("assistant", reply), Message("user", self.second_attempt))
        return ChatRequest(messages, asked.max_tokens, asked.temperature, asked.top_logprobs, asked.repeat)


@dataclass(frozen=True, slots=True)
class CategoryJudgePrompt(JudgePrompt):
    """The question to a judge that begins otherwise in some categories: `systems` are these messages by category."""

    systems: tuple[tuple[str, str], ...] = ()

    def of(self, prompt_id: str) -> JudgePrompt:
        """Return how the judge is asked about one prompt of Arena-Hard v2.0."""
        return replace(self, system=dict(self.systems).get(category_of(prompt_id), self.system))


def official_prompt(bench: str) -> JudgePrompt:
    """Return how the benchmark's own tool asks its judge; `bench` is one of `OFFICIAL_PROMPTS`.

    Raises UserError for another bench, and where a prompt of the alpaca-eval package is asked for without that package.
    """
    if bench not in OFFICIAL_PROMPTS:
        raise unknown("official judge prompt", bench, OFFICIAL_PROMPTS)
    if bench in _ALPACA_EVAL_JUDGES:
        return _alpaca_eval_prompt(_alpaca_eval_configs(), _ALPACA_EVAL_JUDGES[bench])
    prompts = load_yaml(config_path("official/judge_prompts.yaml"), dict[str, JudgePrompt])
    systems = tuple((name, prompts[f"{bench}_{name}"].system) for name in CATEGORIES if f"{bench}_{name}" in prompts)
    prompt = prompts[bench]
    if not systems:
        return prompt
    return CategoryJudgePrompt(**{each.name: getattr(prompt, each.name) for each in fields(prompt)}, systems=systems)


def official_order(instruction: str) -> Order:
    """Return the order in which AlpacaEval 2.0 shows two outputs: drawn by the instruction alone, with seed 0.

    Equal to alpaca_eval's RandomSwitchTwoColumnsProcessor as its PairwiseAnnotator sets it up.
    """
    switched = random.Random(f"is_switched_outputs{instruction}0").choices([False, True])[0]
    return "output_first" if switched else "baseline_first"


def _alpaca_eval_configs() -> Path:
    """Find the folder of judges in the alpaca-eval package, which is not imported: only its data are needed."""
    package = find_spec("alpaca_eval")
    if package is None or not package.submodule_search_locations:
        raise UserError("AlpacaEval's judge prompts are in the alpaca-eval package: pip install alpaca-eval")
    return Path(package.submodule_search_locations[0]) / "evaluators_configs"


def _alpaca_eval_prompt(configs: Path, name: str) -> JudgePrompt:
    """Read the prompt and the parameters of the judge `name`, as alpaca_eval sends them."""
    config = configs / name / "configs.yaml"
    try:
        judge: dict[str, Any] = read_yaml(config)[name]
        parameters = judge["completions_kwargs"]
        template = (configs / judge["prompt_template"]).read_text(encoding="utf-8")
        for theirs, ours in _ALPACA_EVAL_FIELDS.items():
            template = template.replace(theirs, ours)
        turns = {role: content.strip() for role, content in _CHAT_TURN.findall(template)}
        return JudgePrompt(
            user=turns["user"],
            system=turns["system"],
            max_tokens=parameters["max_tokens"],
            temperature=float(parameters["temperature"]),
            top_logprobs=parameters.get("top_logprobs", 0),
        )
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"{config}: not the judge we know ({error!r}): pip install alpaca-eval==0.6.6") from None
