"""AlpacaEval 2.0 (Dubois et al. 2024): its scores, its files, its judges."""
