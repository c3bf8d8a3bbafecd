"""Public data sets, published protocols, one command: `python -m ml.benchmark`. Needs torch and numpy only."""
