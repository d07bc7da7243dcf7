"""Checks of a paper's own: disagreements that its equations show when they are computed.

A check is a function from the paper's exhibits by name to (where, what the paper says, what is found, a note), under
the paper's name. Other packages add theirs through the entry-point group.
"""

from harness.config.registry import Registry

CHECKS = Registry(
    kind="paper check",
    group="harness.checks",
    builtin={"srpo": "harness.papers.checks.srpo:check", "sapo": "harness.papers.checks.sapo:check"},
)

Found = tuple[str, str, str, str]
"""Where, what the paper says, what is found, a note."""
