"""Learning: episodes become batches, batches become updates. PPO and SAC."""
