"""Basic with a fault of choice, to see what a trainer does: `--fault NAME [--after STEPS]`."""
