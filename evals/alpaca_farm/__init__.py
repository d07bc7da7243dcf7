"""Win rate against given answers by a judge that ranks two models, as AlpacaFarm's evaluation does."""
