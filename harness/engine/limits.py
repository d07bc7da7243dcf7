"""The limits of a run on its requests to endpoints, and on their cost."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the requests to an endpoint, for a whole run. No part of any key: they change no result.

    `max_usd` bounds what this run spends, in dollars at the prices of configs/judges.yaml; `batch` sends requests
    through the Batch API. `run_id` tells this run's requests from those of earlier ones in the record of replies.
    """

    concurrency: int = 16
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_seconds: float = 120.0
    max_usd: float | None = None
    batch: bool = False
    run_id: str = ""

    def of_one_run(self) -> "Limits":
        """Return the same bounds with a run's own id, unless they have one."""
        from uuid import uuid4

        return self if self.run_id else replace(self, run_id=uuid4().hex)
