"""Playing: running builds side by side, and their agents' decisions as RLlib episodes."""
