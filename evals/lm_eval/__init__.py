"""Tasks of EleutherAI's lm-eval: how they are run on a checkpoint, and any of them as a benchmark."""
