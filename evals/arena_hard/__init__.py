"""Arena-Hard v0.1 (Li et al. 2024): its score and its files."""
