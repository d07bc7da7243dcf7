"""When a failed request is tried again. No clock in here: every function is given the time."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Retries:
    """When a request that failed is tried again, and when no more. All times in seconds.

    A request is given up after `attempts`; refusals for asking too often do not count among them, but end after
    `patience`: with many requests waiting for a small allowance, one may be turned away often before its turn comes.
    An endpoint that asks for more than `longest_wait` is not waited for. One that has never answered counts as
    unreachable after `attempts_to_connect`, one that has never replied as useless once `requests_to_convince` requests
    have been given up, and one that replies no more once that many have been, and so many rounds of all that are asked
    at a time, or `patience` has passed.
    """

    attempts: int = 6
    attempts_to_connect: int = 3
    requests_to_convince: int = 5
    first_delay: float = 0.5
    longest_delay: float = 30.0
    longest_wait: float = 300.0
    patience: float = 900.0
    rounds_to_convince: int = 2

    def is_convinced(self, given_up: int, at_a_time: int, silent: float, *, was_useful: bool) -> bool:
        """Return whether going on makes no sense after `given_up` requests without a reply in `silent` seconds."""
        if given_up < self.requests_to_convince:
            return False
        rounds = self.requests_to_convince + self.rounds_to_convince * at_a_time
        return not was_useful or given_up >= rounds or silent > self.patience

    def delay(self, failed: int, retry_after: float | None, chance: float) -> float:
        """Return the seconds to wait after `failed` failures; `chance` in [0, 1) spreads those that failed together.

        Never shorter than the endpoint asks for.
        """
        backoff = min(self.longest_delay, self.first_delay * 2 ** min(failed - 1, 32)) * (0.5 + chance / 2)
        return backoff if retry_after is None else retry_after + chance * min(backoff, self.first_delay)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a response asks to wait: `retry-after-ms`, or `Retry-After` as seconds or as a date.

    `now` is the time since the epoch. None where nothing readable is asked for; dates gone by are 0.
    """
    for name, seconds in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds_asked = _number(headers.get(name))
        if seconds_asked is not None:
            return seconds_asked * seconds
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - now)
    except (KeyError, ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number >= 0 else None  # neither a negative number nor "nan"
