"""Unity builds of our own, for people without one at hand: programs that play Unity's side of the ML-Agents protocol."""
