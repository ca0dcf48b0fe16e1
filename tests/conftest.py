"""What must stand before anything is imported: Powertools reads these when the handlers' modules are loaded."""

import os

os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "gamedojo")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "gamedojo")
