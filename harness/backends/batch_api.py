"""The calls to an OpenAI-compatible Batch API (platform.openai.com/docs/guides/batch)."""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

from harness.backends.credentials import VARIABLE, redact
from harness.backends.endpoint import endpoint_client, error_message, is_transient, may_pass, one_line, status_message
from harness.backends.judges import JudgeReference
from harness.backends.pace import Retries, retry_after
from harness.backends.refusals import refused_prompt
from harness.core.errors import UserError

if TYPE_CHECKING:
    from openai import APIStatusError
    from openai.types import Batch

T = TypeVar("T")

ENDPOINT: Final = "/v1/chat/completions"
MOST_REQUESTS = 50_000
"""In one input file."""
MOST_BYTES = 200_000_000
"""In one input file."""


@dataclass(frozen=True, slots=True)
class Row:
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

    def __init__(self, reference: JudgeReference, key: str, timeout_seconds: float, retries: Retries) -> None:
        self._reference, self._key, self._retries = reference, key, retries
        self._client = endpoint_client(reference, key, timeout_seconds)
        self._answered = False

    def upload(self, content: bytes) -> str:
        """The id of a new input file."""
        name = f"harness-{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl"
        return self._patiently(lambda: self._client.files.create(file=(name, content), purpose="batch").id)

    def create(self, file_id: str, *, first_attempt: bool) -> str:
        """The id of the one batch of the input file.

        After the first attempt, here or in a run that was killed, there may be one whose id never arrived.
        """
        batches = self._client.batches
        attempts = count(0 if first_attempt else 1)

        def find_or_create() -> str:
            if next(attempts):
                for batch in batches.list(limit=100):
                    if batch.input_file_id == file_id:
                        return batch.id
            return batches.create(input_file_id=file_id, endpoint=ENDPOINT, completion_window="24h").id

        return self._patiently(find_or_create)

    def batch(self, batch_id: str) -> "Batch":
        """The batch as it stands."""
        return self._patiently(lambda: self._client.batches.retrieve(batch_id))

    def rows(self, batch: "Batch") -> tuple[dict[str, Row], bool]:
        """The rows of an ended batch's output and errors by custom id, and whether all of them came."""
        completed = batch.request_counts.completed if batch.request_counts else 0
        errors, errors_whole = self._lines(batch.error_file_id, at_least=0)
        output, output_whole = self._lines(batch.output_file_id, at_least=completed)
        rows = {line["custom_id"]: self._row(line) for line in (*errors, *output)}
        return rows, errors_whole and output_whole

    def shown(self, text: str) -> str:
        """What the endpoint says, fit to be shown."""
        return one_line(text, self._key)

    def _lines(self, file_id: str | None, at_least: int) -> tuple[list[dict[str, Any]], bool]:
        """The lines of a file, and whether it came whole, which is tried as often as the retries say."""
        readable: list[dict[str, Any]] = []
        for attempt in range(1, self._retries.attempts + 1):
            content = self._patiently(lambda: self._client.files.content(file_id).content) if file_id else b""
            # not splitlines(), which also splits at characters that stand in the replies
            texts = redact(content.decode("utf-8", "replace"), self._key).split("\n")
            lines = [_parsed(text) for text in texts if text.strip()]
            readable = [line for line in lines if line is not None]
            if len(readable) == len(lines) and len(readable) >= at_least:
                return readable, True
            time.sleep(self._retries.delay(attempt, None, random.random()))
        return readable, False

    def _row(self, line: Mapping[str, Any]) -> Row:
        error, response = line.get("error"), line.get("response") or {}
        body, status = response.get("body") or {}, response.get("status_code")
        if status == 200 and not error:
            return Row(body)
        said = error_message(error or body, self._key)
        reason = f"status {status}: {said}" if status else said
        if of_prompt := refused_prompt(status if isinstance(status, int) else 400, error or body):
            return Row(failure=f"{of_prompt} ({reason})", is_of_prompt=True)
        refused = isinstance(status, int) and status >= 400 and not is_transient(status)
        return Row(failure=reason, refusal=reason if refused else "")

    def _patiently(self, call: Callable[[], T]) -> T:
        """What `call` returns. Raises UserError where it is refused, or goes on failing.

        A batch takes up to a day: once the endpoint has answered at all, it may be away for as long as the retries'
        patience.
        """
        from openai import APIConnectionError, APIResponseValidationError, APIStatusError

        started, attempt = time.monotonic(), 0
        while True:
            attempt += 1
            try:
                found = call()
            except (APIStatusError, APIConnectionError, APIResponseValidationError, ValueError) as error:
                failure, asked_to_wait = self._passing_failure(error)
            else:
                self._answered = True
                return found
            waited = time.monotonic() - started
            if waited > self._retries.patience or (not self._answered and attempt >= self._retries.attempts_to_connect):
                raise UserError(f"{self._reference}: the Batch API cannot be reached ({failure}); run again to go on")
            time.sleep(self._retries.delay(attempt, asked_to_wait, random.random()))

    def _passing_failure(self, error: Exception) -> tuple[str, float | None]:
        """Why a call failed that may succeed later, and the seconds that the endpoint asks to wait until then.

        Raises UserError for one that will not.
        """
        from openai import APIConnectionError, APIStatusError

        if isinstance(error, APIStatusError):
            self._answered = True
            if not may_pass(error):
                raise UserError(self._refusal(error)) from None
            return status_message(error, self._key), retry_after(error.response.headers, time.time())
        if isinstance(error, APIConnectionError):
            return type(error.__cause__ or error).__name__, None
        return "the answer is not JSON, or cut short", None

    def _refusal(self, error: "APIStatusError") -> str:
        advice = {
            401: f"check {VARIABLE}",
            403: f"check {VARIABLE}",
            404: "if it has no Batch API, drop --batch; if a batch is gone for good, delete its line from the run's"
            " *.batches.jsonl",
        }.get(error.status_code, "")
        said = f"{self._reference}: the Batch API refuses ({status_message(error, self._key)})"
        return f"{said}: {advice}" if advice else said


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("custom_id"), str) else None
