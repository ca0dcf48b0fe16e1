"""Which version a policy goes back to, and what is left over of those that came and went."""

from collections.abc import Sequence

from pipeline.contracts.policy import ServedVersion
from pipeline.errors import ConflictError


def previous_version(policy: str, history: Sequence[ServedVersion], wanted: str | None) -> str:
    """The version to go back to: the wanted one, or the one that was in service before the present one came.

    A rollback is itself an entry of the history, so that a second one without a name undoes the first.

    Raises:
        ConflictError: the wanted one was never in service, or is now; or there was only one.
    """
    current = history[-1].version
    others = [one.version for one in history if one.version != current]
    if wanted is not None and wanted not in others:
        known = ", ".join(dict.fromkeys(reversed(others))) or "none"
        what = "is in service already" if wanted == current else f"was never in service as {policy}"
        raise ConflictError(f"The version {wanted} {what}.", f"Versions to go back to: {known}.")
    if not others:
        raise ConflictError(
            f"{current} is the only version of {policy} that was ever in service.", "Train another one."
        )
    return wanted or others[-1]
