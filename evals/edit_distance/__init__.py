"""Edit distance of answers from a baseline's."""
