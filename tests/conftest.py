"""What must stand before anything is imported: Powertools reads its variables when the handlers' modules are loaded."""

import os

from hypothesis import settings

os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "gamedojo")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "gamedojo")

# Tests run side by side: torch with a thread for each core in every one of them would have them wait for each other.
# Training chooses its number of threads itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long one example takes says more of the machine's other work than of the code.
settings.register_profile("gamedojo", deadline=None)
settings.load_profile("gamedojo")
