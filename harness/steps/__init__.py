"""The steps that methods and evaluations are composed of."""
