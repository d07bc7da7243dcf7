"""Evaluations: scores from verdicts, in the official formats of AlpacaEval 2.0, Arena-Hard and MT-Bench."""
