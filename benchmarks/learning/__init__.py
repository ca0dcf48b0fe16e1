"""How soon is an environment solved: our training, and `mlagents-learn` beside it."""
