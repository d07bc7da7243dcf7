"""Reports: ours beside the paper's, from a run's manifest and the published exhibits. Nothing here computes a score.

One direction: a part of the manifest and its exhibit become blocks (`exhibits`), which every format prints (`markdown`,
`latex`, `html`, `terminal`; numbers as CSV). A format knows the few kinds of block (`blocks`) and no exhibit.
"""
