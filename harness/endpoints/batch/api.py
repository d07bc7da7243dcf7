"""The calls to an OpenAI-compatible Batch API (platform.openai.com/docs/guides/batch)."""

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

from harness.endpoints.credentials import VARIABLE
from harness.endpoints.endpoint import (
    Problem,
    ask,
    connection_problem,
    endpoint_client,
    is_transient,
    problem,
    read_json,
    redacted_line,
    status_problem,
)
from harness.endpoints.judges import print_note
from harness.endpoints.pacing import Silence
from harness.endpoints.reference import EndpointReference
from harness.endpoints.refusals import refused_prompt
from harness.endpoints.retries import Retries, retry_after
from harness.errors import UserError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import Batch

T = TypeVar("T")

ENDPOINT: Final = "/v1/chat/completions"
MAX_REQUESTS = 50_000
"""In one input file."""
MAX_BYTES = 200_000_000
"""In one input file."""
_MAX_BATCHES = 10_000
"""That are looked through, the latest first: some servers give the same page again and again."""
_MAX_ANSWER_BYTES = 2**24
"""Of what is no file: a batch, a list of batches."""
_MAX_FILE_BYTES, _MAX_FILE_SECONDS = 2**31, 3600.0
"""Of a batch's output."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One line of an output or error file: the answer's body, or why there is none.

    `refusal` repeats `failure` where the endpoint refused the request itself, and would do so again; `is_of_prompt`
    says that it refused this very prompt, and not what all requests have in common.
    """

    body: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""
    refusal: str = ""
    is_of_prompt: bool = False


class BatchApi:
    """The calls to the Batch API, each repeated while its failure may pass."""

    def __init__(
        self,
        reference: EndpointReference,
        key: str,
        timeout_seconds: float,
        retries: Retries,
        note: Callable[[str], None] = print_note,
    ) -> None:
        self._reference, self._key, self._retries, self._note = reference, key, retries, note
        self._timeout_seconds = timeout_seconds
        self._answered = False

    def upload(self, content: bytes) -> str:
        """Return the id of a new input file."""
        name = f"harness-{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl"

        async def create(client: "AsyncOpenAI") -> str:
            return self._id(await client.files.create(file=(name, content), purpose="batch"))

        return self._with_retries(create)

    def create(self, file_id: str, *, first_attempt: bool) -> str:
        """Return the id of the one batch of the input file.

        After the first attempt, here or in a run that was killed, there may be one whose id never arrived.
        """
        attempts = count(0 if first_attempt else 1)

        async def find_or_create(client: "AsyncOpenAI") -> str:
            left = _MAX_BATCHES
            if next(attempts):
                async for batch in client.batches.list(limit=100):
                    left -= 1
                    if batch.input_file_id == file_id:
                        return self._id(batch)
                    if not left:
                        break
            made = await client.batches.create(input_file_id=file_id, endpoint=ENDPOINT, completion_window="24h")
            return self._id(made)

        return self._with_retries(find_or_create)

    def batch(self, batch_id: str) -> "Batch":
        """Return the batch as it stands."""

        async def retrieve(client: "AsyncOpenAI") -> "Batch":
            batch = await client.batches.retrieve(batch_id)
            if self._id(batch) != batch_id or not isinstance(batch.status, str):
                raise ValueError(f"not the batch {batch_id}")
            return batch

        return self._with_retries(retrieve)

    def rows(self, batch: "Batch") -> tuple[dict[str, BatchRow], bool]:
        """Return the rows of an ended batch's output and errors by custom id, and whether all of them came."""
        completed = getattr(batch.request_counts, "completed", 0)
        at_least = completed if isinstance(completed, int) else 0
        errors, errors_whole = self._lines(batch.error_file_id, 0)
        output, output_whole = self._lines(batch.output_file_id, at_least)
        rows = {line["custom_id"]: self._row(line) for line in (*errors, *output)}
        return rows, errors_whole and output_whole

    def redacted(self, text: str) -> str:
        """Format what the endpoint says for messages: one line, without the key."""
        return redacted_line(text, self._key)

    def _id(self, made: Any) -> str:
        """Return the id of what the endpoint has made. Raises ValueError where it has none that can be written down."""
        if not isinstance(made.id, str) or not made.id or redacted_line(made.id, self._key) != made.id:
            raise ValueError("no id")
        return made.id

    def _lines(self, file_id: str | None, at_least: int) -> tuple[list[dict[str, Any]], bool]:
        """Return the lines of a file, and whether it came whole, which is tried as often as the retries say."""
        readable: list[dict[str, Any]] = []
        for attempt in range(1, self._retries.attempts + 1):
            content = self._content(file_id) if file_id else b""
            # not splitlines(), which also splits at characters that stand in the replies
            texts = content.decode("utf-8", "replace").split("\n")
            lines = [self._parsed(text) for text in texts if text.strip()]
            readable = [line for line in lines if line is not None]
            if len(readable) == len(lines) and len(readable) >= at_least:
                return readable, True
            time.sleep(self._retries.delay(attempt, None, random.random()))
        return readable, False

    def _content(self, file_id: str) -> bytes:
        async def load(client: "AsyncOpenAI") -> bytes:
            return (await client.files.content(file_id)).content

        return self._with_retries(load, is_file=True)

    def _parsed(self, line: str) -> dict[str, Any] | None:
        try:
            row = read_json(line, self._key)
        except ValueError:
            return None
        return row if isinstance(row, dict) and isinstance(row.get("custom_id"), str) else None

    def _row(self, line: Mapping[str, Any]) -> BatchRow:
        error, response = line.get("error"), line.get("response")
        response = response if isinstance(response, Mapping) else {}
        body, status = response.get("body"), response.get("status_code")
        if status == 200 and not error:
            return BatchRow(body if isinstance(body, Mapping) else {})
        found = problem(status if isinstance(status, int) else 0, error or body, self._key)
        reason = str(found) if found.status else found.message
        if of_prompt := refused_prompt(found.status or 400, found.body, self._reference.without):
            return BatchRow(failure=f"{of_prompt} ({reason})", is_of_prompt=True)
        is_refusal = found.status >= 400 and not is_transient(found.status)
        return BatchRow(failure=reason, refusal=reason if is_refusal else "")

    def _with_retries(self, call: Callable[["AsyncOpenAI"], Awaitable[T]], *, is_file: bool = False) -> T:
        """Return what `call` gets, repeating it while its failure is retryable.

        Raises UserError where it is refused, or goes on failing.

        A batch takes up to a day: once the endpoint has answered at all, it may be away for as long as the retries'
        patience.
        """
        from openai import APIConnectionError, APIResponseValidationError, APIStatusError

        from harness.endpoints.http_client import UnboundedAnswer

        failures = (APIStatusError, APIConnectionError, APIResponseValidationError, UnboundedAnswer)
        of_no_batch_api = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
        bounds = (_MAX_FILE_BYTES, _MAX_FILE_SECONDS) if is_file else (_MAX_ANSWER_BYTES, self._timeout_seconds)
        started, attempt = time.monotonic(), 0
        silence = Silence(started)
        while True:
            attempt += 1
            try:
                found = ask(endpoint_client(self._reference, self._key, self._timeout_seconds, *bounds), call)
            except (*failures, *of_no_batch_api) as error:
                failure, asked_to_wait = self._retryable_failure(error)
            else:
                self._answered = True
                return found
            waited = time.monotonic() - started
            if waited > self._retries.patience or (not self._answered and attempt >= self._retries.attempts_to_connect):
                raise UserError(f"{self._reference}: the Batch API cannot be reached ({failure}); run again to go on")
            if silence.to_tell(time.monotonic()) is not None:
                self._note(f"{self._reference}: the Batch API does not answer as it should: {failure}; asking on")
            time.sleep(self._retries.delay(attempt, asked_to_wait, random.random()))

    def _retryable_failure(self, error: Exception) -> tuple[str, float | None]:
        """Return why a call failed that may succeed later, and the seconds that the endpoint asks to wait until then.

        Raises UserError for one that will not.
        """
        from openai import APIConnectionError, APIStatusError

        from harness.endpoints.http_client import UnboundedAnswer

        if isinstance(error, APIStatusError):
            self._answered = True
            found = status_problem(error, self._key)
            if not found.is_retryable:
                raise UserError(self._refusal(found)) from None
            return str(found), retry_after(error.response.headers, time.time())
        if isinstance(error, APIConnectionError):
            return connection_problem(error, self._key), None
        if isinstance(error, UnboundedAnswer):
            return str(error), None
        return "the answer is not JSON, or cut short", None

    def _refusal(self, found: Problem) -> str:
        advice = {
            401: f"check {VARIABLE}",
            403: f"check {VARIABLE}",
            404: "if it has no Batch API, drop --batch; if a batch is gone for good, delete its line from the run's"
            " *.batches.jsonl",
        }.get(found.status, "")
        text = f"{self._reference}: the Batch API refuses ({found})"
        return f"{text}: {advice}" if advice else text
