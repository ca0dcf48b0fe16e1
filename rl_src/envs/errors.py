"""What can go wrong with a build, told in a game developer's words.

UnityEnvironmentError
├── BuildError                      the zip cannot be played
│   ├── NotAZipError
│   ├── UnsafeZipError              paths outside the folder, links, special files
│   ├── BuildTooLargeError          more bytes or files than the limits allow
│   ├── NoExecutableError           nothing in it that Linux x86-64 can start
│   ├── WrongPlatformError          a Windows, macOS, Android, web or ARM build
│   └── SeveralExecutablesError     which one? `environment.executable` says
├── BuildProcessError               the program was started and let us down; carries the end of its log
│   ├── BuildNotStartableError      the system refused to run it (format, rights, interpreter)
│   ├── BuildNeverConnectedError    it runs, but never spoke ML-Agents to the trainer
│   ├── BuildCrashedError           it ended with an error or by a signal
│   ├── BuildHungError              it stopped answering
│   └── BuildQuitError              it left by itself
├── BuildLimitError                 it took more of the machine than it may: processes, disk, output
├── ProtocolError                   it speaks something that we do not understand
│   ├── IncompatibleVersionError    another major version of the ML-Agents communicator
│   ├── WireLimitError              it sends more, or larger things, than are taken
│   ├── AgentMismatchError          an agent that is not like the first one of its behavior
│   └── SensorImageError            a picture that cannot be decoded, or of another size than its sensor says
├── DisplayMissingError             cameras need a display, and none can be made
├── NonFiniteRewardError            NaN or infinite
└── NonFiniteObservationError
"""

from typing import ClassVar


class UnityEnvironmentError(Exception):
    """Base of all. `code` is stable and for programs, `cause` and `remedy` are for people."""

    default_remedy: ClassVar[str] = "See the player's log."

    def __init__(self, cause: str, remedy: str | None = None) -> None:
        self.cause = cause
        self.remedy = remedy if remedy is not None else self.default_remedy
        super().__init__(cause, self.remedy)

    @property
    def code(self) -> str:
        """The class name without its Error suffix."""
        return type(self).__name__.removesuffix("Error")

    def __str__(self) -> str:
        return f"{self.cause} Remedy: {self.remedy}"

    def __reduce__(self) -> tuple[type["UnityEnvironmentError"], tuple[str, str]]:
        # Errors cross process borders (Ray actors), where an exception is rebuilt from its arguments.
        return type(self), (self.cause, self.remedy)


class BuildError(UnityEnvironmentError):
    """The zip cannot be played."""

    default_remedy = "Upload a zip of a Linux x86-64 Unity build that contains ML-Agents."


class NotAZipError(BuildError):
    """The file is no zip, or a damaged one."""


class UnsafeZipError(BuildError):
    """An entry would be written outside its folder, or is a link or special file."""

    default_remedy = "Zip the build's folder again with an ordinary zip program, without links."


class BuildTooLargeError(BuildError):
    """More bytes or files than the limits allow."""

    default_remedy = "Leave files out of the zip that the build does not need (symbols, back-up folders)."


class NoExecutableError(BuildError):
    """Nothing in the zip that Linux can start."""

    default_remedy = (
        "In Unity choose File > Build Settings > Linux (x86_64), build, and zip the folder that holds <Name>.x86_64 "
        "and <Name>_Data."
    )


class WrongPlatformError(NoExecutableError):
    """A build for another system."""


class SeveralExecutablesError(BuildError):
    """The zip holds several programs that could be the build."""

    default_remedy = "Name the one to start in `environment.executable`."


class BuildProcessError(UnityEnvironmentError):
    """The program was started and let us down."""


class BuildNotStartableError(BuildProcessError):
    """The system refused to run the program."""

    default_remedy = "Build for Linux x86-64 and upload that build's whole folder."


class BuildNeverConnectedError(BuildProcessError):
    """The program runs, but never spoke ML-Agents to the trainer."""

    default_remedy = (
        "Check that the scene that the build starts with has an agent with Behavior Type 'Default' and a Decision "
        "Requester, that the ML-Agents package is installed, and that nothing waits for a click before agents act; a "
        "slow start needs a longer `environment.startup_timeout_seconds`."
    )


class BuildCrashedError(BuildProcessError):
    """The program ended with an error or by a signal."""

    default_remedy = "Run the same build on a Linux machine, read its player log, mend what fails there, upload again."


class BuildHungError(BuildProcessError):
    """The program stopped answering."""

    default_remedy = (
        "Look for endless loops or dialogs in the game; a game that needs longer between two decisions needs a longer "
        "`environment.step_timeout_seconds`."
    )


class BuildQuitError(BuildProcessError):
    """The program left by itself."""

    default_remedy = "Remove calls of Application.Quit and time limits from the build; the trainer ends it when done."


class BuildLimitError(UnityEnvironmentError):
    """The program took more of the machine than it may, and was ended. Not tried again: it would do so again."""

    default_remedy = "Look in the game for what is started, written or logged again and again."


class ProtocolError(UnityEnvironmentError):
    """The program speaks something that we do not understand."""

    default_remedy = "Use the com.unity.ml-agents package 1.0 or newer, unmodified."


class IncompatibleVersionError(ProtocolError):
    """Another major version of the ML-Agents communicator."""

    default_remedy = (
        "Install a com.unity.ml-agents package whose communicator is 1.x (package 1.0 or newer) and build again."
    )


class WireLimitError(ProtocolError):
    """The build sends more, or larger things, than are taken (`limits`)."""

    default_remedy = (
        "Send less at once: fewer agents, fewer or smaller sensors and pictures, fewer side channel messages."
    )


class AgentMismatchError(ProtocolError):
    """An agent's observations or action mask are not what the first agent of its behavior had."""

    default_remedy = (
        "Give all agents of a behavior the same sensors, observation sizes and action branches, and do not change them "
        "while the game runs; agents that differ need a Behavior Name of their own."
    )


class SensorImageError(ProtocolError):
    """A sensor's picture cannot be decoded, or is not of the size that the sensor said."""

    default_remedy = (
        "Give cameras the same width and height in all agents of a behavior; a sensor of your own must return PNGs of "
        "the size that its ObservationSpec says from GetCompressedObservation, or use no compression."
    )


class DisplayMissingError(UnityEnvironmentError):
    """Cameras need a display: there is none, and none could be made."""

    default_remedy = (
        "Install Xvfb (apt-get install xvfb) on the machine that trains, or set `environment.graphics` to false when "
        "no sensor is a camera."
    )


class NonFiniteRewardError(UnityEnvironmentError):
    """A reward is NaN or infinite."""

    default_remedy = "Look for divisions by zero and missing objects where the agent calls AddReward or SetReward."


class NonFiniteObservationError(UnityEnvironmentError):
    """An observation is NaN or infinite."""

    default_remedy = "Look for divisions by zero and missing objects in the agent's CollectObservations and sensors."
