"""Perplexity of answers under a checkpoint."""
