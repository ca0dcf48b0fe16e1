"""What every sample build carries inside: the part that Unity and the ML-Agents package play in a real one.

Standard library, grpcio and protobuf only; nothing here is imported that the start does not need.
"""
