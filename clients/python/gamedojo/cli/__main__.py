"""`python -m gamedojo.cli`, for places where the installed program is not on the path."""

from gamedojo.cli.app import main

main()
