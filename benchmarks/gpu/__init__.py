"""A visual policy's learner on a GPU: against the CPU, and against a bare torch loop."""
