import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from harness.endpoints.judges import CountedJudge
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest
from harness.engine.artifacts import Artifact
from harness.engine.store import Store
from harness.errors import UserError
from harness.mini.quality import gold_quality
from harness.mini.roles import read_role
from harness.recipes.loading import load_recipe
from harness.records import Judgment, Message, PreferencePair, Prompt, Response, share_of_output
from harness.steps.data import data
from harness.steps.judge import OrderedPair, Protocol, judge, judge_fingerprint, judge_pairs, orders
from harness.steps.judge_prompt import JudgePrompt
from tests.steps.given import answers, given_responses, made

PROMPTS = load_recipe("mini").prompt_set().judge
PROTOCOLS: tuple[Protocol, ...] = ("alpaca_eval2", "arena_hard", "pairwise")
PLAIN = JudgePrompt("{request} | {first} | {second}", max_tokens=10)
Reply = ChatReply | CallFailure


class FakeJudge:
    """Replies by a function of the user's last message; remembers what it was asked, and what was rejected."""

    name = "fake"

    def __init__(self, reply: Callable[[str], Reply]) -> None:
        self._reply = reply
        self.asked: list[ChatRequest] = []
        self.rejected: list[ChatRequest] = []

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, Reply]]:
        self.asked.extend(requests)
        for position in reversed(range(len(requests))):  # as an endpoint would: in any order
            yield position, self._reply(requests[position].messages[-1].content)

    def reject(self, request: ChatRequest) -> None:
        self.rejected.append(request)


def prefers_the_longer(protocol: Protocol) -> FakeJudge:
    """Its log-probabilities are 0.8 to 0.2."""

    def reply(message: str) -> ChatReply:
        _, first, second = message.split(" | ")
        better = len(first) > len(second)
        if protocol != "alpaca_eval2":
            return ChatReply(f"[[{'A>B' if better else 'B>A'}]]")
        likely, unlikely = math.log(0.8), math.log(0.2)
        label = "m" if better else "M"
        return ChatReply(label, {"m": likely if better else unlikely, "M": unlikely if better else likely})

    return FakeJudge(reply)


def says(text: str) -> FakeJudge:
    return FakeJudge(lambda message: ChatReply(text))


def but_for_the_easy(reply: Callable[[str], Reply]) -> FakeJudge:
    """`reply` to everything but the prompt "easy", which is answered with a verdict of each protocol."""
    verdict = ChatReply("[[A>B]]", {"m": -0.1, "M": -3.0})
    return FakeJudge(lambda message: verdict if message.startswith("prompt easy ") else reply(message))


def easy_and(id: str, text: str) -> Artifact:
    """Answers to the prompts "easy" and `id`."""
    return answers({"easy": text, id: text})


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeJudge], FakeJudge]:
    """Puts a fake in the place of every judge."""

    def put(fake: FakeJudge) -> FakeJudge:
        monkeypatch.setattr(
            "harness.steps.judge.load_judge",
            lambda reference, limits, kept, note: CountedJudge(fake, reference, note),
        )
        return fake

    return put


Use = Callable[[FakeJudge], FakeJudge]


def judged(
    outputs: Artifact, baselines: Artifact, protocol: Protocol, prompt: JudgePrompt = PLAIN, repeats: int = 1
) -> Artifact:
    return judge_pairs(
        judge=judge("mini:judge"),
        prompt=prompt,
        protocol=protocol,
        outputs=outputs,
        baselines=baselines,
        repeats=repeats,
    )


def test_arena_hard_asks_in_both_orders_and_alpaca_eval_in_one_fixed_by_the_prompt() -> None:
    prompts = [row.prompt for row in read_role("alpaca_eval2", 200)]
    assert {tuple(orders("arena_hard", prompt)) for prompt in prompts} == {("baseline_first", "output_first")}
    chosen = [tuple(orders("alpaca_eval2", prompt)) for prompt in prompts]
    assert chosen == [tuple(orders("alpaca_eval2", replace(prompt, id="another"))) for prompt in prompts]
    counts = Counter(chosen)
    assert set(counts) == {("baseline_first",), ("output_first",)}
    assert min(counts.values()) > 70


def test_the_prompt_shows_the_answers_in_the_order_said() -> None:
    game = OrderedPair(Prompt("1", "why?"), "base", "out", "baseline_first")
    assert game.request(PLAIN).messages[0].content == "why? | base | out"
    assert replace(game, order="output_first").request(PLAIN).messages[0].content == "why? | out | base"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_better_output_is_preferred_in_both_orders(store: Store, use: Use, protocol: Protocol) -> None:
    fake = use(prefers_the_longer(protocol))
    ids = [str(i) for i in range(30)]
    outputs = answers({id: "very long" if int(id) % 2 else "s" for id in reversed(ids)})
    rows = made(store, judged(outputs, answers(dict.fromkeys(ids, "middle")), protocol)).rows(Judgment)
    assert {row.order for row in rows} == {"baseline_first", "output_first"}
    for row in rows:
        is_better = int(row.prompt.id) % 2 == 1
        assert (row.baseline, row.output) == ("middle", "very long" if is_better else "s")
        if protocol == "alpaca_eval2":
            assert row.preference == pytest.approx(0.8 if is_better else 0.2)
            assert row.verdict == ("m" if is_better == (row.order == "output_first") else "M")
        else:
            assert row.preference is None
            assert row.verdict == ("A>B" if is_better == (row.order == "output_first") else "B>A")
    assert len(rows) == len(fake.asked) == (30 if protocol == "alpaca_eval2" else 60)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_worlds_judge_prefers_what_is_better(store: Store, protocol: Protocol) -> None:
    better, worse = data("mini:alpaca_eval2_scholar", 150), data("mini:alpaca_eval2_student", 150)
    rows = made(store, judged(better, worse, protocol, PROMPTS[protocol])).rows(Judgment)
    clearly_better_ones_win(rows)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_worlds_judge_sees_the_turns_before(store: Store, protocol: Protocol) -> None:
    second_turns = [row for row in read_role("conversation_pairs", 600) if row.prompt.history]
    outputs, baselines = zip(*(row.responses for row in second_turns if isinstance(row, PreferencePair)), strict=True)
    judging = judged(given_responses(rows=outputs), given_responses(rows=baselines), protocol, PROMPTS[protocol])
    clearly_better_ones_win(made(store, judging).rows(Judgment))


def clearly_better_ones_win(rows: Sequence[Judgment]) -> None:
    assert {row.state for row in rows} == {"ok"}
    clear = [row for row in rows if quality_of(row, row.output) > quality_of(row, row.baseline) + 0.4]
    assert {row.order for row in clear} == {"baseline_first", "output_first"}
    for order in ("baseline_first", "output_first"):
        shown = [row for row in clear if row.order == order]
        won = sum(
            row.preference > 0.5
            if row.preference is not None
            else row.verdict in (("B>A", "B>>A") if order == "baseline_first" else ("A>B", "A>>B"))
            for row in shown
        )
        assert won > 0.9 * len(shown) > 10


def quality_of(row: Judgment, answer: str) -> float:
    return gold_quality(row.prompt.text, answer, row.prompt.requests_before)


def test_a_second_turn_is_shown_with_what_was_said_before() -> None:
    before = (Message("system", "be brief"), Message("user", "why?"), Message("assistant", "so."))
    game = OrderedPair(Prompt("1", "and how?", before), "base", "out", "baseline_first")
    assert game.request(PLAIN).messages[0].content == (
        "[system]\nbe brief\n[earlier request]\nwhy?\n[earlier answer]\nso.\n[request]\nand how? | base | out"
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_failed_judgments_are_rows_without_a_preference_and_are_counted(
    store: Store, use: Use, protocol: Protocol
) -> None:
    use(but_for_the_easy(lambda message: ChatReply("I cannot tell.")))
    artifact = made(store, judged(easy_and("a", "x"), easy_and("a", "y"), protocol))
    rows = [row for row in artifact.rows(Judgment) if row.prompt.id == "a"]
    assert [(row.state, row.preference, row.verdict, row.reply) for row in rows] == [
        ("parse_failed", None, "", "I cannot tell.")
    ] * len(rows)
    assert store.record(artifact)["counts"]["failed"] == len(rows) == (1 if protocol == "alpaca_eval2" else 2)


def test_a_baseline_without_an_output_is_left_out_and_counted(store: Store, use: Use) -> None:
    use(prefers_the_longer("arena_hard"))
    outputs = answers({"b": "long", "stray": "long"})
    artifact = made(store, judged(outputs, answers({"a": "y", "b": "y", "c": "y"}), "arena_hard"))
    assert [row.prompt.id for row in artifact.rows(Judgment)] == ["b", "b"]
    assert store.record(artifact)["counts"]["without_output"] == 2


def test_what_could_not_be_read_is_rejected_and_judged_again_by_the_next_run(store: Store, use: Use) -> None:
    fake = use(but_for_the_easy(lambda message: ChatReply("I cannot tell.")))
    artifact = judged(easy_and("a", "x"), easy_and("a", "y"), "arena_hard")
    made(store, artifact)
    assert fake.rejected == fake.asked[2:]
    assert not store.has(artifact)
    use(prefers_the_longer("arena_hard"))
    rows = made(store, artifact).rows(Judgment)
    assert [row.state for row in rows] == ["ok"] * 4
    assert store.has(artifact)


def test_a_judge_that_cannot_be_asked_leaves_rows_that_say_why(store: Store, use: Use) -> None:
    use(but_for_the_easy(lambda message: CallFailure("503 six times")))
    artifact = judged(easy_and("a", "x"), easy_and("a", "y"), "alpaca_eval2")
    _, row = made(store, artifact).rows(Judgment)
    assert (row.state, row.preference, row.reply, row.error) == ("api_failed", None, "", "503 six times")
    assert not store.has(artifact)


def test_failures_are_counted_by_reason(store: Store, use: Use) -> None:
    use(but_for_the_easy(lambda message: CallFailure("503") if "prompt a" in message else ChatReply("Well.")))
    outputs, baselines = (answers(dict.fromkeys(("easy", "a", "b", "c"), text)) for text in "xy")
    artifact = made(store, judged(outputs, baselines, "arena_hard"))
    assert artifact.json("failures.json") == {"503": 2, "the reply has no verdict": 4}
    use(says("[[A>B]]"))
    assert not (made(store, artifact).folder / "failures.json").exists()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (lambda message: CallFailure("503" if "prompt a " in message else "cut off"), "(4 of 6): cut off;"),
        (
            lambda message: CallFailure("503") if "prompt a " in message else ChatReply("I cannot tell."),
            "(4 of 6): the reply has no verdict, such as 'I cannot tell.';",
        ),
    ],
)
def test_no_verdict_at_all_is_an_error_with_the_commonest_reason(
    store: Store, use: Use, reply: Callable[[str], Reply], reason: str
) -> None:
    use(FakeJudge(reply))
    outputs, baselines = (answers(dict.fromkeys("abc", text)) for text in "xy")
    with pytest.raises(UserError, match="no verdict on any of 6 questions") as error:
        made(store, judged(outputs, baselines, "arena_hard"))
    assert reason in str(error.value)


def test_draws_without_a_judge_hide_no_failure(store: Store, use: Use) -> None:
    use(says("I cannot tell."))
    with pytest.raises(UserError, match="no verdict"):
        made(store, judged(answers({"a": "x", "b": "same"}), answers({"a": "y", "b": "same"}), "alpaca_eval2"))
    equal = judged(answers({"b": "same"}), answers({"b": "same"}), "alpaca_eval2")
    assert [row.preference for row in made(store, equal).rows(Judgment)] == [0.5]


def test_a_reply_without_a_label_is_followed_by_a_second_attempt(store: Store, use: Use) -> None:
    """As Arena-Hard v0.1: the first reply stands in the conversation, and both are read as one text."""
    insists = JudgePrompt("{request} | {first} | {second}", max_tokens=10, second_attempt="A label, please.")
    fake = use(FakeJudge(lambda message: ChatReply("[[B>A]]" if message == "A label, please." else "Hard to say.")))
    rows = made(store, judged(answers({"a": "x"}), answers({"a": "y"}), "arena_hard", insists)).rows(Judgment)
    assert [(row.state, row.verdict, row.reply) for row in rows] == [("ok", "B>A", "Hard to say.\n[[B>A]]")] * 2
    first, second = fake.asked[0], fake.asked[2]
    assert second.messages[: len(first.messages)] == first.messages
    assert [(message.role, message.content) for message in second.messages[len(first.messages) :]] == [
        ("assistant", "Hard to say."),
        ("user", "A label, please."),
    ]
    assert (len(fake.asked), fake.rejected) == (4, [])


def test_contradicting_labels_are_no_verdict_and_get_no_second_attempt(store: Store, use: Use) -> None:
    insists = JudgePrompt("{request} | {first} | {second}", max_tokens=10, second_attempt="A label, please.")
    fake = use(but_for_the_easy(lambda message: ChatReply("[[A>B]] or rather [[B>A]]")))
    rows = made(store, judged(easy_and("a", "x"), easy_and("a", "y"), "arena_hard", insists)).rows(Judgment)
    assert [row.state for row in rows] == ["ok"] * 2 + ["parse_failed"] * 2
    assert len(fake.asked) == 4


def test_a_failed_second_attempt_is_a_failed_call(store: Store, use: Use) -> None:
    insists = JudgePrompt("{request} | {first} | {second}", max_tokens=10, second_attempt="A label, please.")
    use(but_for_the_easy(lambda said: CallFailure("cut off") if said == "A label, please." else ChatReply("Hm.")))
    rows = made(store, judged(easy_and("a", "x"), easy_and("a", "y"), "arena_hard", insists)).rows(Judgment)
    assert [(row.state, row.error) for row in rows[2:]] == [("api_failed", "cut off")] * 2


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_reply_gets_no_second_attempt_and_is_said_to_be_empty(store: Store, use: Use, text: str) -> None:
    insists = JudgePrompt("{request} | {first} | {second}", max_tokens=10, second_attempt="A label, please.")
    fake = use(but_for_the_easy(lambda message: ChatReply(text)))
    artifact = made(store, judged(easy_and("a", "x"), easy_and("a", "y"), "arena_hard", insists))
    assert artifact.json("failures.json") == {"the reply is empty": 2}
    assert len(fake.asked) == 4 and fake.rejected == fake.asked[2:]


@pytest.mark.parametrize(("is_final", "rejected"), [(True, 2), (False, 0)])
def test_what_failed_for_good_is_taken_back_and_what_may_pass_is_not(
    store: Store, use: Use, is_final: bool, rejected: int
) -> None:
    fake = use(but_for_the_easy(lambda message: CallFailure("the model refuses", is_final)))
    made(store, judged(easy_and("a", "x"), easy_and("a", "y"), "arena_hard"))
    assert len(fake.rejected) == rejected


def test_reasons_that_differ_in_numbers_alone_are_one(store: Store, use: Use) -> None:
    use(but_for_the_easy(lambda message: CallFailure(f"too long: {len(message)}1 tokens (request req_{id(message)}a)")))
    texts = dict.fromkeys(("easy", "a", "bb"), "x"), dict.fromkeys(("easy", "a", "bb"), "y")
    artifact = made(store, judged(answers(texts[0]), answers(texts[1]), "arena_hard"))
    [(reason, count)] = artifact.json("failures.json").items()
    assert count == 4 and reason.startswith("too long: ")


def test_repeated_verdicts_are_rows_of_their_own(store: Store) -> None:
    outputs, baselines = data("mini:alpaca_eval2_house", 30), data("mini:alpaca_eval2", 30)
    once = made(store, judged(outputs, baselines, "pairwise", PROMPTS["pairwise"])).rows(Judgment)
    thrice = made(store, judged(outputs, baselines, "pairwise", PROMPTS["pairwise"], repeats=3)).rows(Judgment)
    assert [row for row in thrice if row.repeat == 0] == once
    assert Counter((row.prompt.id, row.order) for row in thrice) == dict.fromkeys(
        ((row.prompt.id, row.order) for row in once), 3
    )
    verdicts = {
        (row.prompt.id, row.order): {each.verdict for each in thrice if each.prompt == row.prompt} for row in once
    }
    assert any(len(labels) > 1 for labels in verdicts.values())  # the judge's noise is drawn anew


def test_the_fingerprint_differs_with_judge_prompt_protocol_and_parser() -> None:
    asked = judge("mini:judge")
    prints = {
        judge_fingerprint(asked, PLAIN, "alpaca_eval2"),
        judge_fingerprint(replace(asked, model="another"), PLAIN, "alpaca_eval2"),
        judge_fingerprint(replace(asked, base_url="http://127.0.0.1:8000/v1"), PLAIN, "alpaca_eval2"),
        judge_fingerprint(replace(asked, without=("temperature",)), PLAIN, "alpaca_eval2"),
        judge_fingerprint(replace(asked, parser_version=99), PLAIN, "alpaca_eval2"),
        judge_fingerprint(asked, replace(PLAIN, user="{request}"), "alpaca_eval2"),
        judge_fingerprint(asked, replace(PLAIN, temperature=0.5), "alpaca_eval2"),
        judge_fingerprint(asked, PLAIN, "arena_hard"),
    }
    assert len(prints) == 8
    assert all(len(print_) == 12 and int(print_, 16) >= 0 for print_ in prints)


def test_outputs_are_those_of_the_prompt_and_not_of_the_place(store: Store, use: Use) -> None:
    fake = use(prefers_the_longer("arena_hard"))
    made(store, judged(answers({"b": "out b", "a": "out a"}), answers({"a": "base a", "b": "base b"}), "arena_hard"))
    assert sorted(request.messages[0].content for request in fake.asked) == sorted(
        [
            f"prompt {id} | {first} {id} | {second} {id}"
            for id in "ab"
            for first, second in (("base", "out"), ("out", "base"))
        ]
    )


def test_rows_keep_the_texts_that_were_compared(store: Store) -> None:
    outputs, baselines = data("mini:alpaca_eval2_house", 20), data("mini:alpaca_eval2", 20)
    rows = made(store, judged(outputs, baselines, "alpaca_eval2", PROMPTS["alpaca_eval2"])).rows(Judgment)
    for row, output, baseline in zip(
        rows, read_role("alpaca_eval2_house", 20), read_role("alpaca_eval2", 20), strict=True
    ):
        assert isinstance(output, Response) and isinstance(baseline, Response)
        assert (row.prompt, row.output, row.baseline) == (baseline.prompt, output.text, baseline.text)


# Rankings


def test_rankings_are_verdicts_in_both_orders(store: Store, use: Use) -> None:
    """The judge likes what stands first: a win in one order, a loss in the other."""
    use(says("[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]"))
    outputs, baselines = (answers({"easy": text}) for text in ("ours", "gold"))
    rows = made(store, judged(outputs, baselines, "alpaca_farm")).rows(Judgment)
    assert [(row.order, row.verdict, share_of_output(row)) for row in rows] == [
        ("baseline_first", "A>B", 0.0),
        ("output_first", "A>B", 1.0),
    ]


def test_a_judge_that_gives_no_ranking_is_told_of_in_one_line(store: Store, use: Use) -> None:
    use(says("Model 1 is better."))
    outputs, baselines = (answers({"easy": text}) for text in ("ours", "gold"))
    with pytest.raises(UserError, match=r"no verdict on any of 2 questions; .* the reply is no ranking \[") as error:
        made(store, judged(outputs, baselines, "alpaca_farm"))
    assert "\n" not in str(error.value)
