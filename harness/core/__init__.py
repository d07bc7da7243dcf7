"""Records, artifacts, the store and the plumbing around them; imports nothing else of the harness."""
