"""The Open LLM Leaderboard, version 1: six tasks of lm-eval, and their average."""
