"""The results of a run, typed: the schema of `manifest.json`, which the experiments fill and the reports read.

A run's folder holds all that its report is made of: the manifest, with the published exhibits as they were used, the
curves of its trainings, and under ``artifacts/`` the verdicts behind its scores.
"""
