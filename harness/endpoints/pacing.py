"""The rate of requests, and how long an endpoint is silent. No clock in here: every function is given the time."""

MINUTE = 60.0


class Rate:
    """A token bucket that holds no more than one request: work is spread evenly, and idle time is not saved up.

    In any minute that begins with a request, at most `per_minute` units are let through, if every request is of one
    unit; else at most one request more. None means no limit.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._seconds_a_unit = MINUTE / per_minute if per_minute else 0.0
        self._free_at = float("-inf")

    def wait(self, units: float, now: float) -> float:
        """Return the seconds to wait from `now` before a request of `units`, and take its place."""
        start = max(self._free_at, now)
        self._free_at = start + units * self._seconds_a_unit
        return start - now


class Silence:
    """The time since an endpoint's last reply, and when to report it to the user.

    That is after `first` seconds, and then each time after six times as long.
    """

    def __init__(self, now: float, first: float = 10.0) -> None:
        self._first = first
        self.end(now)

    def end(self, now: float) -> None:
        """End the silence: something has come."""
        self._since, self._next = now, self._first

    def lasted(self, now: float) -> float:
        """Return the seconds of silence."""
        return now - self._since

    def to_tell(self, now: float) -> float | None:
        """Return the seconds of silence where the user is to hear of it now, which is then told; else None."""
        lasted = self.lasted(now)
        if lasted < self._next:
            return None
        self._next = lasted * 6
        return lasted
