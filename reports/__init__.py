"""Reports: ours beside the paper's, from a run's manifest and the published table. Nothing here computes a score."""
