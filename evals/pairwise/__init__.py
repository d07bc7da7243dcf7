"""Judge win rate between any two sets of responses."""
