"""What must not move: keys, contents, defaults and losses, and the files that they were pinned in.

`python -m tests.golden keys`, `defaults`, `losses` or `contents RUN_DIR` writes one of the files anew.
"""
