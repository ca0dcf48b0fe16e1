"""Teams that play against their past selves, with ratings."""
