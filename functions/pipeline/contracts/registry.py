"""Environments that people know by an id of ML-Agents' registry, and may name where a build is wanted."""

from pathlib import PurePosixPath

_OWN_SAMPLES = frozenset({"3DBall", "Basic", "FoodCollector", "GridWorld", "Hallway", "SoccerTwos", "WallJump"})
_REGISTRY = _OWN_SAMPLES | {
    *("3DBallHard", "CooperativePushBlock", "Crawler", "CrawlerDynamicTarget", "CrawlerStaticTarget", "DungeonEscape"),
    *("PushBlock", "Pyramids", "Reacher", "Sorter", "StrikersVsGoalie", "Tennis", "VisualFoodCollector"),
    *("VisualHallway", "VisualPushBlock", "VisualPyramids", "Walker", "WalkerDynamic", "WalkerStatic", "Worm"),
}
"""Ids of ML-Agents' environment registry (ml-agents: `registry`), and samples of our own of the same names."""


def remedy_of_missing_build(key: str) -> str | None:
    """What to do where the key names no object but an environment of ML-Agents' registry; None for other keys."""
    name = PurePosixPath(key).name.removesuffix(".zip")
    if name not in _REGISTRY:
        return None
    remedy = (
        f"{name} is an id of ML-Agents' environment registry: mirror it once by `gamedojo registry mirror {name}`, "
        f'and name it as {{"build": {{"registry": "{name}"}}}}.'
    )
    if name in _OWN_SAMPLES:
        remedy += f" A sample of our own is made by `make sample-builds` (build/{name}.zip)."
    return remedy
