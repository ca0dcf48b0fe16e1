"""What the names of instance types say of the machines.

EC2 writes a family as letters, a generation, and a letter for each thing that is special: c6i, m5d, g4dn (EC2 user
guide, "Instance type naming conventions").
"""

import re

_FAMILY = re.compile(r"ml\.(?P<family>(?P<series>[a-z]+)(?P<generation>\d+)(?P<special>[a-z]*)[a-z0-9-]*)\.")

_WITH_DISKS = frozenset({"g5", "g6", "g6e", "g6f", "gr6", "gr6f", "p5", "p5e", "p5en", "trn1", "trn1n", "trn2"})
"""Have disks of their own in every size, though no "d" says so (EC2 user guide, "Instance store volumes")."""

_SERIES_WITH_DISKS = frozenset({"d", "h", "i", "im", "is", "dl"})


def has_own_disks(instance_type: str) -> bool:
    """Whether the machine has local disks: hardware encrypts them, and SageMaker refuses a key for the job's volume."""
    found = _FAMILY.match(instance_type)
    if found is None:
        return False
    return "d" in found["special"] or found["family"] in _WITH_DISKS or found["series"] in _SERIES_WITH_DISKS
