"""An OpenAI-compatible endpoint: the SDK's clients for it, what it says goes wrong, and which models it serves."""

import asyncio
import json
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from harness.endpoints.credentials import VARIABLE, api_key, redact, redacted
from harness.endpoints.error_text import error_reason, error_within
from harness.endpoints.known_models import is_local
from harness.endpoints.reference import EndpointReference
from harness.endpoints.refusals import error_texts
from harness.endpoints.wire_format import replace_lone_surrogates
from harness.errors import UserError
from harness.network import network_is_refused

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI

T = TypeVar("T")

CONNECT_SECONDS = 10.0
"""How long a connection may take to come about."""

_MAX_MESSAGE = 300
_MAX_PAGES = 100
_MAX_LIST_BYTES = 2**24


def endpoint_client(
    reference: EndpointReference, key: str, timeout_seconds: float, most_bytes: int, whole_seconds: float | None = None
) -> "AsyncOpenAI":
    """Return the SDK's client for the endpoint, without its retries, which know neither budget nor rate.

    An answer has at most `most_bytes` (decompressed), and comes within `whole_seconds` (None: the caller ends what
    takes too long). A server on this machine is not behind a proxy; SSL_CERT_FILE still says whom to trust. Raises
    UserError for another machine where the network is refused.
    """
    from openai import AsyncOpenAI, Timeout

    from harness.endpoints.http_client import BoundedClient

    if network_is_refused() and not is_local(reference):
        raise UserError(f"{reference} is on another machine, which --offline rules out; set HF_HUB_OFFLINE=1 instead")
    direct = {"trust_env": False, "verify": ssl.create_default_context()} if is_local(reference) else {}
    client = BoundedClient(str(reference), key, most_bytes, whole_seconds, **direct)
    timeout = Timeout(timeout_seconds, connect=min(0.9 * timeout_seconds, CONNECT_SECONDS))
    return AsyncOpenAI(http_client=client, api_key=key, base_url=reference.base_url, max_retries=0, timeout=timeout)


def ask(client: "AsyncOpenAI", call: Callable[["AsyncOpenAI"], Awaitable[T]]) -> T:
    """Return what `call` gets of the endpoint, for a caller that is not asynchronous; closes the client."""

    async def asked() -> T:
        async with client:
            return await call(client)

    return asyncio.run(asked())


@dataclass(frozen=True, slots=True)
class Problem:
    """The content of an error answer: HTTP status, message, refused `parameter` ("" for none), and its `body`.

    Message and parameter are fit to be printed; the body is the value of the answer's JSON, or its text.
    """

    status: int
    message: str
    parameter: str = ""
    body: Any = None

    @property
    def is_retryable(self) -> bool:
        """Whether a better answer may follow; an account without credit stays without."""
        return is_transient(self.status) and not any(map(_NO_CREDIT.match, error_texts(self.body)))

    def __str__(self) -> str:
        return f"status {self.status}: {self.message}"


_NO_CREDIT = re.compile(r"insufficient_|billing_|credits?_(exhausted|depleted)|out_of_credits?|budget_exceeded")
"""How the code of such an account begins."""


def problem(status: int, body: Any, key: str) -> Problem:
    """Return what an error answer says. `body` is the answer's text, or the value of its JSON."""
    if isinstance(body, str):
        with suppress(ValueError):
            body = read_json(body, key)
    message = redacted_line(error_reason(body), key) or "no reason given"
    return Problem(status, message, redacted_line(_parameter(body), key), body)


def _parameter(body: Any) -> str:
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    error = body.get("error") if isinstance(body, Mapping) else None
    fields = error if isinstance(error, Mapping) else body
    named = fields.get("param") if isinstance(fields, Mapping) else None
    return named if isinstance(named, str) else ""


def problem_within(body: Any, key: str) -> Problem | None:
    """Return what an answer that came with success says to have gone wrong instead, as routers in between do.

    None where it holds a choice, or names no status of an error.
    """
    found = error_within(body)
    if found is None or found[0] < 400 or body.get("choices"):
        return None
    return problem(found[0], body, key)


def read_json(content: str | bytes, key: str) -> Any:
    """Return the value of an answer's JSON, the key struck out of all its texts. Raises ValueError where it is none."""
    text = content if isinstance(content, str) else content.decode("utf-8-sig", "replace")
    try:
        return redacted(json.loads(text), key)
    except RecursionError:
        raise ValueError("nested too deep") from None


def is_transient(status: int) -> bool:
    """Return whether a request that was answered with this HTTP status is worth sending again."""
    return status in (408, 409, 429) or status >= 500


def redacted_line(text: str, key: str) -> str:
    """Format what the endpoint says for messages and records: on one line, not too long, without the key."""
    line = " ".join(redact(replace_lone_surrogates(text), key).split())
    return line if len(line) <= _MAX_MESSAGE else line[:_MAX_MESSAGE] + "…"


def status_problem(error: "APIStatusError", key: str) -> Problem:
    """Return what an error answer of the SDK says."""
    return problem(error.status_code, error.response.text, key)


def connection_problem(error: "APIConnectionError", key: str) -> str:
    """Return why there is no answer: what the system, or TLS, says of the connection."""
    cause = error.__cause__ or error
    reason = _TLS_NOISE.sub("", str(cause)).strip()
    if "certificate verify failed" in reason:
        reason += "; SSL_CERT_FILE names the authorities to trust"
    return redacted_line(reason, key) or type(cause).__name__


_TLS_NOISE = re.compile(r"\[(?:SSL|X509)[^\]]*\] ?| ?\(_ssl\.c:\d+\)")


def is_unreachable(error: "APIConnectionError") -> bool:
    """Return whether no connection came about; by name, since the SDK has changed its HTTP library before."""
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol")


def was_sent(error: "APIConnectionError") -> bool:
    """Return whether the endpoint may have got the request, and have worked on it."""
    return not is_unreachable(error) and type(error.__cause__).__name__ != "PoolTimeout"


class CannotList(Exception):
    """The endpoint does not say which models it serves; the message says why."""


def served_models(reference: EndpointReference, timeout_seconds: float) -> dict[str, Mapping[str, Any]]:
    """Return the entries of the endpoint's list of models, by id; no completion is asked for.

    Raises CannotList where there is none to be had, and UserError where the endpoint refuses the key or is not there.
    """
    import openai

    from harness.endpoints.http_client import UnboundedAnswer

    key = api_key(reference)
    client = endpoint_client(reference, key, timeout_seconds, _MAX_LIST_BYTES, timeout_seconds)
    try:
        entries = ask(client.with_options(max_retries=2), partial(_entries, key=key))
        return {redacted_line(str(entry["id"]), key): entry for entry in entries}
    except openai.APIStatusError as error:
        found = status_problem(error, key)
        if error.status_code in (401, 403):
            raise UserError(f"{reference} refuses the key: {found} (check {VARIABLE})") from None
        raise CannotList(str(found)) from None
    except openai.APIConnectionError as error:
        reason = connection_problem(error, key)
        raise UserError(
            f"{reference} cannot be reached ({reason}): check its base URL, and that its server runs"
        ) from None
    except UnboundedAnswer as unbounded:
        raise CannotList(str(unbounded)) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CannotList("what it answers is not a list of models") from None


async def _entries(client: "AsyncOpenAI", key: str) -> list[Mapping[str, Any]]:
    """Return the entries of all pages."""
    entries: list[Mapping[str, Any]] = []
    after: dict[str, str] = {}
    for _ in range(_MAX_PAGES):
        answer = await client.models.with_raw_response.list(extra_query=after)
        page = read_json(answer.content, key)
        entries += page["data"]
        if not page.get("has_more") or not page["data"]:
            break
        after = {"after": page["data"][-1]["id"]}
    return entries
