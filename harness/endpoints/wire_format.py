"""The chat-completions protocol: what a request sends, and what the answer to it says."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from harness.endpoints.answer_parts import first_token, mapping, read_message
from harness.endpoints.error_text import error_reason, error_within
from harness.endpoints.protocol import ChatReply, ChatRequest, Message
from harness.endpoints.reference import EndpointReference
from harness.endpoints.refusals import refused_prompt

THINKING_TOKENS = 16_384
"""Room to think before the reply, for models that count both in `max_completion_tokens`: with less than they need they
reply nothing, and what they thought is paid for all the same. An upper bound; only tokens that are used cost."""


class UnusableAnswer(Exception):
    """The endpoint answered, but there is no reply in it; with the tokens that it counts all the same, if it does."""

    def __init__(self, reason: str, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        super().__init__(reason)
        self.prompt_tokens, self.completion_tokens = prompt_tokens, completion_tokens


class PromptRefused(UnusableAnswer):
    """The endpoint refuses this very prompt, and would again; others it may take.

    `is_free` says that it is certain that nothing was generated.
    """

    def __init__(
        self, reason: str, prompt_tokens: int = 0, completion_tokens: int = 0, *, is_free: bool = False
    ) -> None:
        super().__init__(reason, prompt_tokens, completion_tokens)
        self.is_free = is_free


def request_parameters(reference: EndpointReference, request: ChatRequest) -> dict[str, Any]:
    """Return what is sent beside the messages: the model and every parameter that the endpoint does not refuse."""
    wanted: dict[str, Any] = {"temperature": request.temperature}
    if request.top_logprobs and "logprobs" not in reference.without:
        wanted |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if "max_tokens" in reference.without:
        wanted["max_completion_tokens"] = request.max_tokens + THINKING_TOKENS
    else:
        wanted["max_tokens"] = request.max_tokens
    if request.top_p is not None and "temperature" not in reference.without:  # who refuses the one refuses the other
        wanted["top_p"] = request.top_p
    if request.seed is not None:
        wanted["seed"] = request.seed
    sent = {name: value for name, value in wanted.items() if name not in reference.without}
    return {"model": reference.model, **sent}


def request_body(reference: EndpointReference, request: ChatRequest) -> dict[str, Any]:
    """Return the whole JSON body of the request."""
    messages = [{"role": message.role, "content": message.content} for message in sent_messages(reference, request)]
    return {**request_parameters(reference, request), "messages": messages}


def sent_messages(reference: EndpointReference, request: ChatRequest) -> tuple[Message, ...]:
    """Return the messages as they are sent: a model that refuses system turns gets their text before the user's."""
    if "system" not in reference.without:
        return request.messages
    sent: list[Message] = []
    waiting: list[str] = []
    for message in request.messages:
        if message.role == "system":
            waiting.append(message.content)
        elif message.role == "user":
            sent.append(Message("user", "\n\n".join([*waiting, message.content])))
            waiting.clear()
        else:
            sent.append(message)
    return (*sent, *(Message("user", text) for text in waiting))


def longest_reply(reference: EndpointReference, request: ChatRequest) -> int:
    """Return the most tokens that a reply to the request can be charged for."""
    return request.max_tokens + (THINKING_TOKENS if "max_tokens" in reference.without else 0)


def most_answer_bytes(reference: EndpointReference, request: ChatRequest) -> int:
    """Return how many bytes the answer to the request can have, generously: some ten times what its tokens need."""
    has_log_probabilities = request.top_logprobs and "logprobs" not in reference.without
    a_token = _TOKEN_BYTES + (request.top_logprobs + 1) * _ALTERNATIVE_BYTES * bool(has_log_probabilities)
    return _OTHER_BYTES + longest_reply(reference, request) * a_token


_TOKEN_BYTES = 64
_ALTERNATIVE_BYTES = 512
"""Of one token in a list of log-probabilities: its text, the bytes of that one by one, and a number."""
_OTHER_BYTES = 2**20
"""Of all that is no reply: what a filter found, what a proxy adds."""


def parse_reply(body: Any) -> ChatReply:
    """Return the reply in the JSON body of an answer. Raises UnusableAnswer where there is none, whatever the body is.

    One without text that says why is an empty reply with that `finish_reason`: asked again, it would be so again.
    """
    answer = mapping(body)
    if error := error_within(answer):
        raise _error(answer, *error)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise UnusableAnswer("the answer has no choices", *_tokens(answer, is_empty=True))
    choice = mapping(choices[0])
    replied = read_message(mapping(choice.get("message")), _text(choice.get("finish_reason")))
    if replied is None:
        raise UnusableAnswer("the answer has no content", *_tokens(answer, is_empty=True))
    text, finish_reason = replied
    return ChatReply(
        replace_lone_surrogates(text),
        first_token(choice.get("logprobs")),
        finish_reason,
        *_tokens(answer, is_empty=not text),
        served_model=_text(answer.get("model"))[:_MAX_NAME],
    )


_MAX_NAME = 200


def _error(answer: Mapping[str, Any], status: int, error: Any) -> UnusableAnswer:
    """Return the exception for an error that stands in the place of a reply, or beside the start of one."""
    tokens = _tokens(answer, is_empty=True)
    broke_off, line = bool(answer.get("choices")), error_reason(error) or "no reason given"
    if reason := refused_prompt(status, error):
        return PromptRefused(f"{reason} ({line})", *tokens, is_free=not broke_off and not any(tokens))
    return UnusableAnswer(f"{'the reply broke off' if broke_off else 'the answer is an error'}: {line}", *tokens)


def replace_lone_surrogates(text: str) -> str:
    """Replace each lone half of a surrogate pair by a question mark: JSON can hold one, no file of ours can."""
    return text.encode("utf-8", "replace").decode()


def _tokens(answer: Mapping[str, Any], *, is_empty: bool = False) -> tuple[int, int]:
    """Return the tokens of prompt and completion as the endpoint counts them; (0, 0) where it does not say.

    Some say -1 for what they do not know, and true, "12" or 0.5 are no counts. Only an empty reply has no tokens.
    """
    usage = mapping(answer.get("usage"))
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if _is_count(prompt, 1) and _is_count(completion, 0 if is_empty else 1):
        return prompt, completion
    return 0, 0


_MAX_TOKENS = 10**9
"""More than any conversation has: an endpoint that counts so many does not count."""


def _is_count(value: Any, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MAX_TOKENS


def _text(value: Any) -> str:
    return replace_lone_surrogates(value) if isinstance(value, str) else ""
