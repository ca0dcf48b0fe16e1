"""Where a packed build begins."""

import time
from collections.abc import Sequence
from importlib import import_module

from sample_builds.player.academy import Academy
from sample_builds.player.command_line import open_log, parse
from sample_builds.player.scene import Scene, World


def play(scene: str, arguments: Sequence[str]) -> int:
    """Play `scene` ("module:Class") until the trainer ends it; without a trainer's port, idle as a game would."""
    line = parse(arguments)
    log = open_log(line)
    log(f"Sample build {scene}")
    module, class_name = scene.split(":")
    scene_class: type[Scene] = getattr(import_module(module), class_name)
    scene_class.before_connecting(line.scene_arguments, log)
    if line.port is None:
        log("Couldn't connect to trainer: no --mlagents-port.")
        while True:
            time.sleep(3600)

    def make_scene(world: World) -> Scene:
        return scene_class(world, line.scene_arguments)

    Academy(line.port, make_scene, log, scene_class.communication_version(line.scene_arguments)).run()
    return 0
