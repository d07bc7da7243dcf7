"""What refusals mean, by the wordings of vendors and servers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from harness.endpoints.error_text import error_reason, error_within
from harness.endpoints.refusals import (
    FILTERED,
    NO_ROOM,
    TOO_LONG,
    CommandOptions,
    advice_on,
    refused_parameter,
    refused_prompt,
)


def openai(message: str, code: str | None = None, param: str | None = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code, **more}}


def vllm(message: str, code: int = 400) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": code}


TOO_LONG_ANSWERS: list[tuple[str, int, Any]] = [
    ("OpenAI", 400, openai("This model's maximum context length is 8192 tokens", "context_length_exceeded")),
    ("OpenAI, code alone", 400, openai("Please shorten it.", "context_length_exceeded")),
    ("OpenAI, one text", 400, openai("Invalid 'messages[1].content': string too long.", "string_above_max_length")),
    ("OpenAI, of a minute", 429, openai("Request too large for gpt-4 on tokens per min (TPM): Limit 10000", "x")),
    ("Azure", 400, openai("This model's maximum context length is 8192 tokens.", "context_length_exceeded")),
    ("vLLM", 400, vllm("This model's maximum context length is 8192 tokens. However, you requested 30000 tokens")),
    ("vLLM, room", 400, vllm("'max_tokens' is too large: 4096. This model's maximum context length is 2048 tokens")),
    ("vLLM, no room", 400, vllm("max_tokens must be at least 1, got -21808.")),
    ("vLLM, engine", 400, vllm("The decoder prompt (length 30000) is longer than the maximum model length of 8192.")),
    ("vLLM, later", 400, {"error": vllm("You passed 30001 input tokens, but the model's context length is only 8192")}),
    ("SGLang", 400, vllm("The input (30000 tokens) is longer than the model's context length (8192 tokens).")),
    (
        "llama.cpp",
        400,
        {"error": {"code": 400, "message": "try increasing it", "type": "exceed_context_size_error", "n_ctx": 8192}},
    ),
    ("llama.cpp, earlier", 500, openai("the request exceeds the available context size. try increasing it")),
    ("Ollama", 400, {"error": "prompt too long; exceeded max context length by 1234 tokens"}),
    ("TGI and Together", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193"}),
    ("TGI", 422, {"error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 30000"}),
    ("OpenRouter", 400, {"error": {"message": "This endpoint's maximum context length is 8192 tokens.", "code": 400}}),
    (
        "OpenRouter, a provider's",
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": json.dumps(vllm("maximum context length is 8192")), "provider_name": "X"},
            }
        },
    ),
    (
        "Anthropic",
        400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens"}},
    ),
    ("Anthropic, room", 400, openai("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000")),
    ("Anthropic, size", 413, {"error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}),
    (
        "Gemini",
        400,
        [{"error": {"code": 400, "message": "The input token count (1100000) exceeds the maximum", "status": "X"}}],
    ),
    ("Mistral", 400, vllm("Prompt contains 65673 tokens, too large for model with 32768 maximum context length")),
    ("LiteLLM", 400, openai("litellm.ContextWindowExceededError: litellm.BadRequestError: XException", "400")),
    ("Groq", 413, openai("Request too large for model `x` on tokens per minute", "rate_limit_exceeded")),
    ("xAI", 400, {"code": "invalid", "error": "This model's maximum prompt length is 131072 but it contains 537812"}),
    ("Bedrock", 400, {"message": "Input is too long for requested model."}),
    ("Cohere", 400, {"message": "too many tokens: total number of tokens in the request cannot exceed 4081"}),
    ("nginx", 413, "<html><head><title>413 Request Entity Too Large</title></head></html>"),
]

FILTERED_ANSWERS: list[tuple[str, int, Any]] = [
    (
        "Azure",
        400,
        openai(
            "The response was filtered due to the prompt triggering our policy.",
            "content_filter",
            "prompt",
            innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}},
        ),
    ),
    ("Azure, type", 400, {"error": {"message": "no", "type": "content_filter", "code": "400"}}),
    ("Azure, inner", 400, openai("no", None, innererror={"code": "ResponsibleAIPolicyViolation"})),
    ("Azure, words", 400, openai("triggering Azure OpenAI's content management policy. Please modify your prompt")),
    ("OpenAI, reasoning", 400, openai("Invalid prompt: it may violate our usage policy.", "invalid_prompt")),
    ("OpenAI", 400, openai("Your request was rejected by our safety system.", "content_policy_violation")),
    ("LiteLLM", 400, openai("litellm.ContentPolicyViolationError: AzureException", "400")),
    (
        "OpenRouter",
        403,
        {
            "error": {
                "code": 403,
                "message": "The chosen model requires moderation and your input was flagged",
                "metadata": {"reasons": ["violence"], "flagged_input": "Write"},
            }
        },
    ),
    ("Anthropic", 400, openai("Output blocked by content filtering policy")),
    ("DeepSeek", 400, openai("Content Exists Risk")),
    ("DashScope", 400, openai("Input data may contain inappropriate content.", "data_inspection_failed")),
    ("xAI", 403, {"code": "forbidden", "error": "Content violates usage guidelines. Failed check: SAFETY"}),
    ("Gemini", 400, [{"error": {"code": 400, "message": "The prompt was blocked", "status": "PROHIBITED_CONTENT"}}]),
    ("Bedrock", 400, {"message": "guardrail intervened"}),
]

OF_EVERYTHING: list[tuple[str, int, Any]] = [
    ("a parameter", 400, openai("Unsupported parameter: 'max_tokens' is not supported", "unsupported_parameter")),
    ("too many tokens of reply", 400, openai("max_tokens is too large: 5000. This model supports at most 4096", "x")),
    ("a model", 404, openai("The model `x` does not exist: its context length is unknown", "model_not_found")),
    ("a key", 401, openai("Incorrect API key provided: content_filter", "invalid_api_key")),
    ("an account", 403, openai("Your account was flagged for violating our usage policies", "account_deactivated")),
    ("an account that is empty", 402, openai("Insufficient Balance: too many tokens")),
    ("asked too often", 429, openai("Rate limit reached: 30000 tokens per min", "rate_limit_exceeded")),
    ("a filter that is down", 503, openai("the content filter service is unavailable")),
    ("a server that is down", 500, "Internal Server Error"),
    ("no words", 400, ""),
    ("no JSON of an error", 400, "[" * 5000),
    (
        "the prompt repeated",
        422,
        {
            "detail": [
                {"loc": ["body", "seed"], "msg": "Extra inputs", "input": "maximum context length content_filter"}
            ]
        },
    ),
]


def by_vendor(cases: list[tuple[str, int, Any]]) -> Any:
    return pytest.mark.parametrize(("status", "body"), [case[1:] for case in cases], ids=[case[0] for case in cases])


@by_vendor(TOO_LONG_ANSWERS)
def test_a_prompt_that_is_too_long_is_told_from_other_refusals(status: int, body: Any) -> None:
    assert refused_prompt(status, body) == TOO_LONG
    assert refused_prompt(status, body if isinstance(body, str) else json.dumps(body)) == TOO_LONG


@by_vendor(FILTERED_ANSWERS)
def test_a_filtered_prompt_is_told_from_other_refusals(status: int, body: Any) -> None:
    assert refused_prompt(status, body) == FILTERED
    assert refused_prompt(status, json.dumps(body)) == FILTERED


@by_vendor(OF_EVERYTHING)
def test_what_every_request_would_meet_is_no_prompts_fault(status: int, body: Any) -> None:
    assert refused_prompt(status, body) == ""


def test_thinking_without_end_is_the_prompts_fault_once_it_has_all_the_room_there_is() -> None:
    message = "Could not finish the message because max_tokens or model output limit was reached."
    assert refused_prompt(400, openai(message)) == ""
    assert refused_parameter(400, None, message) == "max_tokens"
    assert refused_prompt(400, openai(message), without=("max_tokens",)) == NO_ROOM


@pytest.mark.parametrize(
    ("status", "parameter", "message", "refused"),
    [
        (400, "max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model.", "max_tokens"),
        (400, "max_output_tokens", "integer below minimum value. Expected a value >= 16, but got 1", "max_tokens"),
        (400, "max_tokens", "max_tokens is too large: 5000. This model supports at most 4096 tokens", None),
        (400, "temperature", "'temperature' does not support 0 with this model. Only the default (1)", "temperature"),
        (400, None, "invalid temperature: only 1 is allowed for this model", "temperature"),
        (400, None, "`temperature` and `top_p` cannot both be specified for this model.", "temperature"),
        (400, None, "`top_p` is deprecated for this model.", "temperature"),
        (403, None, "You are not allowed to request logprobs from this model", "logprobs"),
        (400, None, "Logprobs is not enabled for models/gemini-2.5-pro", "logprobs"),
        (400, None, 'Invalid JSON payload received. Unknown name "logprobs": Cannot find field.', "logprobs"),
        (404, None, "No endpoints found that support the parameters: logprobs", "logprobs"),
        (422, None, '[{"loc": ["body", "top_logprobs"], "msg": "Extra inputs are not permitted"}]', "logprobs"),
        (400, "top_logprobs", "Invalid value for 'top_logprobs': must be less than or equal to 3.", "logprobs"),
        (400, None, "Requested sample logprobs of 5, which is greater than max allowed: 3", "logprobs"),
        (400, None, "litellm.UnsupportedParamsError: x does not support parameters: ['logprobs']", "logprobs"),
        (400, None, "System role not supported", "system"),
        (500, None, "Jinja Exception: System role not supported", "system"),
        (400, None, "Conversation roles must alternate user/assistant/user/assistant/...", "system"),
        (400, None, "Only user and assistant roles are supported!", "system"),
        (400, None, "Developer instruction is not enabled for models/gemma-3-27b-it", "system"),
        (400, "messages[0].role", "'messages[0].role' does not support 'system' with this model.", "system"),
        (400, None, "'system' is not one of ['user', 'assistant'] - 'messages.0.role'", "system"),
        (422, None, "Unexpected role 'system' in message", "system"),
        (401, None, "Incorrect API key; logprobs are not supported", None),
        (404, None, "The model 'temperature-1' was not found", None),
        (400, "seed", "seed is not supported; temperature is", None),
        (400, None, "the request body is not JSON", None),
        (503, None, "logprobs are not supported while the engine starts", None),
        (429, None, "System message limit: only user and assistant ones are not counted", None),
    ],
)
def test_what_can_be_left_out_is_found_in_what_vendors_say(
    status: int, parameter: str | None, message: str, refused: str | None
) -> None:
    assert refused_parameter(status, parameter, message) == refused
    if refused:
        assert refused_parameter(status, parameter, message, without=(refused,)) is None, "it is left out already"


def test_a_limit_of_log_probabilities_can_also_be_raised() -> None:
    raised = advice_on("logprobs", "logprobs of 5, which is greater than max allowed: 3", CommandOptions())
    assert "pass --judge-without logprobs" in raised and "--max-logprobs" in raised
    assert "--max-logprobs" not in advice_on("logprobs", "logprobs are not supported", CommandOptions())


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"error": {"message": "m", "code": 402}}, (402, {"message": "m", "code": 402})),
        ({"error": "m", "choices": []}, (200, "m")),
        ({"choices": [{"error": {"message": "m", "code": "rate"}}]}, (200, {"message": "m", "code": "rate"})),
        ({"choices": [{"message": {"content": "m"}}], "error": None}, None),
        ({"choices": 3}, None),
        ([], None),
        (None, None),
    ],
)
def test_an_error_in_the_place_of_a_reply_is_found(answer: Any, found: Any) -> None:
    assert error_within(answer) == found


def test_what_a_proxy_passes_on_is_said() -> None:
    body: Mapping[str, Any] = {"error": {"message": "Provider returned error", "metadata": {"raw": "no such thing"}}}
    assert error_reason(body) == "Provider returned error: no such thing"
    assert error_reason([{"error": {"message": "not so"}}]) == "not so"
