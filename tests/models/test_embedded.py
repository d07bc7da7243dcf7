from random import Random

from harness.endpoints.judges import EmbeddedJudge
from harness.endpoints.protocol import ChatReply
from harness.mini import teacher
from harness.mini.judge import MiniJudge
from harness.mini.roles import read_role
from harness.models.embedded import EmbeddedTeacher
from harness.models.generator import Sampling
from harness.recipes.loading import load_recipe
from harness.records import Message
from tests.training.naive import alone

SAMPLING = Sampling(0.7, 0.9, 80)


def messages(count: int) -> list[str]:
    return [row.prompt.text for row in read_role("improver_data", count)]


def test_the_teacher_answers_each_message_with_its_own_seed() -> None:
    asked, seeds = alone(messages(20)), range(20)
    done = EmbeddedTeacher().complete(asked, SAMPLING, seeds)
    assert [one.text for one in done] == [
        teacher.reply(message, Random(seed)) for message, seed in zip(messages(20), seeds, strict=True)
    ]
    assert {(one.finish_reason, one.token_ids) for one in done} == {("stop", ())}
    assert EmbeddedTeacher().complete(asked[::-1], SAMPLING, seeds[::-1]) == done[::-1]
    assert EmbeddedTeacher().complete(asked, SAMPLING, range(20, 40)) != done


def test_the_teacher_answers_a_second_turn_after_the_users_first() -> None:
    rows = [row.prompt for row in read_role("two_turn_questions", 20)]
    talks = [[*prompt.history, Message("user", prompt.text)] for prompt in rows]
    done = EmbeddedTeacher().complete(talks, SAMPLING, range(20))
    assert [one.text for one in done] == [
        teacher.reply(prompt.text, Random(seed), prompt.requests_before) for seed, prompt in enumerate(rows)
    ]


def test_sampling_settings_do_not_touch_the_teacher() -> None:
    asked = alone(messages(5))
    assert EmbeddedTeacher().complete(asked, SAMPLING.greedy(), range(5)) == EmbeddedTeacher().complete(
        asked, SAMPLING, range(5)
    )


def test_the_judge_is_the_worlds() -> None:
    [row] = read_role("alpaca_eval2", 1)
    prompt = load_recipe("mini").prompt_set().judge["alpaca_eval2"]
    requests = [prompt.request(row.prompt.text, "", row.text, repeat) for repeat in range(3)]
    said = [MiniJudge().reply(request.messages[0].content, request.repeat) for request in requests]
    assert list(EmbeddedJudge().replies(requests)) == [(at, ChatReply(*reply)) for at, reply in enumerate(said)]
    assert len({str(reply) for reply in said}) == 3
