"""How quickly agents' steps go through a client of the ML-Agents protocol."""
