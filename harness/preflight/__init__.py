"""Whether a run can go well, before it costs anything: `harness doctor`, and what every run looks at by itself."""
