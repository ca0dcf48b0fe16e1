"""Unity builds of our own, for people without one at hand: programs that play the Unity side of the ML-Agents protocol."""
