"""An OpenAI-compatible endpoint: the SDK's clients for it, what it says goes wrong, and which models it serves."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from harness.backends.chat_protocol import LONGEST_MESSAGE, whole_characters
from harness.backends.credentials import VARIABLE, api_key, redact
from harness.backends.hub import network_is_refused
from harness.backends.judge_models import is_local
from harness.backends.judges import JudgeReference
from harness.backends.refusals import said
from harness.core.errors import UserError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, OpenAI

CONNECT_SECONDS = 10.0
"""How long a connection may take to come about."""

_MOST_PAGES = 100


def endpoint_client(reference: JudgeReference, key: str, timeout_seconds: float) -> "OpenAI":
    """The SDK's synchronous client for the judge's endpoint; a server on this machine is not behind a proxy."""
    from openai import DefaultHttpxClient, OpenAI

    direct = DefaultHttpxClient(trust_env=False) if is_local(reference) else None
    return OpenAI(http_client=direct, **_settings(reference, key, timeout_seconds))


def async_endpoint_client(reference: JudgeReference, key: str, timeout_seconds: float) -> "AsyncOpenAI":
    """As `endpoint_client`, asynchronous."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    direct = DefaultAsyncHttpxClient(trust_env=False) if is_local(reference) else None
    return AsyncOpenAI(http_client=direct, **_settings(reference, key, timeout_seconds))


def _settings(reference: JudgeReference, key: str, timeout_seconds: float) -> dict[str, Any]:
    """Of both clients: without the SDK's retries, which know neither budget nor rate.

    Raises UserError for another machine where the network is refused.
    """
    from openai import Timeout

    if network_is_refused() and not is_local(reference):
        raise UserError(f"{reference} is on another machine, which --offline rules out; set HF_HUB_OFFLINE=1 instead")
    timeout = Timeout(timeout_seconds, connect=min(timeout_seconds, CONNECT_SECONDS))
    return {"api_key": key, "base_url": reference.base_url, "max_retries": 0, "timeout": timeout}


def may_pass(error: "APIStatusError") -> bool:
    """Whether an error answer may be followed by a better one; an account without credit stays without."""
    return is_transient(error.status_code) and "insufficient_quota" not in (error.code, error.type)


def is_transient(status: int) -> bool:
    """Whether a request that was answered with this HTTP status is worth sending again."""
    return status in (408, 409, 429) or status >= 500


def one_line(text: str, key: str) -> str:
    """What the endpoint says, fit to be shown and stored: on one line, not too long, and without the key."""
    line = " ".join(redact(whole_characters(text), key).split())
    return line if len(line) <= LONGEST_MESSAGE else line[:LONGEST_MESSAGE] + "…"


def error_message(body: Any, key: str) -> str:
    """What the body of an error answer says is wrong, in whichever of the usual places; as `one_line` shows it.

    `body` is the answer's text or the value of its JSON.
    """
    if isinstance(body, str):
        with suppress(ValueError):
            body = json.loads(body)
    return one_line(said(body), key) or "no reason given"


def status_message(error: "APIStatusError", key: str) -> str:
    """Status and message of an error answer, as `one_line` shows it."""
    return f"status {error.status_code}: {error_message(error.response.text, key)}"


class CannotList(Exception):
    """The endpoint does not say which models it serves; the message says why."""


def served_models(reference: JudgeReference, timeout_seconds: float) -> dict[str, Mapping[str, Any]]:
    """The entries of the endpoint's list of models, by id; no completion is asked for.

    Raises CannotList where there is none to be had, and UserError where the endpoint refuses the key or is not there.
    """
    import openai

    key = api_key(reference)
    client = endpoint_client(reference, key, timeout_seconds).with_options(max_retries=2)
    try:
        return {str(entry["id"]): entry for entry in _entries(client)}
    except openai.APIStatusError as error:
        if error.status_code in (401, 403):
            raise UserError(f"{reference} refuses the key: {status_message(error, key)} (check {VARIABLE})") from None
        raise CannotList(status_message(error, key)) from None
    except openai.APIConnectionError as error:
        reason = type(error.__cause__ or error).__name__
        raise UserError(
            f"{reference} cannot be reached ({reason}): check its base URL, and that its server runs"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CannotList("what it answers is not a list of models") from None


def _entries(client: "OpenAI") -> Iterator[Mapping[str, Any]]:
    """The entries of all pages."""
    after: dict[str, str] = {}
    for _ in range(_MOST_PAGES):
        page = json.loads(client.models.with_raw_response.list(extra_query=after).text)
        yield from page["data"]
        if not page.get("has_more") or not page["data"]:
            return
        after = {"after": page["data"][-1]["id"]}
