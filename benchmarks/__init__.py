"""Measured comparisons. `make bench-…` runs them; what they found is in RESULTS.md."""
