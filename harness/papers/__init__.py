"""Published results as data: a paper with its tables and figures (exhibits), its claims, and our deviations from it.

A paper is a folder, in ``configs/papers`` or elsewhere (`harness.papers.folders`): ``paper.yaml`` says what it is, each
file in ``exhibits`` is one exhibit, under the name that `harness reproduce` knows it by, after the paper's and a slash.
"""

from harness.papers.folders import DEFAULT_PAPER, paper_file, paper_folder, papers

__all__ = ["DEFAULT_PAPER", "paper_file", "paper_folder", "papers"]
