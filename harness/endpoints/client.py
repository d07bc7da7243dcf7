"""Judges and teachers behind an OpenAI-compatible endpoint, asked one request at a time through /chat/completions."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from harness.endpoints.chat_calls import CallFailed, ChatCalls
from harness.endpoints.cost import Budget, Reservation, TokenCounter
from harness.endpoints.credentials import api_key
from harness.endpoints.endpoint import endpoint_client, redacted_line
from harness.endpoints.judges import print_note
from harness.endpoints.pacing import Rate, Silence
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest
from harness.endpoints.reference import EndpointReference
from harness.endpoints.refusals import CommandOptions
from harness.endpoints.reply_cache import RecordedReplies
from harness.endpoints.reply_faults import FailureTally, usable
from harness.endpoints.retries import Retries
from harness.endpoints.wire_format import PromptRefused, UnusableAnswer, longest_reply, most_answer_bytes, parse_reply
from harness.engine.limits import Limits
from harness.errors import UserError
from harness.files import disk_full_error

T = TypeVar("T")
RequestOutcome = tuple[ChatRequest, ChatReply | CallFailure]
Put = Callable[[RequestOutcome | str], None]

_SILENCE_CHECK_SECONDS = 1.0


class OpenAIJudge:
    """A judge at an OpenAI-compatible endpoint. Replies are recorded in the folder `kept`, and asked for only once."""

    def __init__(
        self,
        reference: EndpointReference,
        limits: Limits,
        reply_cache: Path,
        retries: Retries | None = None,
        options: CommandOptions | None = None,
        note: Callable[[str], None] = print_note,
    ) -> None:
        """Prepare to ask; `note` receives lines for the user while replies are waited for.

        Raises UserError where the endpoint's key is missing from the environment.
        """
        self.name, self._options, self._note = reference.model, options or CommandOptions(), note
        self._reference, self._limits, self._retries = reference, limits, retries or Retries()
        self._key = api_key(reference)
        self._record = RecordedReplies(reply_cache, reference, limits.run_id, on_budget=limits.max_usd is not None)

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply | CallFailure]]:
        """Implement `Judge.replies`: recorded replies come first. Waits while another step asks the same judge."""
        places: dict[ChatRequest, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(request, []).append(place)
        there = 0
        try:
            with self._record, closing(self._outcomes(list(places))) as outcomes:
                for request, reply in outcomes:
                    if isinstance(reply, ChatReply) or reply.is_of_model:
                        there += len(places[request])
                    for place in places[request]:
                        yield place, reply
        except UserError as stop:
            raise UserError(f"{stop}; {there} of {len(requests)} replies are recorded") from None
        except OSError as error:
            raise disk_full_error(error, self._record.path) or error from None

    def reject(self, request: ChatRequest) -> None:
        """Implement `Judge.reject`."""
        self._record.reject(request)

    def _outcomes(self, requests: Sequence[ChatRequest]) -> Generator[RequestOutcome, None, None]:
        missing = []
        tally = FailureTally(self._reference, len(requests))
        for request in requests:
            reply = self._record.get(request)
            if reply is None:
                missing.append(request)
            else:
                outcome = usable(self._reference, request, reply, self._options)
                yield request, outcome
                tally.add(outcome)
        if missing:
            budget = Budget(self._reference, self._limits.max_usd, self._record.spent())
            asking = _Asking(
                self._reference, self._key, self._limits, self._retries, self._record, budget, self._options, tally
            )
            for outcome in _in_background(partial(asking.run, missing)):
                if isinstance(outcome, str):
                    self._note(outcome)
                else:
                    yield outcome


class _Stopped(Exception):
    """Nothing more is to be asked."""


class _Asking:
    """The requests to an endpoint for the replies to distinct requests."""

    def __init__(
        self,
        reference: EndpointReference,
        key: str,
        limits: Limits,
        retries: Retries,
        record: RecordedReplies,
        budget: Budget,
        options: CommandOptions,
        tally: FailureTally,
    ) -> None:
        self._reference, self._key, self._limits = reference, key, limits
        self._retries, self._record, self._budget, self._options = retries, record, budget, options
        self._tally = tally
        self._request_rate = Rate(limits.requests_per_minute)
        self._token_rate = Rate(limits.tokens_per_minute)
        self._counter = TokenCounter(reference)
        self._given_up = 0
        self._workers = 1
        self._landed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stop: Exception | None = None
        self._silence = Silence(time.monotonic())
        self._last_failure: CallFailed | None = None

    async def run(self, requests: Sequence[ChatRequest], put: Put) -> None:
        """Hand each outcome, and lines for the user, to `put`.

        An error that stops the run is raised once all requests in flight have ended and are recorded.
        """
        pending = iter(requests)
        most_bytes = max(most_answer_bytes(self._reference, request) for request in requests)
        client = endpoint_client(self._reference, self._key, self._limits.timeout_seconds, most_bytes)
        async with client as sdk:
            self._calls = ChatCalls(sdk, self._reference, self._key, self._limits.timeout_seconds, self._options)
            self._workers = min(self._limits.concurrency, len(requests))
            reporting = asyncio.create_task(self._report_silence(put))
            try:
                await asyncio.gather(*(self._work(pending, put) for _ in range(self._workers)))
            finally:
                reporting.cancel()
        if self._stop is not None:
            raise self._stop

    async def _report_silence(self, put: Put) -> None:
        """Hand `put` a line when no reply has come for long, and why, as far as the endpoint has said."""
        while True:
            await asyncio.sleep(_SILENCE_CHECK_SECONDS)
            failure = self._last_failure
            lasted = self._silence.to_tell(time.monotonic()) if failure else None
            if failure and lasted is not None:
                until = f", for {self._retries.patience / 60:.0f} min in all" if failure.is_limited else ""
                put(f"{self._reference} has given no reply for {lasted:.0f} s: {failure}; asking on{until}")

    async def _work(self, pending: Iterator[ChatRequest], put: Put) -> None:
        for request in pending:
            try:
                outcome = await self._outcome(request)
                put((request, outcome))
                self._tally.add(outcome)
            except _Stopped:
                return
            except Exception as error:
                self._stop = self._stop or error
                self._stopped.set()
                return

    async def _outcome(self, request: ChatRequest) -> ChatReply | CallFailure:
        """Return the reply, or why there is none after all retries. Raises UserError when going on makes no sense."""
        started, answers, failed, limited = time.monotonic(), self._calls.answers, 0, 0
        while True:
            try:
                return usable(self._reference, request, await self._paid_attempt(request), self._options)
            except PromptRefused as refusal:
                return CallFailure(redacted_line(str(refusal), self._key), is_final=True)
            except CallFailed as failure:
                self._last_failure = failure
                failed += 1
                limited += failure.is_limited
                self._stop_if_hopeless(failure, failed, reached=self._calls.answers > answers)
                is_too_late = failure.is_limited and time.monotonic() - started > self._retries.patience
                if failed - limited >= self._retries.attempts or is_too_late:
                    reason = f"{failure} (after {failed} attempts)"
                    self._stop_if_useless(reason)
                    return CallFailure(reason)
                delay = self._retries.delay(failed, failure.retry_after, random.random())
            await self._sleep(delay)

    def _stop_if_hopeless(self, failure: CallFailed, failed: int, *, reached: bool) -> None:
        """Raise UserError where the endpoint asks to wait for too long, or cannot be reached."""
        if failure.retry_after is not None and failure.retry_after > self._retries.longest_wait:
            raise UserError(f"{self._reference} asks to wait {failure.retry_after:.0f} s ({failure}): run again then")
        attempts = self._retries.attempts if self._calls.answers else self._retries.attempts_to_connect
        if failure.is_unreachable and not reached and failed >= attempts:
            raise UserError(
                f"{self._reference} cannot be reached ({failure}): check {self._options.base_url}, and that its server"
                " runs"
            )

    def _stop_if_useless(self, reason: str) -> None:
        """Raise UserError where request upon request was given up, lately for `reason`, without a reply in between.

        The others would fare no better, and each attempt may be charged for.
        """
        self._given_up += 1
        was_useful = self._record.added > 0
        silent = self._silence.lasted(time.monotonic())
        if self._retries.is_convinced(self._given_up, self._workers, silent, was_useful=was_useful):
            which = " any more, not one to the last" if was_useful else ", not one to the first"
            raise UserError(
                f"{self._reference} gives no usable reply{which} {self._given_up} requests: {reason};"
                f" check {self._options.base_url}, and what its server logs"
            )

    async def _paid_attempt(self, request: ChatRequest) -> ChatReply:
        """Make one attempt within rate and budget, and record its reply. Raises CallFailed, _Stopped or UserError."""
        await self._await_turn(request)
        reservation = await self._reserve(request)
        try:
            body = await self._calls.answer(request)
        except BaseException as error:
            self._settle_unread(request, reservation, error)
            raise
        finally:
            self._landed.set()
        return self._keep(request, reservation, body)

    def _settle_unread(self, request: ChatRequest, reservation: Reservation, error: BaseException) -> None:
        """Charge for a request that got no reply, unless it is certain that nothing was generated."""
        if isinstance(error, UserError) or (isinstance(error, CallFailed | PromptRefused) and error.is_free):
            self._budget.release(reservation)
            return
        answer = error if isinstance(error, UnusableAnswer) else UnusableAnswer(str(error) or "broken off")
        usd = self._budget.settle(reservation, answer.prompt_tokens, answer.completion_tokens)
        if usd or answer.prompt_tokens:
            self._record.add_unusable(request, redacted_line(str(answer), self._key), answer, usd)

    def _keep(self, request: ChatRequest, reservation: Reservation, body: Any) -> ChatReply:
        """Record and return the reply in the body of an answer. Raises CallFailed where there is none."""
        try:
            reply = parse_reply(body)
        except UnusableAnswer as unusable:
            self._settle_unread(request, reservation, unusable)
            if isinstance(unusable, PromptRefused):
                raise
            raise CallFailed(redacted_line(str(unusable), self._key)) from None
        usd = self._budget.settle(reservation, reply.prompt_tokens, reply.completion_tokens)
        self._record.add(request, reply, usd)
        self._given_up = 0
        self._silence.end(time.monotonic())
        return reply

    async def _await_turn(self, request: ChatRequest) -> None:
        """Wait as the rate limits ask. Raises _Stopped."""
        now = time.monotonic()
        wait = self._request_rate.wait(1, now)
        if self._limits.tokens_per_minute:
            tokens = self._counter.count(request.messages) + longest_reply(self._reference, request)
            wait = max(wait, self._token_rate.wait(tokens, now))
        await self._sleep(wait)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but raise _Stopped as soon as nothing more is to be asked."""
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), seconds)
        if self._stopped.is_set():
            raise _Stopped

    async def _reserve(self, request: ChatRequest) -> Reservation:
        """Reserve money, waiting while requests in flight may still give some back. Raises UserError without enough."""
        while True:
            try:
                return self._budget.reserve(request)
            except UserError:
                if not self._budget.in_flight:
                    raise
            self._landed.clear()
            await self._landed.wait()
            await self._sleep(0)


def _in_background(work: Callable[[Callable[[T], None]], Coroutine[Any, Any, None]]) -> Generator[T, None, None]:
    """Yield what `work` hands over while it runs in the event loop of a thread of its own.

    Its requests go on while the caller is busy. Raises what it raises; cancels it when closed.
    """
    end = object()
    items: SimpleQueue[Any] = SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(work(items.put))

    def run() -> None:
        try:
            loop.run_until_complete(asyncio.wait([task]))
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            items.put(end)

    thread = threading.Thread(target=run, name="judge", daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not end:
            yield item
        task.result()
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
