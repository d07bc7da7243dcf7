"""Judges and teachers behind an OpenAI-compatible endpoint, asked one request at a time through /chat/completions."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from harness.backends.chat_protocol import PromptRefused, UnusableAnswer, longest_reply, read_answer, request_body
from harness.backends.cost import Budget, Reservation, TokenCounter
from harness.backends.credentials import VARIABLE, api_key, redact
from harness.backends.endpoint import async_endpoint_client, error_message, may_pass
from harness.backends.interfaces import CallFailure, ChatReply, ChatRequest
from harness.backends.judges import JudgeReference
from harness.backends.pace import Rate, Retries, retry_after
from harness.backends.refusals import Options, advice_on, refused_parameter, refused_prompt
from harness.backends.replies import RecordedReplies
from harness.backends.reply_faults import FailureTally, usable
from harness.core.errors import UserError
from harness.core.files import no_room
from harness.core.limits import Limits

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError

T = TypeVar("T")

Outcome = tuple[ChatRequest, ChatReply | CallFailure]


class OpenAIJudge:
    """A judge at an OpenAI-compatible endpoint. Replies are recorded in the folder `kept`, and asked for only once."""

    def __init__(
        self,
        reference: JudgeReference,
        limits: Limits,
        kept: Path,
        retries: Retries | None = None,
        options: Options | None = None,
    ) -> None:
        """Raises UserError where the endpoint's key is missing from the environment."""
        self.name, self._options = reference.model, options or Options()
        self._reference, self._limits, self._retries = reference, limits, retries or Retries()
        self._key = api_key(reference)
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
                    if isinstance(reply, ChatReply) or reply.is_of_model:
                        there += len(places[request])
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
            yield from _in_background(partial(asking.run, missing))


class _Failed(Exception):
    """An attempt that may succeed another time; the message says why it did not.

    `retry_after` are the seconds that the endpoint asks to wait, `limited` says whether it was asked too often,
    `unreachable` whether there was no connection to it.
    """

    def __init__(
        self, reason: str, *, retry_after: float | None = None, limited: bool = False, unreachable: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry_after, self.limited, self.unreachable = retry_after, limited, unreachable


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
        tally: FailureTally,
    ) -> None:
        self._reference, self._key, self._limits = reference, key, limits
        self._retries, self._record, self._budget, self._options = retries, record, budget, options
        self._tally = tally
        self._request_rate = Rate(limits.requests_per_minute)
        self._token_rate = Rate(limits.tokens_per_minute)
        self._counter = TokenCounter(reference)
        self._given_up = 0
        self._answers = 0
        self._landed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stop: Exception | None = None

    async def run(self, requests: Sequence[ChatRequest], put: Callable[[Outcome], None]) -> None:
        """Hands each outcome to `put`. What stops the run is raised once all in flight has landed, and is recorded."""
        pending = iter(requests)
        async with async_endpoint_client(self._reference, self._key, self._limits.timeout_seconds) as self._endpoint:
            workers = min(self._limits.concurrency, len(requests))
            await asyncio.gather(*(self._work(pending, put) for _ in range(workers)))
        if self._stop is not None:
            raise self._stop

    async def _work(self, pending: Iterator[ChatRequest], put: Callable[[Outcome], None]) -> None:
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
        """The reply, or why there is none after all retries. Raises UserError when going on makes no sense."""
        started, answers, failed, limited = time.monotonic(), self._answers, 0, 0
        while True:
            try:
                return usable(self._reference, request, await self._paid_attempt(request), self._options)
            except PromptRefused as refusal:
                return CallFailure(str(refusal), is_final=True)
            except _Failed as failure:
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
        except BaseException:
            self._budget.release(reservation)
            raise
        finally:
            self._landed.set()
        return self._keep(request, reservation, body)

    def _keep(self, request: ChatRequest, reservation: Reservation, body: Any) -> ChatReply:
        """The reply in the body of an answer, recorded. Raises _Failed where there is none."""
        try:
            reply = read_answer(body)
        except UnusableAnswer as unusable:
            self._keep_unusable(request, reservation, unusable)
            if isinstance(unusable, PromptRefused):
                raise
            raise _Failed(str(unusable)) from None
        usd = self._budget.settle(reservation, reply.prompt_tokens, reply.completion_tokens)
        self._record.add(request, reply, usd, served_model=str(body.get("model", "")))
        return reply

    def _keep_unusable(self, request: ChatRequest, reservation: Reservation, unusable: UnusableAnswer) -> None:
        if not unusable.prompt_tokens:
            self._budget.release(reservation)
            return
        usd = self._budget.settle(reservation, unusable.prompt_tokens, unusable.completion_tokens)
        self._record.add_unusable(request, unusable, usd)

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

        body = json.dumps(request_body(self._reference, request)).encode()  # ASCII: half surrogate pairs pass as well
        try:
            async with asyncio.timeout(self._limits.timeout_seconds):
                answer = await self._endpoint.post("/chat/completions", cast_to=str, content=body)
        except TimeoutError:
            raise self._no_answer() from None
        except openai.APITimeoutError as error:
            raise self._no_answer(unreachable=_is_unreachable(error)) from None
        except openai.APIConnectionError as error:
            raise _Failed("the connection failed or was cut", unreachable=_is_unreachable(error)) from None
        except openai.APIStatusError as error:
            self._answers += 1
            raise self._refusal(error) from None
        self._answers += 1
        try:
            return json.loads(redact(answer, self._key))
        except ValueError:
            raise _Failed("the answer is not JSON, or cut short") from None

    def _no_answer(self, *, unreachable: bool = False) -> _Failed:
        return _Failed(f"no answer within {self._limits.timeout_seconds:g} s", unreachable=unreachable)

    def _refusal(self, error: "APIStatusError") -> _Failed | PromptRefused | UserError:
        """What a status other than success means: another attempt, no reply to this prompt, or the end."""
        status = error.status_code
        message = error_message(error.response.text, self._key)
        without = self._reference.without
        if reason := refused_prompt(status, error.response.text, without):
            return PromptRefused(f"{reason} (status {status}: {message})")
        refused = refused_parameter(status, error.param, message, without)
        if may_pass(error) and not refused:
            wait = retry_after(error.response.headers, time.time())
            return _Failed(f"status {status}: {message}", retry_after=wait, limited=status == 429)
        advice = f" ({advice_on(refused, message, self._options)})" if refused else self._advice(status)
        return UserError(f"{self._reference} refuses (status {status}): {message}{advice}")

    def _advice(self, status: int) -> str:
        """What to look at after a refusal that names nothing to leave out."""
        if status in (401, 403):
            return f" (check {VARIABLE})"
        if status == 404:
            usual = "" if self._reference.base_url.endswith("/v1") else ": base URLs usually end in /v1"
            return f" (check {self._options.both}{usual})"
        return ""


def _is_unreachable(error: "APIConnectionError") -> bool:
    """Whether no connection came about; by name, since the SDK has changed its HTTP library before."""
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")


def _in_background(work: Callable[[Callable[[T], None]], Coroutine[Any, Any, None]]) -> Generator[T, None, None]:
    """What `work` hands over while it runs in the event loop of a thread of its own, so that its requests go on while
    the caller is busy. Raises what it raises; cancels it when closed."""
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
