"""What can go wrong while the local cloud starts, deploys or stops. Messages are for the person at the terminal.

LocalCloudError
├── SetupError             a tool or an environment is missing
├── StartError             a process did not come up, or ended by itself
├── DeployError            `sam build` or `sam deploy` failed, or the stack lacks an output
├── ImageError             no container engine, or an image that cannot be built
├── BusyError              another `up` or `down` is at work on the same state directory
└── StopError              a process outlived `down`
"""


class LocalCloudError(Exception):
    """Base of all; the message is shown without a traceback."""


class SetupError(LocalCloudError):
    """A tool or an environment is missing."""


class StartError(LocalCloudError):
    """A process did not come up, or ended by itself."""


class DeployError(LocalCloudError):
    """`sam build` or `sam deploy` failed, or the stack lacks an output."""


class ImageError(LocalCloudError):
    """There is no container engine, or an image cannot be built."""


class BusyError(LocalCloudError):
    """Another `up` or `down` is at work on the same state directory."""


class StopError(LocalCloudError):
    """A process outlived `down`."""
