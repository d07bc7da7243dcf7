"""The table of judge models: strict, sourced, and silent where nothing is known."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from harness.config.yaml_files import from_mapping
from harness.endpoints.known_models import (
    FREE,
    OPENAI_URL,
    JudgeModel,
    JudgeTable,
    judge_table,
    known_model,
    price_of,
    shutdown_date,
)
from harness.endpoints.reference import EndpointReference, endpoint_reference
from harness.errors import UserError

SOURCE = {"vendor": {"url": "https://example.org/prices", "as_of": "2026-01-31"}}


def table(*models: Mapping[str, Any]) -> JudgeTable:
    return from_mapping(JudgeTable, {"sources": SOURCE, "models": list(models)}, "judges.yaml")


def test_the_packaged_table_is_in_order() -> None:
    assert len(judge_table().models) > 20


def test_every_price_names_a_source_with_an_address_and_a_day() -> None:
    for source in judge_table().sources.values():
        assert source.url.startswith("https://")
        assert date(2026, 1, 1) <= date.fromisoformat(source.as_of)
    assert {model.price.source for model in judge_table().models if model.price} == set(judge_table().sources)


def test_alpaca_evals_judge_costs_what_the_vendor_asked() -> None:
    price = known_model("gpt-4-1106-preview").price
    assert price is not None
    # $10 and $30 per million; half of it through the Batch API (the vendor's price list of 2026-02-07)
    assert price.usd(1_000_000, 0) == 10
    assert price.usd(0, 1_000_000) == 30
    assert price.usd(1_000_000, 1_000_000, batch=True) == 20


def test_a_batch_price_that_is_not_known_is_not_guessed() -> None:
    price = known_model("gpt-4-turbo-preview").price
    assert price is not None
    assert price.usd(1000, 1000) is not None
    assert price.usd(1000, 1000, batch=True) is None


def test_an_unknown_model_has_nothing_but_its_name() -> None:
    assert known_model("someones-model-7b") == JudgeModel(("someones-model-7b",))


def test_an_exact_name_wins_over_a_beginning_and_a_longer_beginning_over_a_shorter() -> None:
    models = table(
        {"names": ["a*"], "tokenizer": "cl100k_base"},
        {"names": ["a-b*"], "tokenizer": "o200k_base"},
        {"names": ["a-b"], "without": ["temperature"]},
    )
    assert models.find("a-b") == JudgeModel(("a-b",), without=("temperature",))
    assert models.find("a-bc").tokenizer == "o200k_base"
    assert models.find("a-c").tokenizer == "cl100k_base"
    assert models.find("b") == JudgeModel(("b",))


def test_reasoning_models_refuse_what_they_refuse() -> None:
    assert endpoint_reference("o3").without == ("temperature", "logprobs", "max_tokens")
    assert endpoint_reference("o3-a-later-one").without == ("temperature", "logprobs", "max_tokens")
    assert endpoint_reference("gpt-4o").without == ()


def test_members_of_a_known_family_have_no_price_of_their_own() -> None:
    assert known_model("o3-pro").price is None
    assert known_model("gpt-4o-audio-preview").price is None


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ({"names": ["a"], "prise": {}}, "did you mean 'price'"),
        ({"names": ["a*"], "price": {"prompt": 1, "completion": 1, "source": "vendor"}}, "exact names"),
        ({"names": ["a*"], "shutdown_date": "2026-01-01"}, "exact names"),
        ({"names": ["a"], "shutdown_date": "soon"}, "soon"),
        ({"names": ["a"], "without": ["tempreature"]}, "temperature"),
        ({"names": ["a", "a"]}, "given twice: a"),
        ({"names": ["a"], "price": {"prompt": 1, "completion": 1, "source": "hearsay"}}, "hearsay"),
    ],
)
def test_mistakes_in_the_table_are_named(model: Mapping[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        table(model)


def test_prices_and_shutdown_dates_hold_at_no_other_endpoint_on_the_net() -> None:
    vendor = endpoint_reference("gpt-4-1106-preview")
    elsewhere = endpoint_reference("gpt-4-1106-preview", "https://llm.example.org/v1")
    assert vendor.base_url == OPENAI_URL
    assert price_of(vendor) == known_model("gpt-4-1106-preview").price
    assert shutdown_date(vendor) == date(2026, 10, 23)
    assert price_of(elsewhere) is None
    assert shutdown_date(elsewhere) is None


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/v1", "http://127.0.0.1:8000/v1", "http://127.0.0.2", "http://[::1]:8000/v1"]
)
def test_a_server_on_this_machine_is_free_unless_it_may_be_a_proxy_to_the_vendor(url: str) -> None:
    assert price_of(endpoint_reference("smollm2", url)) == FREE
    assert price_of(endpoint_reference("gpt-4o", url)) == known_model("gpt-4o").price
    assert shutdown_date(endpoint_reference("smollm2", url)) is None
    assert shutdown_date(endpoint_reference("gpt-4-1106-preview", url)) == date(2026, 10, 23)


@pytest.mark.parametrize("url", ["http://localhost.example.org/v1", "http://10.0.0.1/v1", "https://127.0.0.1.nip.io"])
def test_a_server_on_another_machine_is_not(url: str) -> None:
    assert price_of(endpoint_reference("gpt-4o", url)) is None


def test_the_embedded_judge_is_free() -> None:
    assert price_of(EndpointReference("mini:judge")) == FREE
