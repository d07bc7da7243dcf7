"""What runs models: transformers for generation and likelihoods, TRL for training, the embedded oracles."""
