"""What can go wrong while something is deployed. The message is for the person at the terminal."""


class DeploymentError(Exception):
    """Says what is missing or failed, and what would help; shown without a traceback."""
