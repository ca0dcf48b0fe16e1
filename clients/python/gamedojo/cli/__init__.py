"""The `gamedojo` command line."""

from gamedojo.cli.app import app, main

__all__ = ["app", "main"]
