"""An experiment: an exhibit of a paper (a table or a figure) on a scale, as promises of all that it shows."""

from harness.experiments.build import build_experiments
from harness.experiments.interface import Experiment, Request

__all__ = ["Experiment", "Request", "build_experiments"]
