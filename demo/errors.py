"""Why a demo ends early."""


class DemoError(Exception):
    """The message is for the person who ran the demo."""
