import hashlib
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.endpoints.protocol import ChatRequest, Message
from harness.errors import UserError
from harness.steps import judge_prompt
from harness.steps.judge_prompt import OFFICIAL_JUDGE, OFFICIAL_PROMPTS, JudgePrompt, official_order, official_prompt

INSTRUCTIONS = ["Why is the sky blue?", "Übersetze: „Guten Tag“", "a\n\nb ", "{first} or {second}?", ""]


@pytest.fixture(scope="module")
def alpaca_eval_judge() -> Any:
    """alpaca_eval's own judge `weighted_alpaca_eval_gpt4_turbo`, as its annotator sets it up."""
    pytest.importorskip("pkg_resources", reason="alpaca_eval imports it; setuptools<81 has it")
    annotators = pytest.importorskip("alpaca_eval.annotators")
    annotator = annotators.PairwiseAnnotator(annotators_config="weighted_alpaca_eval_gpt4_turbo")
    return annotator.annotators["weighted_alpaca_eval_gpt4_turbo"]


def chat(request: ChatRequest) -> list[dict[str, str]]:
    return [{"content": message.content, "role": message.role} for message in request.messages]


def their_chats(judge: Any, rows: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    """The conversations that alpaca_eval sends for `rows`, through its own code; outputs are not switched."""
    from alpaca_eval.utils import prompt_to_chatml
    from pandas import DataFrame

    prompts, _ = judge._make_prompts(DataFrame(rows))
    return [prompt_to_chatml(prompt.strip()) for prompt in prompts]


def test_alpaca_eval_is_asked_as_its_own_tool_asks(alpaca_eval_judge: Any) -> None:
    rows = [
        {"instruction": instruction, "output_1": f"one {number}\n", "output_2": ' "two" {"a": 1}'}
        for number, instruction in enumerate(INSTRUCTIONS)
    ]
    prompt = official_prompt("alpaca_eval2")
    ours = [chat(prompt.request(row["instruction"], row["output_1"], row["output_2"])) for row in rows]
    assert ours == their_chats(alpaca_eval_judge, rows)


def test_alpaca_eval_is_asked_with_its_own_parameters(alpaca_eval_judge: Any) -> None:
    request = official_prompt("alpaca_eval2").request("why?", "a", "b")
    assert alpaca_eval_judge.completions_kwargs == {
        "model_name": OFFICIAL_JUDGE,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "logprobs": True,
        "top_logprobs": request.top_logprobs,
    }


def test_a_ranking_is_asked_for_as_alpaca_evals_judge_asks() -> None:
    pytest.importorskip("pkg_resources", reason="alpaca_eval imports it; setuptools<81 has it")
    annotators = pytest.importorskip("alpaca_eval.annotators")
    name = "alpaca_eval_gpt4_0613"
    judge = annotators.PairwiseAnnotator(annotators_config=name).annotators[name]
    rows = [{"instruction": text, "output_1": "one\n", "output_2": '{"a": 2}'} for text in INSTRUCTIONS]
    prompt = official_prompt("alpaca_farm")
    ours = [prompt.request(row["instruction"], row["output_1"], row["output_2"]) for row in rows]
    assert [chat(request) for request in ours] == their_chats(judge, rows)
    assert judge.completions_kwargs == {"model_name": "gpt-4-0613", "max_tokens": 100, "temperature": 0}
    assert (ours[0].max_tokens, ours[0].temperature, ours[0].top_logprobs) == (100, 0.0, 0)


def test_alpaca_eval_outputs_are_shown_in_the_order_of_its_own_tool(alpaca_eval_judge: Any) -> None:
    from pandas import DataFrame

    (switch,) = alpaca_eval_judge.processors
    draw = random.Random(0)
    instructions = [*INSTRUCTIONS, *("".join(draw.choices("abc é\n{}", k=draw.randrange(60))) for _ in range(200))]
    shown = switch.preprocess(
        DataFrame([{"instruction": i, "output_1": "base", "output_2": "out"} for i in instructions])
    )
    theirs = ["baseline_first" if first == "base" else "output_first" for first in shown["output_1"]]
    assert [official_order(instruction) for instruction in instructions] == theirs
    assert 0.4 < theirs.count("output_first") / len(theirs) < 0.6


def test_reading_alpaca_evals_prompt_does_not_import_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "alpaca_eval"]:
        monkeypatch.delitem(sys.modules, module)
    official_prompt("alpaca_eval2")
    assert "alpaca_eval" not in sys.modules


def test_without_alpaca_eval_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_prompt, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install alpaca-eval"):
        official_prompt("alpaca_eval2")


@pytest.mark.parametrize(
    "config", [None, "[]", "other: {}", "weighted_alpaca_eval_gpt4_turbo: {prompt_template: gone.txt}"]
)
def test_another_layout_of_the_package_is_one_line(tmp_path: Path, config: str | None) -> None:
    folder = tmp_path / "weighted_alpaca_eval_gpt4_turbo"
    folder.mkdir()
    if config is not None:
        (folder / "configs.yaml").write_text(config)
    with pytest.raises(UserError):
        judge_prompt._alpaca_eval_prompt(tmp_path, "weighted_alpaca_eval_gpt4_turbo")


def test_arena_hard_is_asked_in_the_official_words() -> None:
    """The digests are of system_prompt and prompt_template in Arena-Hard v0.1's config/judge_config.yaml."""
    prompt = official_prompt("arena_hard")
    theirs = prompt.user.replace("{request}", "{question_1}").replace("{first}", "{answer_1}")
    assert [
        hashlib.sha256(text.encode()).hexdigest() for text in (prompt.system, theirs.replace("{second}", "{answer_2}"))
    ] == [
        "03f68010febd7a6405102ef882b4dd5a9700c56b2e1ff286d3b38f5d3a929bbf",
        "b0260904bc964e0d07d20581309c53fce4879159080fee42d8c91f8a80c48df4",
    ]


def test_arena_hard_asks_a_second_time_within_the_conversation() -> None:
    prompt = official_prompt("arena_hard")
    asked = prompt.request("why?", "a", "b")
    again = prompt.again(asked, "Hm.")
    assert (again.temperature, again.max_tokens, again.top_logprobs) == (0, 4096, 0)
    assert again.messages == (
        *asked.messages,
        Message("assistant", "Hm."),
        Message("user", "continue your judgment and finish by outputting a final verdict label"),
    )


def test_the_pairwise_win_rate_asks_as_arena_hard() -> None:
    assert official_prompt("pairwise") == official_prompt("arena_hard")


def test_a_bench_without_official_prompt_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="did you mean 'arena_hard'"):
        official_prompt("arenahard")


@pytest.mark.parametrize("bench", OFFICIAL_PROMPTS)
@given(texts=st.tuples(*[st.text(max_size=40) | st.sampled_from(["{request}", "{second}{first}", "{output_1}"])] * 3))
def test_texts_are_shown_as_they_are(bench: str, texts: tuple[str, str, str]) -> None:
    """Fields within a text stand for themselves (alpaca_eval fills {output_1} in an instruction)."""
    prompt = official_prompt(bench)
    before, rest = prompt.user.split("{request}")
    between, after = rest.split("{first}")
    middle, end = after.split("{second}")
    shown = prompt.request(*texts).messages[-1].content
    assert shown == f"{before}{texts[0]}{between}{texts[1]}{middle}{texts[2]}{end}"


def test_a_prompt_without_system_message_is_one_message() -> None:
    assert JudgePrompt("{request}", max_tokens=1).request("why?", "", "").messages == (Message("user", "why?"),)
