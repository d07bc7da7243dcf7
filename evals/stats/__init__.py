"""Statistics of pairwise evaluation: pure functions of arrays, seeded explicitly, knowing nothing of files or models.

`win_rate` and `length_control` are AlpacaEval's scores, `bradley_terry` is Arena-Hard's, `bootstrap` and `paired` give
intervals and decisions for all of them.
"""
