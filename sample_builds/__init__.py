"""Unity builds of our own, for people without one: programs that play Unity's side of the ML-Agents protocol."""
