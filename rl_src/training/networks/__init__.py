"""The policy and the value function: encoders by kind of sensor, memory, normalisation, the action distribution."""
