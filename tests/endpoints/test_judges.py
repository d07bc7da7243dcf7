from pathlib import Path

import pytest

from harness.endpoints.judges import EmbeddedJudge, load_judge
from harness.endpoints.reference import endpoint_reference
from harness.engine.limits import Limits
from harness.errors import UserError
from harness.mini.identity import world_digest


def test_the_embedded_judge_is_identified_by_the_worlds_code(tmp_path: Path) -> None:
    reference = endpoint_reference("mini:judge")
    assert (reference.is_embedded, reference.content, reference.base_url) == (True, world_digest(), "")
    assert isinstance(load_judge(reference, Limits(), tmp_path)._judge, EmbeddedJudge)


@pytest.mark.parametrize(("model", "url"), [("mini:juge", None), ("mini:judge", "http://127.0.0.1:8000/v1")])
def test_there_is_one_embedded_judge_and_it_is_not_served(model: str, url: str | None) -> None:
    with pytest.raises(UserError, match="the embedded judge is mini:judge"):
        endpoint_reference(model, url)


def test_a_base_url_is_the_same_with_and_without_its_last_slash() -> None:
    with_slash, without = (endpoint_reference("m", f"http://127.0.0.1:8000/v1{end}") for end in ("/", ""))
    assert with_slash == without


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://there", "localhost"])
def test_a_base_url_that_is_none_is_a_user_error(url: str) -> None:
    with pytest.raises(UserError, match="must start with http:// or https://"):
        endpoint_reference("m", url)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@127.0.0.1:8000/v1",
        "user:hunter2@127.0.0.1:8000/v1",
        "http://user:hun/ter2@there/v1",
        "http://hunter2@there/v1",
        "http://there/v1?api-key=hunter2",
        "http://there/v1#hunter2",
    ],
)
def test_a_base_url_that_may_hold_a_secret_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UserError, match="no user, password, query or fragment") as error:
        endpoint_reference("m", url)
    assert "ter2" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["http://", "http:///v1", "http://there:port/v1", "http://[::1/v1", "http://there:0/v1"]
)
def test_a_base_url_without_a_host_is_a_user_error(url: str) -> None:
    with pytest.raises(UserError, match="no valid host or port"):
        endpoint_reference("m", url)


def test_what_the_user_says_is_refused_adds_to_what_is_known_of_the_model() -> None:
    known = endpoint_reference("o3").without
    assert "temperature" in known
    assert endpoint_reference("o3", without=("temperature",)).without == known
    plain = endpoint_reference("gpt-4o").without
    both = endpoint_reference("gpt-4o", without=("logprobs", "temperature"))
    assert set(both.without) == {*plain, "logprobs", "temperature"}
    assert both == endpoint_reference("gpt-4o", without=("temperature", "logprobs")), "it is one judge"


@pytest.mark.parametrize(
    ("misspelt", "hint"), [("foo", "known"), ("logprob", "logprobs"), ("top_logprobs", "logprobs")]
)
def test_a_parameter_that_is_always_sent_cannot_be_left_out(misspelt: str, hint: str) -> None:
    with pytest.raises(UserError, match=rf"'{misspelt}'.*\b{hint}\b.*max_tokens"):
        endpoint_reference("m", "http://localhost:1/v1", (misspelt,))


@pytest.mark.parametrize(
    "url",
    [
        "https://r.openai.azure.com/openai/deployments/gpt-4?api-version=2024-10-21",
        "https://gateway.example/openai?API-Version=preview",
        "https://r.cognitiveservices.azure.com/openai/v1?key=x",
    ],
)
def test_an_azure_url_with_a_query_is_told_what_azure_takes(url: str) -> None:
    with pytest.raises(UserError, match=r"for Azure give https://RESOURCE\.openai\.azure\.com/openai/v1") as error:
        endpoint_reference("m", url)
    assert url not in str(error.value)
    with pytest.raises(UserError) as error:
        endpoint_reference("m", "https://llm.example/v1?x=1")
    assert "Azure" not in str(error.value)


@pytest.mark.parametrize("model", ["gpt-4@localhost:8000/v1", "gpt-4@host", "http://localhost:8000/v1", "m@https:h"])
def test_a_host_in_the_models_name_is_not_taken_for_a_model_of_the_openai_api(model: str) -> None:
    with pytest.raises(UserError, match=r"is not a model of the OpenAI API.*base URL that starts with http"):
        endpoint_reference(model)


def test_a_model_with_an_at_sign_can_be_served_at_a_base_url() -> None:
    assert endpoint_reference("@cf/meta/llama", "http://localhost:1/v1").model == "@cf/meta/llama"
