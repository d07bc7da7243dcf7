"""MT-Bench (Zheng et al. 2023): answers of two turns, each graded by itself, and FastChat's files."""
