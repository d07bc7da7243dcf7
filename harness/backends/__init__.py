"""What runs models: transformers for generation and likelihoods, TRL for training, judges at endpoints, oracles."""
