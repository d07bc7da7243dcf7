"""The chat-completions protocol: what a request sends, and what the answer to it says."""

from collections.abc import Mapping
from typing import Any

from harness.backends.answer_parts import first_token, read_message
from harness.backends.interfaces import ChatReply, ChatRequest, Message
from harness.backends.judges import JudgeReference
from harness.backends.refusals import error_within, refused_prompt, said

THINKING_TOKENS = 16_384
"""Room to think before the reply, for models that count both in `max_completion_tokens`: with less than they need they
reply nothing, and what they thought is paid for all the same. An upper bound; only tokens that are used cost."""

LONGEST_MESSAGE = 300
"""Characters of what an endpoint says that an error shows."""


class UnusableAnswer(Exception):
    """The endpoint answered, but there is no reply in it; with the tokens that it counts all the same, if it does."""

    def __init__(self, reason: str, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        super().__init__(reason)
        self.prompt_tokens, self.completion_tokens = prompt_tokens, completion_tokens


class PromptRefused(UnusableAnswer):
    """The endpoint refuses this very prompt, and would again; others it may take."""


def request_parameters(reference: JudgeReference, request: ChatRequest) -> dict[str, Any]:
    """What is sent beside the messages: the model and every parameter that the endpoint does not refuse."""
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


def request_body(reference: JudgeReference, request: ChatRequest) -> dict[str, Any]:
    """The whole JSON body of the request."""
    messages = [{"role": message.role, "content": message.content} for message in sent_messages(reference, request)]
    return {**request_parameters(reference, request), "messages": messages}


def sent_messages(reference: JudgeReference, request: ChatRequest) -> tuple[Message, ...]:
    """The conversation as it is sent: for a model that refuses system turns, their text stands before the user's."""
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


def longest_reply(reference: JudgeReference, request: ChatRequest) -> int:
    """The most tokens that a reply to the request can be charged for."""
    return request.max_tokens + (THINKING_TOKENS if "max_tokens" in reference.without else 0)


def read_answer(body: Any) -> ChatReply:
    """The reply in the JSON body of an answer. Raises UnusableAnswer where there is none.

    One without text that says why is an empty reply with that `finish_reason`: asked again, it would be so again.
    """
    answer = _mapping(body)
    usage = _mapping(answer.get("usage"))
    tokens = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if error := error_within(answer):
        raise _unusable(*error, tokens)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise UnusableAnswer("the answer has no choices", *tokens)
    choice = _mapping(choices[0])
    replied = read_message(_mapping(choice.get("message")), choice.get("finish_reason"))
    if replied is None:
        raise UnusableAnswer("the answer has no content", *tokens)
    text, finish_reason = replied
    return ChatReply(whole_characters(text), first_token(choice.get("logprobs")), finish_reason, *tokens)


def _unusable(status: int, error: Any, tokens: tuple[int, int]) -> UnusableAnswer:
    """What an error means that stands in the place of a reply."""
    line = " ".join(whole_characters(said(error)).split())[:LONGEST_MESSAGE]
    if reason := refused_prompt(status, error):
        return PromptRefused(f"{reason} ({line})", *tokens)
    return UnusableAnswer(f"the answer is an error: {line or 'no reason given'}", *tokens)


def whole_characters(text: str) -> str:
    """`text` with a question mark for each half of a surrogate pair, which JSON can hold and no file of ours can."""
    return text.encode("utf-8", "replace").decode()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) else 0
