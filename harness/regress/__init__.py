"""`harness regress`: did a change make a run's scores worse? How it decides: docs/regress.md."""

from harness.regress.compare import regress

__all__ = ["regress"]
