"""The record of paid replies: nothing in it is asked for, or paid for, twice."""

import errno
import json
import os
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.endpoints.protocol import ChatReply, ChatRequest
from harness.endpoints.reference import EndpointReference
from harness.endpoints.wire_format import UnusableAnswer, request_parameters, sent_messages
from harness.engine.locks import locked, remove_unheld

SYNC_SECONDS = 1.0
"""The record is forced to the disk by the first line added so long after the last time, and when it is closed. A power
loss may cost the lines since then; a killed process costs none."""


def request_key(reference: EndpointReference, request: ChatRequest) -> str:
    """Return the SHA-256 over all that identifies the request: any field changed, another key."""
    return _digest(
        {
            "base_url": reference.base_url,
            "parameters": request_parameters(reference, request),
            "messages": _messages(reference, request),
            "repeat": request.repeat,
            "parser_version": reference.parser_version,
        }
    )


def _messages(reference: EndpointReference, request: ChatRequest) -> list[dict[str, Any]]:
    return [asdict(message) for message in sent_messages(reference, request)]


def _question_key(line: Mapping[str, Any]) -> str:
    """Return the key that a line's reply is found by: all of `request_key` but the reader's version.

    What a judge has said, and was paid for, does not depend on who reads it.
    """
    return _digest([line[name] for name in ("base_url", "parameters", "repeat", "messages_sha256")])


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class _Recorded:
    reply: ChatReply
    key: str
    messages_sha256: str
    rejected_by: str | None = None


class RecordedReplies:
    """The replies of one model at one endpoint, as lines of JSON in one file of `folder`; a context manager.

    Only one process has a record open: others wait in `__enter__`. A request rate that holds for who has it open
    therefore holds for the endpoint. Of a run that is `on_budget`, only one has any record open, so that the budget
    holds for all of its judges together; an empty `run_id` stands for a run of its own.

    A line is appended by one write, so that a killed process loses none; a line that a power loss cut short is passed
    over, and so is one that is not what was written, by the digest at its end; what it held is asked for again. Lines
    are never changed: `reject` adds one that takes a reply back. As a line that cannot be read may have been such a
    one, it takes back the replies before it whose digests stand in it. Lines of earlier versions have no digest.
    """

    def __init__(self, folder: Path, reference: EndpointReference, run_id: str, *, on_budget: bool = False) -> None:
        self._reference = reference
        self.run_id = run_id or uuid.uuid4().hex
        self.path = _record_path(folder, reference)
        self._locks = [self.path.with_suffix(".lock")]
        if on_budget:
            self._locks.insert(0, folder / f"run-{self.run_id}.lock")
        self._replies: dict[str, _Recorded] = {}
        self._file = -1
        self._synced = 0.0
        self._writing = threading.Lock()
        self._torn = False
        self.added = 0
        """How many replies have been kept through this object."""

    def __enter__(self) -> Self:
        if self._file >= 0:
            raise RuntimeError(f"{self.path} is open here already")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_unheld(self.path.parent, "run-*.lock")
        with ExitStack() as held:
            for lock in self._locks:
                held.enter_context(locked(lock))
            self._read()
            self._file = _open_to_append(self.path)
            self._locked = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, -1
        with self._locked:
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def get(self, request: ChatRequest) -> ChatReply | None:
        """Return the reply to `request`, unless another run has rejected it.

        One that this run rejected is still its reply.
        """
        recorded = self._replies.get(_question_key(self._identity(request)))
        if recorded is None or recorded.rejected_by not in (None, self.run_id):
            return None
        return recorded.reply

    def add(self, request: ChatRequest, reply: ChatReply, usd: float | None) -> None:
        """Keep `reply`, which cost `usd` dollars (None: the price is unknown)."""
        answer = {
            "text": reply.text,
            "log_probabilities": reply.log_probabilities,
            "finish_reason": reply.finish_reason,
            "served_model": reply.served_model,
        }
        self._append("reply", request, {**answer, **_charge(reply, usd)})
        self.added += 1

    def add_unusable(self, request: ChatRequest, reason: str, answer: UnusableAnswer, usd: float | None) -> None:
        """Record that a request without a reply was charged for, for a `reason` that is fit to be stored."""
        self._append("unusable", request, {"reason": reason, **_charge(answer, usd)})

    def reject(self, request: ChatRequest) -> None:
        """Take the reply to `request` back, for every later run; do nothing when there is none.

        May be called while the record is closed, or open elsewhere.
        """
        recorded = self._replies.get(_question_key(self._identity(request)))
        if recorded is not None and recorded.rejected_by is None:
            self._append("rejection", request, {"key": recorded.key})

    def spent(self) -> float:
        """Return the dollars that this run has paid to all judges of the folder, where the price is known."""
        return spending(self.path.parent, self.run_id).usd

    def _identity(self, request: ChatRequest) -> dict[str, Any]:
        """Return the fields that identify a request, as every line of it has them."""
        return {
            "base_url": self._reference.base_url,
            "parameters": request_parameters(self._reference, request),
            "repeat": request.repeat,
            "parser_version": self._reference.parser_version,
            "messages_sha256": _digest(_messages(self._reference, request)),
        }

    def _append(self, kind: str, request: ChatRequest, content: Mapping[str, Any]) -> None:
        line = {
            "kind": kind,
            "key": request_key(self._reference, request),
            "run_id": self.run_id,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **self._identity(request),
            **content,
        }
        text = _sealed(json.dumps(line, ensure_ascii=True, allow_nan=False)) + "\n"
        with self._writing:
            begin, self._torn = "\n" if self._torn else "", True  # a line that a full disk cut short is ended first
            self._write(begin + text)
            self._torn = False
            self._take(line)

    def _write(self, line: str) -> None:
        if self._file < 0:
            file = _open_to_append(self.path)
            try:
                _write_whole(file, line)
                os.fsync(file)
            finally:
                os.close(file)
            return
        _write_whole(self._file, line)
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def _read(self) -> None:
        self._replies.clear()
        if self.path.exists():
            for text, line in _lines(self.path):
                if line is None:
                    self._take_back(text)
                else:
                    self._take(line)

    def _take(self, line: Mapping[str, Any]) -> None:
        """Take in a line that `_line` has read."""
        if line["kind"] == "rejection":
            if (key := _question_key(line)) in self._replies:
                self._replies[key].rejected_by = line["run_id"]
        elif line["kind"] == "reply":
            self._replies[_question_key(line)] = _Recorded(_reply(line), line["key"], line["messages_sha256"])

    def _take_back(self, text: bytes) -> None:
        """Take back what an unreadable line may have rejected; one damage hits one of the two digests in it."""
        digests = {digest.decode() for digest in _DIGEST.findall(text)}
        for recorded in self._replies.values() if digests else ():
            if recorded.key in digests or recorded.messages_sha256 in digests:
                recorded.rejected_by = _DAMAGE


@dataclass(slots=True)
class Spending:
    """The endpoint answers that one run paid for; `unpriced` of them have no known price and are not in `usd`.

    `unread` requests got no whole answer; they are in `usd` with the most they can have cost, `unread_usd` in all.
    So are the `uncounted` answers of which the endpoint did not say how many tokens they took.
    `damaged` counts, by file, the lines of any run that are not what was written and whose reply is on no other line.
    """

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0
    damaged: Counter[str] = field(default_factory=Counter)
    unread: int = 0
    unread_usd: float = 0.0
    uncounted: int = 0

    def add(self, line: Mapping[str, Any]) -> None:
        """Count what a line of a record says was paid."""
        usage, usd = line["usage"], line["usd"]
        self.usd += usd or 0.0
        if line["kind"] == "unusable" and not usage["prompt_tokens"]:
            self.unread += 1
            self.unread_usd += usd or 0.0
            return
        self.answers += 1
        self.uncounted += not usage["prompt_tokens"]
        self.prompt_tokens += usage["prompt_tokens"]
        self.completion_tokens += usage["completion_tokens"]
        self.unpriced += usd is None


def spending(folder: Path, run_id: str) -> Spending:
    """Return what the run has paid for, as the records in `folder` say; waits for nobody."""
    total = Spending()
    for path in sorted(folder.glob("*.jsonl")):
        damaged: list[str] = []
        replied = set()
        for text, line in _lines(path):
            if line is None:
                damaged += _damaged_key(text)
                continue
            if line["kind"] == "reply":
                replied.add(line["key"])
            if line["run_id"] == run_id and line["kind"] in ("reply", "unusable"):
                total.add(line)
        if lost := [key for key in damaged if key not in replied]:
            total.damaged[path.name] = len(lost)
    return total


def is_recorded(folder: Path, reference: EndpointReference) -> Callable[[ChatRequest], bool]:
    """Return whether the reply to a request is there and free; waits for nobody, so another run may be adding to it."""
    record = RecordedReplies(folder, reference, run_id="")
    record._read()
    return lambda request: record.get(request) is not None


def _record_path(folder: Path, reference: EndpointReference) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", reference.model).lstrip(".-")[:60]
    return folder / f"{name}-{_digest([reference.model, reference.base_url])[:12]}.jsonl"


_SEAL = re.compile(rb', "sha256": "([0-9a-f]{16})"\}$')
_KEY = re.compile(rb'"key": "([0-9a-f]{64})"')
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_DAMAGE = "an unreadable line"
"""In the place of the run that rejected a reply."""


def _sealed(line: str) -> str:
    """Return a JSON object with a digest of its text as one more field at its end."""
    return f'{line[:-1]}, "sha256": "{sha256(line.encode()).hexdigest()[:16]}"}}'


def _is_damaged(text: bytes) -> bool:
    seal = _SEAL.search(text)
    return seal is not None and sha256(text[: seal.start()] + b"}").hexdigest()[:16] != seal[1].decode()


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Yield each line of a record and its fields; None for fields that are not what was written."""
    with path.open("rb") as file:
        for text in map(bytes.strip, file):
            if text:
                yield text, None if _is_damaged(text) else _line(text)


_OF_REQUEST = {"key", "run_id", "base_url", "parameters", "repeat", "messages_sha256"}
_FIELDS = {
    "reply": _OF_REQUEST | {"text", "log_probabilities", "finish_reason", "usage", "usd"},
    "unusable": _OF_REQUEST | {"usage", "usd"},
    "rejection": _OF_REQUEST,
}
"""What a line of each kind has, at the least."""


def _line(text: bytes) -> dict[str, Any] | None:
    """Return the fields of a line; None where it lacks some of those that `RecordedReplies` writes."""
    try:
        line: dict[str, Any] = json.loads(text)
        return line if line.keys() >= _FIELDS[line["kind"]] else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _damaged_key(text: bytes) -> list[str]:
    """Return the key of a damaged line, as far as it can be read, else "".

    Nothing for one that a kill or a power loss cut short, which was never there, or for a line of another layout.
    """
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return []
    key = _KEY.search(text)
    return [key[1].decode() if key else ""]


def _charge(answer: ChatReply | UnusableAnswer, usd: float | None) -> dict[str, Any]:
    usage = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
    return {"usage": usage, "usd": usd}


def _reply(line: Mapping[str, Any]) -> ChatReply:
    usage = line["usage"]
    return ChatReply(
        line["text"],
        line["log_probabilities"],
        line["finish_reason"],
        usage["prompt_tokens"],
        usage["completion_tokens"],
        served_model=str(line.get("served_model") or ""),
    )


def _open_to_append(path: Path) -> int:
    """Open a file whose writes go to the end, on a line of their own even after one that was cut short."""
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        os.write(file, b"\n")
    return file


def _write_whole(file: int, line: str) -> None:
    data = line.encode()
    if os.write(file, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
