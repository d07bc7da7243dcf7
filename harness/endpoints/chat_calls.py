"""One request to an endpoint's /chat/completions: its answer, or what it means that none came."""

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from harness.endpoints.credentials import VARIABLE
from harness.endpoints.endpoint import (
    Problem,
    connection_problem,
    is_unreachable,
    problem_within,
    read_json,
    redacted_line,
    status_problem,
    was_sent,
)
from harness.endpoints.error_text import why_not_json
from harness.endpoints.protocol import ChatRequest
from harness.endpoints.reference import EndpointReference
from harness.endpoints.refusals import NO_ROOM, CommandOptions, advice_on, refused_parameter, refused_prompt
from harness.endpoints.retries import retry_after
from harness.endpoints.wire_format import PromptRefused, request_body
from harness.errors import UserError

if TYPE_CHECKING:
    from openai import APIConnectionError, AsyncOpenAI


class CallFailed(Exception):
    """An attempt that may succeed another time; the message says why it did not.

    `retry_after` are the seconds that the endpoint asks to wait, `is_limited` says whether it was asked too often,
    `is_unreachable` whether there was no connection to it, `is_free` whether it is certain that nothing was generated.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        is_limited: bool = False,
        is_unreachable: bool = False,
        is_free: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retry_after, self.is_limited, self.is_unreachable = retry_after, is_limited, is_unreachable
        self.is_free = is_free or is_unreachable


class ChatCalls:
    """The calls to an endpoint's /chat/completions, through the SDK's `client`."""

    def __init__(
        self,
        client: "AsyncOpenAI",
        reference: EndpointReference,
        key: str,
        timeout_seconds: float,
        options: CommandOptions,
    ) -> None:
        self._client, self._reference, self._key = client, reference, key
        self._timeout_seconds, self._options = timeout_seconds, options
        self.answers = 0
        """How many answers have come, of whichever kind."""

    async def answer(self, request: ChatRequest) -> Any:
        """Return the JSON body of the endpoint's answer.

        Raises CallFailed; PromptRefused where the endpoint would refuse the prompt again; and UserError where any
        other request would fare no better.
        """
        import openai

        from harness.endpoints.http_client import UnboundedAnswer

        body = json.dumps(request_body(self._reference, request)).encode()  # ASCII: half surrogate pairs pass as well
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._client.post("/chat/completions", cast_to=bytes, content=body)
        except TimeoutError:
            raise self._no_answer() from None
        except openai.APIConnectionError as error:
            raise self._no_connection(error) from None
        except openai.APIStatusError as error:
            self.answers += 1
            wait = retry_after(error.response.headers, time.time())
            raise self._refusal(status_problem(error, self._key), wait) from None
        except UnboundedAnswer as unbounded:
            self.answers += 1
            raise CallFailed(str(unbounded)) from None
        self.answers += 1
        return self._body(answer)

    def _body(self, answer: bytes) -> Any:
        """Return the value of an answer's JSON. Raises as `answer`."""
        try:
            body = read_json(answer, self._key)
        except ValueError:
            reason = why_not_json(answer.decode("utf-8", "replace"))
            raise CallFailed(redacted_line(reason, self._key)) from None
        if found := problem_within(body, self._key):
            raise self._refusal(found)
        return body

    def _no_answer(self, *, is_unreachable: bool = False) -> CallFailed:
        return CallFailed(f"no answer within {self._timeout_seconds:g} s", is_unreachable=is_unreachable)

    def _no_connection(self, error: "APIConnectionError") -> CallFailed:
        import openai

        if isinstance(error, openai.APITimeoutError):
            return self._no_answer(is_unreachable=is_unreachable(error))
        reason = f"the connection failed or was cut: {connection_problem(error, self._key)}"
        return CallFailed(reason, is_unreachable=is_unreachable(error), is_free=not was_sent(error))

    def _refusal(self, found: Problem, wait: float | None = None) -> CallFailed | PromptRefused | UserError:
        """Return the exception for an error answer: one that allows another attempt, after `wait` seconds, or none."""
        without = self._reference.without
        if reason := refused_prompt(found.status, found.body, without):
            return PromptRefused(f"{reason} ({found})", is_free=reason != NO_ROOM)
        refused = refused_parameter(found.status, found.parameter, found.message, without)
        if found.is_retryable and not refused:
            is_limited, is_free = found.status == 429, found.status < 500
            return CallFailed(str(found), retry_after=wait, is_limited=is_limited, is_free=is_free)
        advice = f" ({advice_on(refused, found.message, self._options)})" if refused else self._advice(found.status)
        return UserError(f"{self._reference} refuses (status {found.status}): {found.message}{advice}")

    def _advice(self, status: int) -> str:
        """Return what to check after a refusal that names no parameter to leave out."""
        if status in (401, 403):
            return f" (check {VARIABLE})"
        if status == 404:
            usual = "" if self._reference.base_url.endswith("/v1") else ": base URLs usually end in /v1"
            return f" (check {self._options.both}{usual})"
        return ""
