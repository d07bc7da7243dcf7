"""The embedded world: knowledge, writers, teacher, judge and tiny base models. Its rules are in README.md."""
