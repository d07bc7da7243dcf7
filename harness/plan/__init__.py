"""`harness plan`: what a run takes in time, memory, disk and money, before anything is run."""

from harness.plan.command import PlanOptions, plan_run

__all__ = ["PlanOptions", "plan_run"]
