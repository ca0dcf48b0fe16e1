"""What must stand before anything is imported: Powertools reads these when the handlers' modules are loaded."""

import os

from hypothesis import settings

os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "gamedojo")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "gamedojo")

# How long one example takes says more of the machine's other work than of the code.
settings.register_profile("gamedojo", deadline=None)
settings.load_profile("gamedojo")
