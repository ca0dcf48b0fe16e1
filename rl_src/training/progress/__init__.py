"""How a run is going, and when it is over: progress lines, health, budget, patience, TensorBoard."""
