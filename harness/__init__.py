"""A reproduction harness for preference-optimization papers."""
