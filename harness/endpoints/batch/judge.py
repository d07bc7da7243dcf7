"""Judges behind the Batch API: half the price, and replies within a day (platform.openai.com/docs/guides/batch)."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from harness.endpoints.batch.api import ENDPOINT, MAX_BYTES, MAX_REQUESTS, BatchApi, BatchRow
from harness.endpoints.batch.journal import SUFFIX, Journal, Submission
from harness.endpoints.cost import Budget, dollars
from harness.endpoints.credentials import api_key
from harness.endpoints.judges import print_note
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest
from harness.endpoints.reference import EndpointReference
from harness.endpoints.reply_cache import RecordedReplies, request_key
from harness.endpoints.reply_faults import usable
from harness.endpoints.retries import Retries
from harness.endpoints.wire_format import PromptRefused, UnusableAnswer, parse_reply, request_body
from harness.engine.limits import Limits
from harness.errors import UserError

if TYPE_CHECKING:
    from openai.types import Batch

_FINAL = ("completed", "failed", "expired", "cancelled")
_NO_ROW = {
    "completed": "the batch's output has no reply to it",
    "expired": "the batch expired before its turn came",
    "cancelled": "the batch was cancelled before its turn came",
}
_CUT_SHORT = "the batch's output came cut short; the next run loads it again"


@dataclass(frozen=True, slots=True)
class Polling:
    """The times between looks at a batch: `first` seconds, then each time half as long again, up to `longest`.

    Within a day a batch ends, if only as expired; one that has not ended `at_most` seconds later never will.
    """

    first: float = 5.0
    longest: float = 60.0
    at_most: float = 26 * 3600.0


class BatchJudge:
    """A judge asked through the Batch API. Replies are recorded in the folder `kept`, and asked for only once.

    Beside them stands what was submitted, from the moment it exists: a run that was killed leaves its batches to the
    next one, which collects them instead of paying again.
    """

    def __init__(
        self,
        reference: EndpointReference,
        limits: Limits,
        reply_cache: Path,
        polling: Polling | None = None,
        retries: Retries | None = None,
        note: Callable[[str], None] = print_note,
    ) -> None:
        """Prepare to ask; `note` receives lines for the user while replies are waited for.

        Raises UserError where the endpoint's key is missing from the environment.
        """
        self.name = reference.model
        self._reference, self._limits, self._polling = reference, limits, polling or Polling()
        self._record = RecordedReplies(reply_cache, reference, limits.run_id, on_budget=limits.max_usd is not None)
        self._journal = Journal(self._record.path.with_suffix(SUFFIX))
        self._api = BatchApi(reference, api_key(reference), limits.timeout_seconds, retries or Retries(), note)

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply | CallFailure]]:
        """Implement `Judge.replies`: recorded replies come first, the others batch by batch as these end.

        Raises UserError before anything is submitted where all that is missing could cost more than the budget has
        left, and at the end where the Batch API did not accept a batch.
        """
        places: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(request_key(self._reference, request), []).append(place)
        distinct = {key: requests[at[0]] for key, at in places.items()}
        with self._record:
            recorded = {
                key: usable(self._reference, request, reply)
                for key, request in distinct.items()
                if (reply := self._record.get(request))
            }
            missing = {key: request for key, request in distinct.items() if key not in recorded}
            submissions = self._submit(missing, recorded.keys())
        for key, outcome in recorded.items():
            yield from ((place, outcome) for place in places[key])
        refusals = []
        for submission, batch in self._ended(submissions):
            if batch.status == "failed":
                refusals.append(self._refuse(submission, batch))
                continue
            for key, outcome in self._collect(submission, batch, missing).items():
                yield from ((place, outcome) for place in places[key])
        if refusals:
            raise UserError(refusals[0])

    def reject(self, request: ChatRequest) -> None:
        """Implement `Judge.reject`."""
        self._record.reject(request)

    def _submit(self, missing: Mapping[str, ChatRequest], recorded: Set[str]) -> list[Submission]:
        """Return the batches that will have the `missing` replies, after submitting those that no earlier batch has."""
        open_ones = self._journal.open_submissions()
        for submission in open_ones:  # recorded, and then killed: a reply that is rejected later must not come again
            self._journal.settle(submission, submission.open & recorded)
        submissions = [submission for submission in open_ones if submission.open & missing.keys()]
        waiting = set().union(*(submission.open for submission in submissions))
        new = {key: request for key, request in missing.items() if key not in waiting}
        most_usd = self._within_budget(new, missing, open_ones)
        for submission in submissions:
            if not submission.batch_id:
                self._journal.created(submission, self._api.create(submission.file_id, first_attempt=False))
        for keys, content in _input_files(self._reference, new):
            usd = sum(most_usd[key] for key in keys)
            submission = self._journal.uploaded(self._api.upload(content), keys, self._record.run_id, usd)
            self._journal.created(submission, self._api.create(submission.file_id, first_attempt=True))
            submissions.append(submission)
        return submissions

    def _within_budget(
        self, new: Mapping[str, ChatRequest], missing: Mapping[str, ChatRequest], open_ones: Iterable[Submission]
    ) -> dict[str, float]:
        """Return the most that each of `new` can cost, in dollars.

        Raises UserError where the budget leaves less than all of them can cost.
        """
        limit = self._limits.max_usd
        budget = Budget(self._reference, limit, self._record.spent(), batch=True)
        costs = {key: budget.most_usd(request) for key, request in new.items()}
        if not new or limit is None:
            return costs
        taken = budget.spent + self._waiting_usd(budget, missing, open_ones)
        fitting = sum(taken + total <= limit for total in accumulate(costs.values()))
        if fitting < len(costs):
            needed, left = dollars(sum(costs.values())), dollars(max(0.0, limit - taken))
            raise UserError(
                f"the batch could cost {needed} and --max-usd {limit:g} leaves {left}, enough for {fitting} of its"
                f" {len(costs)} requests: nothing was submitted; raise --max-usd or lower --limit"
            )
        return costs

    def _waiting_usd(
        self, budget: Budget, missing: Mapping[str, ChatRequest], open_ones: Iterable[Submission]
    ) -> float:
        """Return the most, in dollars, that can still be charged to this run.

        That is for all batches that it has waiting, of whichever judge, and for the `missing` replies in those of other
        runs.
        """
        run_id = self._record.run_id
        journals = sorted(self._record.path.parent.glob(f"*{SUFFIX}"))
        waiting = [submission for journal in journals for submission in Journal(journal).open_submissions()]
        own = sum(submission.most_usd for submission in waiting if submission.run_id == run_id)
        others = [submission.open & missing.keys() for submission in open_ones if submission.run_id != run_id]
        return own + sum(budget.most_usd(missing[key]) for keys in others for key in keys)

    def _ended(self, submissions: Iterable[Submission]) -> Iterator[tuple[Submission, "Batch"]]:
        """Yield each submission with its batch, once that has ended. Raises UserError for one that does not end."""
        waiting, delay = list(submissions), self._polling.first
        started = time.monotonic()
        while waiting:
            for submission in tuple(waiting):
                batch = self._api.batch(submission.batch_id)
                if batch.status in _FINAL:
                    waiting.remove(submission)
                    yield submission, batch
                elif time.monotonic() - started > self._polling.at_most:
                    status = self._api.redacted(batch.status)
                    raise UserError(
                        f"batch {submission.batch_id} has not ended within {self._polling.at_most / 3600:.0f} hours"
                        f" (status {status}): ask who runs {self._reference.base_url}; the next run looks again"
                    )
            if waiting:
                time.sleep(delay)
                delay = min(self._polling.longest, delay * 1.5)

    def _refuse(self, submission: Submission, batch: "Batch") -> str:
        """Return why the Batch API did not accept the batch; the next run submits its requests anew."""
        with self._record:
            self._journal.settle(submission, submission.open)
        errors = getattr(batch.errors, "data", None)
        messages = [getattr(error, "message", None) for error in errors] if isinstance(errors, list) else []
        reasons = dict.fromkeys(message for message in messages if isinstance(message, str) and message)
        reason = self._api.redacted("; ".join(reasons) or "it gave no reason")
        return f"the Batch API did not accept batch {submission.batch_id}, and charged nothing for it: {reason}"

    def _collect(
        self, submission: Submission, batch: "Batch", missing: Mapping[str, ChatRequest]
    ) -> dict[str, ChatReply | CallFailure]:
        """Return the recorded outcomes of the `missing` requests in the batch.

        Raises UserError where all were refused.
        """
        rows, complete = self._api.rows(batch)
        keys = submission.open & missing.keys()
        with self._record:
            no_row = _NO_ROW[batch.status] if complete else _CUT_SHORT
            outcomes = {key: self._outcome(missing[key], rows.get(key), no_row) for key in keys}
            # rows that a cut download lacks are there still: the next run looks again
            self._journal.settle(submission, keys if complete else keys & rows.keys())
        refused = [rows[key].refusal for key in keys if key in rows and rows[key].refusal]
        if refused and len(refused) == len(keys):
            raise UserError(f"{self._reference} refused every request of batch {submission.batch_id}: {refused[0]}")
        return outcomes

    def _outcome(self, request: ChatRequest, row: BatchRow | None, no_row: str) -> ChatReply | CallFailure:
        """Record and return what a row of the output says; another process may have recorded it already."""
        if recorded := self._record.get(request):
            return usable(self._reference, request, recorded)
        if row is None:
            return CallFailure(no_row)
        if row.failure:
            return CallFailure(row.failure, is_final=row.is_of_prompt)
        try:
            reply = parse_reply(row.body)
        except UnusableAnswer as unusable:
            reason = self._api.redacted(str(unusable))
            if not (isinstance(unusable, PromptRefused) and unusable.is_free):
                self._record.add_unusable(request, reason, unusable, self._charge(request, unusable))
            return CallFailure(reason, is_final=isinstance(unusable, PromptRefused))
        self._record.add(request, reply, self._charge(request, reply))
        return usable(self._reference, request, reply)

    def _charge(self, request: ChatRequest, answer: ChatReply | UnusableAnswer) -> float | None:
        """Return the dollars charged for an answer: the most it can be where it does not say, None without a price."""
        budget = Budget(self._reference, None, batch=True)
        return budget.settle(budget.reserve(request), answer.prompt_tokens, answer.completion_tokens)


def _input_files(
    reference: EndpointReference, requests: Mapping[str, ChatRequest]
) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Yield (keys, content) of as few input files as the Batch API's limits allow."""
    keys: list[str] = []
    lines: list[bytes] = []
    size = 0
    for key, request in requests.items():
        line = _input_line(reference, key, request)
        if lines and (len(lines) == MAX_REQUESTS or size + len(line) > MAX_BYTES):
            yield tuple(keys), b"".join(lines)
            keys, lines, size = [], [], 0
        keys.append(key)
        lines.append(line)
        size += len(line)
    if lines:
        yield tuple(keys), b"".join(lines)


def _input_line(reference: EndpointReference, key: str, request: ChatRequest) -> bytes:
    body = request_body(reference, request)
    return (json.dumps({"custom_id": key, "method": "POST", "url": ENDPOINT, "body": body}) + "\n").encode()
