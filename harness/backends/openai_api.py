"""Judges and teachers behind an OpenAI-compatible endpoint, asked one request at a time through /chat/completions."""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backends.background import in_background
from harness.backends.chat_protocol import (
    UnusableAnswer,
    longest_reply,
    most_answer_bytes,
    read_answer,
    request_body,
)
from harness.backends.cost import Budget, Reservation, TokenCounter
from harness.backends.credentials import VARIABLE, api_key
from harness.backends.endpoint import (
    Problem,
    async_endpoint_client,
    connection_problem,
    is_unreachable,
    one_line,
    problem_within,
    read_json,
    status_problem,
    was_sent,
)
from harness.backends.error_text import why_not_json
from harness.backends.interfaces import CallFailure, ChatReply, ChatRequest
from harness.backends.judge_models import REFUSABLE
from harness.backends.judges import JudgeReference, print_note
from harness.backends.model_note import ModelNote
from harness.backends.pace import Rate, Retries, Silence, retry_after
from harness.backends.replies import RecordedReplies
from harness.core.errors import UserError
from harness.core.files import no_room
from harness.core.limits import Limits

if TYPE_CHECKING:
    from openai import APIConnectionError

Outcome = tuple[ChatRequest, ChatReply | CallFailure]
Put = Callable[[Outcome | str], None]

_TELLING_SECONDS = 1.0

_REFUSABLE = re.compile(rf"\b(?:top_)?({'|'.join(REFUSABLE)})\b")
_REFUSAL = re.compile(r"support|recogni|unknown|unexpected|not (?:allowed|permitted)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user has said of the model that is asked, by name of option: what errors advise to look at."""

    model: str = "--judge-model"
    base_url: str = "--judge-base-url"
    refusal: str = "pass --judge-without {parameter}: a verdict's judge is then named without it"
    """How to leave a parameter out that the model refuses."""

    @property
    def both(self) -> str:
        """Those that name model and endpoint."""
        return " and ".join(dict.fromkeys((self.model, self.base_url)))


class OpenAIJudge:
    """A judge at an OpenAI-compatible endpoint. Replies are recorded in the folder `kept`, and asked for only once."""

    def __init__(
        self,
        reference: JudgeReference,
        limits: Limits,
        kept: Path,
        retries: Retries | None = None,
        options: Options | None = None,
        note: Callable[[str], None] = print_note,
    ) -> None:
        """`note` hears what the user should know while replies are waited for.

        Raises UserError where the endpoint's key is missing from the environment.
        """
        self.name, self._options, self._note = reference.model, options or Options(), note
        self._reference, self._limits, self._retries = reference, limits, retries or Retries()
        self._key = api_key(reference)
        self._model_note = ModelNote(reference, note)
        self._record = RecordedReplies(kept, reference, limits.run_id, on_budget=limits.max_usd is not None)

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply | CallFailure]]:
        """As the Judge protocol says; recorded replies come first. Waits while another step asks the same judge."""
        places: dict[ChatRequest, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(request, []).append(place)
        there = 0
        try:
            with self._record, closing(self._outcomes(list(places))) as outcomes:
                for request, reply in outcomes:
                    if isinstance(reply, ChatReply):
                        there += len(places[request])
                        self._model_note.hear(reply.served_model)
                    for place in places[request]:
                        yield place, reply
        except UserError as stop:
            raise UserError(f"{stop}; {there} of {len(requests)} replies are there and kept") from None
        except OSError as error:
            raise no_room(error, self._record.path) or error from None

    def reject(self, request: ChatRequest) -> None:
        """As the Judge protocol says."""
        self._record.reject(request)

    def _outcomes(self, requests: Sequence[ChatRequest]) -> Generator[Outcome, None, None]:
        missing = []
        for request in requests:
            reply = self._record.get(request)
            if reply is None:
                missing.append(request)
            else:
                yield request, reply
        if missing:
            budget = Budget(self._reference, self._limits.max_usd, self._record.spent())
            asking = _Asking(
                self._reference, self._key, self._limits, self._retries, self._record, budget, self._options
            )
            for outcome in in_background(partial(asking.run, missing)):
                if isinstance(outcome, str):
                    self._note(outcome)
                else:
                    yield outcome


class _Failed(Exception):
    """An attempt that may succeed another time; the message says why it did not.

    `retry_after` are the seconds that the endpoint asks to wait, `limited` says whether it was asked too often,
    `unreachable` whether there was no connection to it, `free` whether it is certain that nothing was generated.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        limited: bool = False,
        unreachable: bool = False,
        free: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retry_after, self.limited, self.unreachable = retry_after, limited, unreachable
        self.free = free or unreachable


class _Stopped(Exception):
    """Nothing more is to be asked."""


class _Asking:
    """Asks an endpoint for the replies to distinct requests."""

    def __init__(
        self,
        reference: JudgeReference,
        key: str,
        limits: Limits,
        retries: Retries,
        record: RecordedReplies,
        budget: Budget,
        options: Options,
    ) -> None:
        self._reference, self._key, self._limits = reference, key, limits
        self._retries, self._record, self._budget, self._options = retries, record, budget, options
        self._request_rate = Rate(limits.requests_per_minute)
        self._token_rate = Rate(limits.tokens_per_minute)
        self._counter = TokenCounter(reference)
        self._given_up = 0
        self._answers = 0
        self._landed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stop: Exception | None = None
        self._silence = Silence(time.monotonic())
        self._last_failure = ""

    async def run(self, requests: Sequence[ChatRequest], put: Put) -> None:
        """Hands each outcome to `put`, and lines for the user. What stops the run is raised once all in flight has
        landed, and is recorded."""
        pending = iter(requests)
        most_bytes = max(most_answer_bytes(self._reference, request) for request in requests)
        client = async_endpoint_client(self._reference, self._key, self._limits.timeout_seconds, most_bytes)
        async with client as self._endpoint:
            workers = min(self._limits.concurrency, len(requests))
            telling = asyncio.create_task(self._tell_of_silence(put))
            try:
                await asyncio.gather(*(self._work(pending, put) for _ in range(workers)))
            finally:
                telling.cancel()
        if self._stop is not None:
            raise self._stop

    async def _tell_of_silence(self, put: Put) -> None:
        """Hands `put` a line when no reply has come for long, and why, as far as the endpoint has said."""
        while True:
            await asyncio.sleep(_TELLING_SECONDS)
            lasted = self._silence.to_tell(time.monotonic()) if self._last_failure else None
            if lasted is not None:
                put(
                    f"{self._reference} has given no reply for {lasted:.0f} s: {self._last_failure}; asking on (for"
                    f" {self._retries.patience / 60:.0f} min in all where it answers 429)"
                )

    async def _work(self, pending: Iterator[ChatRequest], put: Put) -> None:
        for request in pending:
            try:
                put((request, await self._outcome(request)))
            except _Stopped:
                return
            except Exception as error:
                self._stop = self._stop or error
                self._stopped.set()
                return

    async def _outcome(self, request: ChatRequest) -> ChatReply | CallFailure:
        """The reply, or why there is none after all retries. Raises UserError when going on makes no sense."""
        started, answers, failed, limited = time.monotonic(), self._answers, 0, 0
        while True:
            try:
                return await self._paid_attempt(request)
            except _Failed as failure:
                self._last_failure = str(failure)
                failed += 1
                limited += failure.limited
                self._stop_if_hopeless(failure, failed, reached=self._answers > answers)
                waited = time.monotonic() - started
                if failed - limited >= self._retries.attempts or (failure.limited and waited > self._retries.patience):
                    reason = f"{failure} (after {failed} attempts)"
                    self._stop_if_useless(reason)
                    return CallFailure(reason)
                delay = self._retries.delay(failed, failure.retry_after, random.random())
            await self._sleep(delay)

    def _stop_if_hopeless(self, failure: _Failed, failed: int, *, reached: bool) -> None:
        """Raises UserError where the endpoint asks to wait for too long, or is not there."""
        if failure.retry_after is not None and failure.retry_after > self._retries.longest_wait:
            raise UserError(f"{self._reference} asks to wait {failure.retry_after:.0f} s ({failure}): run again then")
        attempts = self._retries.attempts if self._answers else self._retries.attempts_to_connect
        if failure.unreachable and not reached and failed >= attempts:
            raise UserError(
                f"{self._reference} cannot be reached ({failure}): check {self._options.base_url}, and that its server"
                " runs"
            )

    def _stop_if_useless(self, reason: str) -> None:
        """Raises UserError where this run has got no reply, and the first requests were given up, lately for `reason`:
        the others would fare no better."""
        self._given_up += 1
        if not self._record.added and self._given_up >= self._retries.requests_to_convince:
            raise UserError(
                f"{self._reference} gives no usable reply, not one to the first {self._given_up} requests: {reason};"
                f" check {self._options.base_url}, and what its server logs"
            )

    async def _paid_attempt(self, request: ChatRequest) -> ChatReply:
        """One attempt within rate and budget, its reply recorded. Raises _Failed, _Stopped or UserError."""
        await self._await_turn(request)
        reservation = await self._reserve(request)
        try:
            body = await self._answer(request)
        except BaseException as error:
            self._settle_unread(request, reservation, error)
            raise
        finally:
            self._landed.set()
        return self._keep(request, reservation, body)

    def _settle_unread(self, request: ChatRequest, reservation: Reservation, error: BaseException) -> None:
        """Charges for a request that no whole answer came to, unless it is certain that nothing was generated."""
        if isinstance(error, UserError) or (isinstance(error, _Failed) and error.free):
            self._budget.release(reservation)
        else:
            self._charge_without_reply(request, reservation, UnusableAnswer(str(error) or "broken off"))

    def _keep(self, request: ChatRequest, reservation: Reservation, body: Any) -> ChatReply:
        """The reply in the body of an answer, recorded. Raises _Failed where there is none."""
        try:
            reply = read_answer(body)
        except UnusableAnswer as unusable:
            self._charge_without_reply(request, reservation, unusable)
            raise _Failed(one_line(str(unusable), self._key)) from None
        usd = self._budget.settle(reservation, reply.prompt_tokens, reply.completion_tokens)
        self._record.add(request, reply, usd)
        self._silence.end(time.monotonic())
        return reply

    def _charge_without_reply(self, request: ChatRequest, reservation: Reservation, unusable: UnusableAnswer) -> None:
        usd = self._budget.settle(reservation, unusable.prompt_tokens, unusable.completion_tokens)
        if usd or unusable.prompt_tokens:
            self._record.add_unusable(request, one_line(str(unusable), self._key), unusable, usd)

    async def _await_turn(self, request: ChatRequest) -> None:
        """Waits as the rates ask. Raises _Stopped."""
        now = time.monotonic()
        wait = self._request_rate.wait(1, now)
        if self._limits.tokens_per_minute:
            tokens = self._counter.count(request.messages) + longest_reply(self._reference, request)
            wait = max(wait, self._token_rate.wait(tokens, now))
        await self._sleep(wait)

    async def _sleep(self, seconds: float) -> None:
        """Raises _Stopped, at once or as soon as it is so, when nothing more is to be asked."""
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), seconds)
        if self._stopped.is_set():
            raise _Stopped

    async def _reserve(self, request: ChatRequest) -> Reservation:
        """Sets money aside; while others are in flight, that there is too little left is not certain yet."""
        while True:
            try:
                return self._budget.reserve(request)
            except UserError:
                if not self._budget.in_flight:
                    raise
            self._landed.clear()
            await self._landed.wait()
            await self._sleep(0)

    async def _answer(self, request: ChatRequest) -> Any:
        """The JSON body of the endpoint's answer. Raises _Failed, or UserError where a retry makes no sense."""
        import openai

        from harness.backends.http_clients import UnboundedAnswer

        body = json.dumps(request_body(self._reference, request)).encode()  # ASCII: half surrogate pairs pass as well
        try:
            async with asyncio.timeout(self._limits.timeout_seconds):
                answer = await self._endpoint.post("/chat/completions", cast_to=bytes, content=body)
        except TimeoutError:
            raise self._no_answer() from None
        except openai.APIConnectionError as error:
            raise self._no_connection(error) from None
        except openai.APIStatusError as error:
            self._answers += 1
            wait = retry_after(error.response.headers, time.time())
            raise self._refusal(status_problem(error, self._key), wait) from None
        except UnboundedAnswer as unbounded:
            self._answers += 1
            raise _Failed(str(unbounded)) from None
        self._answers += 1
        return self._body(answer)

    def _body(self, answer: bytes) -> Any:
        """The value of an answer's JSON. Raises as `_answer`."""
        try:
            body = read_json(answer, self._key)
        except ValueError:
            reason = why_not_json(answer.decode("utf-8", "replace"))
            raise _Failed(one_line(reason, self._key)) from None
        if found := problem_within(body, self._key):
            raise self._refusal(found)
        return body

    def _no_answer(self, *, unreachable: bool = False) -> _Failed:
        return _Failed(f"no answer within {self._limits.timeout_seconds:g} s", unreachable=unreachable)

    def _no_connection(self, error: "APIConnectionError") -> _Failed:
        import openai

        if isinstance(error, openai.APITimeoutError):
            return self._no_answer(unreachable=is_unreachable(error))
        reason = f"the connection failed or was cut: {connection_problem(error, self._key)}"
        return _Failed(reason, unreachable=is_unreachable(error), free=not was_sent(error))

    def _refusal(self, found: Problem, wait: float | None = None) -> _Failed | UserError:
        """What an error answer means: another attempt, after `wait` seconds where it asks for them, or the end."""
        if found.may_pass:
            return _Failed(str(found), retry_after=wait, limited=found.status == 429, free=found.status < 500)
        advice = self._advice(found.status, found.parameter, found.message)
        return UserError(f"{self._reference} refuses (status {found.status}): {found.message}{advice}")

    def _advice(self, status: int, parameter: str, message: str) -> str:
        """How to mend a refusal."""
        if status in (401, 403):
            return f" (check {VARIABLE})"
        if status == 404:
            usual = "" if self._reference.base_url.endswith("/v1") else ": base URLs usually end in /v1"
            return f" (check {self._options.both}{usual})"
        refused = _REFUSABLE.search(parameter or message)
        if status in (400, 422) and refused and _REFUSAL.search(message):
            return f" ({self._options.refusal.format(parameter=refused[1])})"
        return ""
