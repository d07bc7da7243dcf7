"""The command line: commands by group, each thin."""

from harness.cli.app import main

__all__ = ["main"]
