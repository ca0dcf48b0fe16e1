"""`python -m local up|down|status`, for those who have not installed the command line."""

from local.commands import app

app(prog_name="python -m local")
