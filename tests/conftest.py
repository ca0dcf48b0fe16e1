"""What must stand before anything is imported: Powertools reads its variables when the handlers' modules are loaded."""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "gamedojo")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "gamedojo")

# Tests run side by side: torch with a thread for each core in every one of them would have them wait for each other.
# Training chooses its number of threads itself. That threads sleep while they wait it says too (rl_src/training), but
# tests may load torch before.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# How long one example takes says more of the machine's other work than of the code.
settings.register_profile("gamedojo", deadline=None)
settings.load_profile("gamedojo")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--privileges", action="store_true", help="hold what Lambdas call against their policies")
    parser.addoption("--images", action="store_true", help="build the images, and start containers from them")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--privileges"):
        from tests.fakes.privilege_verdict import Privileges  # not before the variables above

        config.pluginmanager.register(Privileges(), "privileges of lambdas")
    if config.getoption("--images"):
        from tests.fakes.image_session import ImageSession

        config.pluginmanager.register(ImageSession(), "images of containers")
