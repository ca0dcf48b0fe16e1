"""Pure decisions: no clock, no network, no environment; everything they need is an argument."""
