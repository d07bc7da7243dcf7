"""IFEval: whether answers follow instructions that a program can verify."""
