"""Arena-Hard v2.0 (lmarena/arena-hard-auto): its two categories, style control and files."""
