"""Unity builds as environments: unpack, start, and play them over the ML-Agents protocol."""
