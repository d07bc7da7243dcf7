"""Checks before a run costs anything: `harness doctor`, and what every run checks by itself."""
