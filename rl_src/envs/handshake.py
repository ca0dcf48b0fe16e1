"""The first exchange with a build: who speaks which version, and what both sides can do."""

from dataclasses import dataclass
from typing import Any

from rl_src.envs.errors import IncompatibleVersionError
from rl_src.envs.protocol import API_VERSION, PACKAGE_VERSION, STATUS_OK

_CAPABILITIES = {
    "baseRLCapabilities": True,
    "concatenatedPngObservations": True,
    "compressedChannelMapping": True,
    "hybridActions": True,
    "trainingAnalytics": False,  # no analytics events are sent
    "variableLengthObservation": True,
    "multiAgentGroups": True,
}

_CHANNELS_LAST = ("0", "1", "2")
"""Major versions of the package."""

_SHOWN = 40
"""Characters of a version that an error quotes."""


@dataclass(frozen=True)
class BuildTraits:
    """What a build says of itself.

    `hybrid_actions`: it reads continuous and discrete actions of one agent. `images_channels_last`: it sends height,
    width, channels.
    """

    hybrid_actions: bool = True
    images_channels_last: bool = False


def traits_of(introduction: Any) -> BuildTraits:
    """Read the build's UnityRLInitializationOutputProto.

    Raises:
        IncompatibleVersionError: it speaks another major version.
    """
    version, package = introduction.communication_version, introduction.package_version
    if version.split(".")[0] != API_VERSION.split(".")[0]:
        raise IncompatibleVersionError(
            f"The build speaks version {version[:_SHOWN] or '(none)'} of the ML-Agents communicator (package "
            f"{package[:_SHOWN] or 'unknown'}); the trainer speaks {API_VERSION}."
        )
    # Channels come first since package 3.0 (ml-agents release 21); before, height, width, channels.
    major = package.split(".")[0]
    return BuildTraits(
        hybrid_actions=bool(introduction.capabilities.hybridActions),
        images_channels_last=major in _CHANNELS_LAST,
    )


def write_welcome(message: Any, seed: int) -> None:
    """Make an empty UnityMessageProto the answer to a build's introduction. `seed`: of the scene's random numbers."""
    message.header.status = STATUS_OK
    welcome = message.unity_input.rl_initialization_input
    welcome.seed, welcome.num_areas = seed, 1
    welcome.communication_version, welcome.package_version = API_VERSION, PACKAGE_VERSION
    for capability, value in _CAPABILITIES.items():
        setattr(welcome.capabilities, capability, value)
