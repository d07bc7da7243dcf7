"""`harness plan`: what a run takes in time, memory, disk and money, before anything is run."""
