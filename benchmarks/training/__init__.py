"""Training throughput: ours against the reference's `mlagents-learn`."""
