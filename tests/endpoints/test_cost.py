"""Tokens, estimates and the budget."""

import random
import sys
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.endpoints import cost
from harness.endpoints.cost import Budget, TokenCounter, describe, estimate
from harness.endpoints.known_models import OPENAI_URL
from harness.endpoints.protocol import ChatRequest, Message
from harness.endpoints.reference import EndpointReference, endpoint_reference
from harness.endpoints.wire_format import THINKING_TOKENS
from harness.errors import UserError

GPT4 = endpoint_reference("gpt-4-1106-preview")  # $10 and $30 per million tokens
GPT4O = endpoint_reference("gpt-4o")
UNKNOWN = endpoint_reference("someones-model", "https://llm.example.org/v1")
LOCAL = endpoint_reference("someones-model", "http://127.0.0.1:8000/v1")


def request(text: str = "which one?", max_tokens: int = 1) -> ChatRequest:
    return ChatRequest((Message("system", "You judge."), Message("user", text)), max_tokens, 0.0)


def one_token_price(asked: ChatRequest) -> float:
    return (TokenCounter(GPT4).count(asked.messages) * 10 + 30) / 1e6


# Published counts: "How to count tokens with tiktoken", sections 5 and 6 (OpenAI cookbook).
COOKBOOK_WORDS = [
    ("cl100k_base", "antidisestablishmentarianism", 6),
    ("cl100k_base", "2 + 2 = 4", 7),
    ("cl100k_base", "お誕生日おめでとう", 9),
    ("o200k_base", "antidisestablishmentarianism", 6),
    ("o200k_base", "2 + 2 = 4", 7),
    ("o200k_base", "お誕生日おめでとう", 8),
]
COOKBOOK_CHAT = [
    ("", "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
    ("example_user", "New synergies will help drive top-line growth."),
    ("example_assistant", "Things working well together will increase revenue."),
    (
        "example_user",
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    ),
    ("example_assistant", "Let's talk later when we're less busy about how to do better."),
    ("", "This late pivot means we don't have time to boil the ocean for the client deliverable."),
]


@pytest.mark.parametrize(("tokenizer", "text", "tokens"), COOKBOOK_WORDS)
def test_texts_have_the_published_number_of_tokens(tokenizer: str, text: str, tokens: int) -> None:
    count = cost.text_token_counter(tokenizer)
    assert count is not None
    assert count(text) == tokens


@pytest.mark.parametrize(("reference", "tokens"), [(GPT4, 129), (GPT4O, 124)])
def test_a_conversation_has_the_number_of_tokens_that_the_api_charged_for(
    reference: EndpointReference, tokens: int
) -> None:
    """The cookbook's conversation; its messages also have names, which cost one token beside their text."""
    count_text = cost.text_token_counter("cl100k_base" if reference is GPT4 else "o200k_base")
    assert count_text is not None
    names = sum(1 + count_text(name) for name, _ in COOKBOOK_CHAT if name)
    roles = ["system"] * 5 + ["user"]
    messages = [Message(role, text) for role, (_, text) in zip(roles, COOKBOOK_CHAT, strict=True)]  # type: ignore[arg-type]
    assert TokenCounter(reference).count(messages) + names == tokens


def test_special_tokens_in_a_text_are_plain_text() -> None:
    """What an answer says must not be read as the end of a message."""
    count = cost.text_token_counter("cl100k_base")
    assert count is not None
    assert count("<|endoftext|>") == 7  # tiktoken's encode_ordinary
    assert count("<|im_start|>") > 1


@pytest.mark.parametrize("tokenizer", ["cl100k_base", "o200k_base"])
@given(st.text())
def test_no_text_has_more_tokens_than_bytes(tokenizer: str, text: str) -> None:
    count = cost.text_token_counter(tokenizer)
    assert count is not None
    assert (count(text) == 0) == (text == "")
    assert count(text) <= len(text.encode())


def test_half_a_surrogate_pair_can_be_counted() -> None:
    messages = request("cut: \ud83d").messages
    assert TokenCounter(GPT4).count(messages) == TokenCounter(GPT4).count(request("cut: ?").messages)
    assert TokenCounter(UNKNOWN).bound(messages) == TokenCounter(UNKNOWN).bound(request("cut: ?").messages)


def test_a_count_says_what_it_is() -> None:
    assert TokenCounter(GPT4).exact
    assert TokenCounter(GPT4).method == "counted with cl100k_base"
    assert not TokenCounter(UNKNOWN).exact
    assert "estimate" in TokenCounter(UNKNOWN).method
    elsewhere = TokenCounter(endpoint_reference("gpt-4o", "https://llm.example.org/v1"))
    assert not elsewhere.exact
    assert elsewhere.method == "an estimate, counted with o200k_base"


def test_without_the_tokenizers_counts_are_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rs_bpe.bpe", None)
    cost.text_token_counter.cache_clear()
    try:
        counter = TokenCounter(GPT4)
        messages = request("eight by" * 100).messages
        assert not counter.exact
        assert counter.count(messages) < counter.bound(messages)
    finally:
        cost.text_token_counter.cache_clear()


def test_an_estimate_adds_up() -> None:
    requests = [request(f"which one, {n}?") for n in range(5)]
    found = estimate(requests, GPT4)
    assert (found.calls, found.recorded) == (5, 0)
    assert found.completion_tokens == found.most_completion_tokens == 5
    assert found.usd() == pytest.approx(sum(map(one_token_price, requests)))
    assert found.usd(batch=True) == pytest.approx(found.usd() / 2)


def test_equal_requests_are_paid_for_once_and_recorded_ones_not_at_all() -> None:
    again, new = request("again?"), request("new?")
    found = estimate([again, again, new, new], GPT4, is_recorded=lambda asked: asked == again)
    assert (found.calls, found.recorded) == (1, 1)
    assert found.usd() == pytest.approx(one_token_price(new))


def test_long_replies_have_an_assumed_length_and_a_bound() -> None:
    found = estimate([request(max_tokens=4096)] * 2 + [request("other", max_tokens=100)], GPT4)
    assert found.completion_tokens == cost.TYPICAL_REPLY_TOKENS + 100
    assert found.most_completion_tokens == 4096 + 100
    assert "assumed, up to 400 a reply" in describe(found)
    assert "at most 4,196" in describe(found)


def test_where_counts_are_estimates_the_bound_is_still_one() -> None:
    luna = endpoint_reference("gpt-6-luna")  # a known price, an unknown tokenizer
    requests = [request("Grüße 🙂 " * 30), request("eight by" * 30)]
    found = estimate(requests, luna)
    assert found.most_prompt_tokens > found.prompt_tokens
    most = sum(map(Budget(luna, None).most_usd, requests))
    assert found.most_usd() == pytest.approx(most)
    assert (found.usd() or 0) < most
    assert (
        sum(len(message.content.encode()) for asked in requests for message in asked.messages)
        < found.most_prompt_tokens
    )


def test_the_bound_has_room_for_thinking() -> None:
    found = estimate([request()], endpoint_reference("o3"))
    assert found.completion_tokens == 1
    assert found.most_completion_tokens == 1 + THINKING_TOKENS


def test_what_a_dry_run_prints() -> None:
    lines = describe(estimate([request()], GPT4O), today=date(2026, 11, 21)).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["judge", "calls", "prompt tokens", "completion tokens", "cost"]
    assert "counted with o200k_base" in lines[2]
    assert "through the Batch API $0.0000" in lines[4]
    assert "https://developers.openai.com/api/docs/pricing as of 2026-02-07" in lines[4]


def test_an_unknown_price_is_said() -> None:
    found = estimate([request()], UNKNOWN)
    assert found.usd() is None
    assert "unknown: configs/judges.yaml has no price for someones-model" in describe(found)
    assert "$" not in describe(found)


def test_a_local_judge_is_free_and_called_local() -> None:
    found = estimate([request()], LOCAL)
    assert found.usd() == 0
    assert describe(found).splitlines()[-1].endswith("$0 (local)")


DAYS = [
    (date(2026, 10, 22), ""),
    (date(2026, 10, 23), "is shut down by its vendor today,"),
    (date(2026, 11, 30), "was shut down by its vendor on"),
]


@pytest.mark.parametrize(("today", "how"), DAYS)
def test_a_dry_run_says_that_a_model_is_gone(today: date, how: str) -> None:
    said = describe(estimate([request()], GPT4), today)
    assert (f"gpt-4-1106-preview {how} 2026-10-23; the price is its last" in said) == bool(how)
    assert ("warning" in said) == bool(how)


def test_a_request_that_could_overrun_the_budget_is_not_sent() -> None:
    asked = request(max_tokens=1000)
    worst = Budget(GPT4, None).most_usd(asked)
    budget = Budget(GPT4, max_usd=2.5 * worst)
    first, second = budget.reserve(asked), budget.reserve(asked)
    with pytest.raises(UserError, match=r"--max-usd .* each run may spend as much: run the same command to go on"):
        budget.reserve(asked)
    assert budget.in_flight == 2
    budget.release(first)
    budget.reserve(asked)
    budget.settle(second, 10, 10)
    budget.reserve(asked)  # what was charged is less than what was reserved


def test_a_budget_too_small_for_one_request_must_be_raised() -> None:
    asked = request()
    with pytest.raises(UserError, match=r"; raise --max-usd$"):
        Budget(GPT4, max_usd=Budget(GPT4, None).most_usd(asked) / 2).reserve(asked)


def test_what_earlier_rounds_spent_counts() -> None:
    asked = request()
    worst = Budget(GPT4, None).most_usd(asked)
    Budget(GPT4, max_usd=1.0, already_spent=1 - 2 * worst).reserve(asked)
    with pytest.raises(UserError, match="--max-usd 1 is reached"):
        Budget(GPT4, max_usd=1.0, already_spent=1 - worst / 2).reserve(asked)


def test_through_the_batch_api_a_budget_goes_twice_as_far() -> None:
    asked = request(max_tokens=1000)
    assert Budget(GPT4, None, batch=True).most_usd(asked) == pytest.approx(Budget(GPT4, None).most_usd(asked) / 2)


def test_usage_that_is_not_reported_is_charged_in_full() -> None:
    budget = Budget(GPT4, 1.0)
    reservation = budget.reserve(request(max_tokens=500))
    assert budget.settle(reservation, 0, 0) == reservation.usd == budget.spent > 0


def test_a_budget_without_a_price_is_refused_at_once() -> None:
    with pytest.raises(UserError, match=r"someones-model at https://llm\.example\.org/v1 is not known.*drop --max-usd"):
        Budget(UNKNOWN, 1.0)
    with pytest.raises(UserError, match="Batch API price of gpt-4-turbo-preview"):
        Budget(endpoint_reference("gpt-4-turbo-preview"), 1.0, batch=True)


def test_without_a_limit_an_unknown_price_stays_unknown() -> None:
    budget = Budget(UNKNOWN, None)
    assert budget.settle(budget.reserve(request()), 100, 1) is None
    assert budget.spent == 0


def test_a_local_judge_fits_any_budget() -> None:
    budget = Budget(LOCAL, 0.0)
    assert budget.settle(budget.reserve(request(max_tokens=10**9)), 100, 10**9) == 0


@given(st.integers(0, 2**32), st.floats(0, 0.2))
def test_whatever_happens_the_budget_holds(seed: int, max_usd: float) -> None:
    """Requests that are sent in any order, answered at any length or refused never cost more than the limit."""
    draw = random.Random(seed)
    budget = Budget(GPT4, max_usd)
    counter = TokenCounter(GPT4)
    flying: list[tuple[cost.Reservation, ChatRequest]] = []
    charged = 0.0
    for _ in range(40):
        if flying and draw.random() < 0.5:
            reservation, asked = flying.pop(draw.randrange(len(flying)))
            if draw.random() < 0.3:
                budget.release(reservation)
            else:
                used = counter.count(asked.messages), draw.randint(0, asked.max_tokens)
                charged += budget.settle(reservation, *used) or 0.0
            continue
        asked = request("word " * draw.randint(0, 50), max_tokens=draw.randint(1, 500))
        try:
            flying.append((budget.reserve(asked), asked))
        except UserError:
            assert budget.spent + sum(open.usd for open, _ in flying) + budget.most_usd(asked) > max_usd - 1e-12
    assert charged <= max_usd + 1e-12
    assert budget.spent == pytest.approx(charged)
    assert budget.in_flight == len(flying)


def test_the_vendors_url_is_the_sdks() -> None:
    import openai

    assert str(openai.OpenAI(api_key="none").base_url).rstrip("/") == OPENAI_URL
