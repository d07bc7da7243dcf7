"""Whether a run can go well, before it costs anything: `harness doctor`, and before the first expensive step of a run."""
