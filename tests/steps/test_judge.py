import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends import models
from harness.core.artifacts import Artifact
from harness.core.records import Judgment, Prompt, Response
from harness.core.store import Store
from harness.mini.quality import gold_quality
from harness.mini.roles import read_role
from harness.scales import load_scale
from harness.steps import judge as module
from harness.steps.data import data, model
from harness.steps.judge import Protocol, judge_fingerprint, judge_pairs, orders, read_reply, render_pair
from tests.steps.given import answers, made

TEMPLATES = load_scale("mini").prompt_set().judge
PROTOCOLS: tuple[Protocol, ...] = ("alpaca_eval2", "arena_hard")
PLAIN = "{request} | {first} | {second}"


class FakeJudge:
    """Prefers whichever answer is longer; replies as the protocol asks, or as it is told."""

    name = "fake"

    def __init__(self, protocol: Protocol, reply: str | None = None) -> None:
        self.protocol, self.fixed = protocol, reply
        self.asked: list[str] = []

    def reply(self, message: str) -> tuple[str, Mapping[str, float] | None]:
        self.asked.append(message)
        if self.fixed is not None:
            return self.fixed, None
        _, first, second = message.split(" | ")
        better = len(first) > len(second)
        if self.protocol == "arena_hard":
            return f"[[{'A>B' if better else 'B>A'}]]", None
        likely, unlikely = math.log(0.8), math.log(0.2)
        return "m" if better else "M", {"m": likely if better else unlikely, "M": unlikely if better else likely}


def judged(outputs: Artifact, baselines: Artifact, protocol: Protocol, template: str = PLAIN) -> Artifact:
    return judge_pairs(
        judge=model("mini:judge"), template=template, protocol=protocol, outputs=outputs, baselines=baselines
    )


@pytest.mark.parametrize(
    ("reply", "log_probabilities", "state", "verdict", "preference"),
    [
        ("m", {"m": math.log(0.3), "M": math.log(0.1)}, "ok", "m", 0.75),
        ("M", {"m": math.log(0.1), "M": math.log(0.3), "The": math.log(0.6)}, "ok", "M", 0.25),
        ("m", {"m": -0.01}, "ok", "m", 1.0),  # as alpaca_eval: what is not listed has no probability
        ("M", {"M": -0.01, "The": -5.0}, "ok", "M", 0.0),
        ("m", None, "ok", "m", 1.0),
        (" M\n", None, "ok", "M", 0.0),
        ("m", {}, "ok", "m", 1.0),
        ("m", {"The": -0.1}, "ok", "m", 1.0),
        ("The first", {"The": -0.1}, "parse_failed", "", None),
        ("", None, "parse_failed", "", None),
        ("mM", None, "parse_failed", "", None),
        ("output m", None, "parse_failed", "", None),
    ],
)
def test_alpaca_eval_identifiers(
    reply: str,
    log_probabilities: Mapping[str, float] | None,
    state: str,
    verdict: str,
    preference: float | None,
) -> None:
    reading = read_reply("alpaca_eval2", reply, log_probabilities)
    assert (reading.state, reading.verdict) == (state, verdict)
    assert reading.first_preference == (None if preference is None else pytest.approx(preference))


@given(first=st.floats(-50, 0), second=st.floats(-50, 0), other=st.floats(-50, 0))
def test_the_preference_is_the_identifiers_share_of_probability(first: float, second: float, other: float) -> None:
    reading = read_reply("alpaca_eval2", "m", {"m": first, "M": second, "The": other})
    swapped = read_reply("alpaca_eval2", "m", {"m": second, "M": first})
    assert reading.first_preference == pytest.approx(1 / (1 + math.exp(second - first)))
    assert reading.first_preference is not None and swapped.first_preference is not None
    assert reading.first_preference + swapped.first_preference == pytest.approx(1)


def test_identifiers_of_hardly_any_probability_are_compared_all_the_same() -> None:
    """Some interfaces give -9999 for whatever is very unlikely."""
    reading = read_reply("alpaca_eval2", "The", {"The": -0.1, "m": -9999.0, "M": -9999.0})
    assert reading.first_preference == pytest.approx(0.5)


@pytest.mark.parametrize("label", ["A>>B", "A>B", "A=B", "B>A", "B>>A"])
def test_arena_hard_labels_are_read(label: str) -> None:
    for reply in (f"[[{label}]]", f"My final verdict is: [[{label}]].", f"[[{label}]] as I said: [[{label}]]"):
        reading = read_reply("arena_hard", reply, None)
        assert (reading.state, reading.verdict, reading.first_preference) == ("ok", label, None)


@pytest.mark.parametrize(
    "reply",
    ["", "[[A>B]] or rather [[B>A]]", "[[A>B]] or even [[A>>B]]", "A>B", "[A>B]", "[[a>b]]", "[[A > B]]", "[[A>>>B]]"],
)
def test_a_reply_without_one_arena_hard_label_is_no_verdict(reply: str) -> None:
    reading = read_reply("arena_hard", reply, None)
    assert (reading.state, reading.verdict) == ("parse_failed", "")


def test_arena_hard_asks_in_both_orders_and_alpaca_eval_in_one_fixed_by_the_prompt() -> None:
    prompts = [row.prompt for row in read_role("alpaca_eval2", 200)]
    assert {tuple(orders("arena_hard", prompt)) for prompt in prompts} == {("baseline_first", "output_first")}
    chosen = [tuple(orders("alpaca_eval2", prompt)) for prompt in prompts]
    assert chosen == [tuple(orders("alpaca_eval2", replace(prompt, id="another"))) for prompt in prompts]
    counts = Counter(chosen)
    assert set(counts) == {("baseline_first",), ("output_first",)}
    assert min(counts.values()) > 70


def test_the_prompt_shows_the_answers_in_the_order_said() -> None:
    prompt = Prompt("1", "why?")
    assert render_pair(PLAIN, prompt, "base", "out", "baseline_first") == "why? | base | out"
    assert render_pair(PLAIN, prompt, "base", "out", "output_first") == "why? | out | base"


def test_texts_with_braces_are_shown_as_they_are() -> None:
    assert render_pair(PLAIN, Prompt("1", "{x}"), "{}", "{0}", "baseline_first") == "{x} | {} | {0}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_better_output_is_preferred_in_both_orders(
    store: Store, monkeypatch: pytest.MonkeyPatch, protocol: Protocol
) -> None:
    judge = FakeJudge(protocol)
    monkeypatch.setattr(models, "load_judge", lambda reference: judge)
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
    assert len(rows) == len(judge.asked) == (30 if protocol == "alpaca_eval2" else 60)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_worlds_judge_prefers_what_is_better(store: Store, protocol: Protocol) -> None:
    better, worse = data("mini:alpaca_eval2_scholar", 150), data("mini:alpaca_eval2_student", 150)
    rows = made(store, judged(better, worse, protocol, TEMPLATES[protocol])).rows(Judgment)
    assert {row.state for row in rows} == {"ok"}
    clear = [
        row
        for row in rows
        if gold_quality(row.prompt.text, row.output) > gold_quality(row.prompt.text, row.baseline) + 0.4
    ]
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


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_failed_judgments_are_rows_without_a_preference_and_are_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch, protocol: Protocol
) -> None:
    monkeypatch.setattr(models, "load_judge", lambda reference: FakeJudge(protocol, "I cannot tell."))
    artifact = made(store, judged(answers({"a": "x"}), answers({"a": "y"}), protocol))
    rows = artifact.rows(Judgment)
    assert [(row.state, row.preference, row.verdict, row.reply) for row in rows] == [
        ("parse_failed", None, "", "I cannot tell.")
    ] * len(rows)
    assert store.record(artifact)["counts"]["failed"] == len(rows) == (1 if protocol == "alpaca_eval2" else 2)


def test_a_baseline_without_an_output_is_left_out_and_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_judge", lambda reference: FakeJudge("arena_hard"))
    outputs = answers({"b": "long", "stray": "long"})
    artifact = made(store, judged(outputs, answers({"a": "y", "b": "y", "c": "y"}), "arena_hard"))
    assert [row.prompt.id for row in artifact.rows(Judgment)] == ["b", "b"]
    assert store.record(artifact)["counts"]["without_output"] == 2


def test_a_killed_run_asks_nothing_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class PulledPlug(FakeJudge):
        def reply(self, message: str) -> tuple[str, Mapping[str, float] | None]:
            if len(self.asked) == 25:
                raise InterruptedError
            return super().reply(message)

    monkeypatch.setattr(module, "ROWS_AT_ONCE", 10)
    first, second = PulledPlug("arena_hard"), FakeJudge("arena_hard")
    ids = [str(i) for i in range(20)]
    artifact = judged(answers(dict.fromkeys(ids, "long")), answers(dict.fromkeys(ids, "y")), "arena_hard")
    monkeypatch.setattr(models, "load_judge", lambda reference: first)
    with pytest.raises(InterruptedError):
        made(store, artifact)
    monkeypatch.setattr(models, "load_judge", lambda reference: second)
    rows = made(store, artifact).rows(Judgment)
    assert len(second.asked) == 40 - 20  # what was appended in whole is not asked again
    assert [(row.prompt.id, row.order) for row in rows] == [
        (id, order) for id in ids for order in ("baseline_first", "output_first")
    ]


def test_the_fingerprint_differs_with_judge_prompt_protocol_and_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = model("mini:judge")
    prints = {
        judge_fingerprint(judge, PLAIN, "alpaca_eval2"),
        judge_fingerprint(model("mini:llama"), PLAIN, "alpaca_eval2"),
        judge_fingerprint(judge, f"{PLAIN} ", "alpaca_eval2"),
        judge_fingerprint(judge, PLAIN, "arena_hard"),
    }
    monkeypatch.setattr(module, "PARSER_VERSION", 99)
    prints.add(judge_fingerprint(judge, PLAIN, "alpaca_eval2"))
    assert len(prints) == 5
    assert all(len(print_) == 12 and int(print_, 16) >= 0 for print_ in prints)


def test_outputs_are_those_of_the_prompt_and_not_of_the_place(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = FakeJudge("arena_hard")
    monkeypatch.setattr(models, "load_judge", lambda reference: judge)
    made(store, judged(answers({"b": "out b", "a": "out a"}), answers({"a": "base a", "b": "base b"}), "arena_hard"))
    assert sorted(judge.asked) == sorted(
        [
            f"prompt {id} | {first} {id} | {second} {id}"
            for id in "ab"
            for first, second in (("base", "out"), ("out", "base"))
        ]
    )


def test_rows_keep_the_texts_that_were_compared(store: Store) -> None:
    outputs, baselines = data("mini:alpaca_eval2_house", 20), data("mini:alpaca_eval2", 20)
    rows = made(store, judged(outputs, baselines, "alpaca_eval2", TEMPLATES["alpaca_eval2"])).rows(Judgment)
    for row, output, baseline in zip(
        rows, read_role("alpaca_eval2_house", 20), read_role("alpaca_eval2", 20), strict=True
    ):
        assert isinstance(output, Response) and isinstance(baseline, Response)
        assert (row.prompt, row.output, row.baseline) == (baseline.prompt, output.text, baseline.text)
