"""Statistics of pairwise evaluation: pure functions of arrays, seeded explicitly, knowing nothing of files or models.

`win_rate` and `length_control` are AlpacaEval's scores; `bootstrap` and `comparison` give intervals and tests of all.
"""
