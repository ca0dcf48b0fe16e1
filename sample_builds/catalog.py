"""The sample builds that can be packed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SampleBuild:
    """`scene`: module and class that the build starts; `modules`: the scene's own source files in `scenes/`."""

    name: str
    scene: str
    modules: tuple[str, ...]
    summary: str


SAMPLE_BUILDS = {
    build.name: build
    for build in (
        SampleBuild("Basic", "sample_builds.scenes.basic:BasicScene", ("basic",), "20 fields, two goals; --agents N"),
        SampleBuild(
            "Faulty",
            "sample_builds.scenes.faulty:FaultyScene",
            ("attacks", "basic", "faulty", "misdeeds", "oddities"),
            "Basic with a fault; --fault NAME",
        ),
        SampleBuild(
            "Chaos", "sample_builds.scenes.chaos:ChaosScene", ("chaos",), "random events with a ledger; --ledger FILE"
        ),
        SampleBuild(
            "WallJump",
            "sample_builds.scenes.wall_jump:WallJumpScene",
            ("rays", "wall_jump"),
            "two behaviors, four branches; --agents N",
        ),
        SampleBuild(
            "SoccerTwos",
            "sample_builds.scenes.soccer_twos:SoccerTwosScene",
            ("rays", "soccer_field", "soccer_twos"),
            "two teams of two, group rewards",
        ),
        SampleBuild(
            "3DBall",
            "sample_builds.scenes.ball_3d:Ball3DScene",
            ("ball_3d", "rays"),
            "12 platforms, continuous; --agents N",
        ),
        SampleBuild(
            "Hallway", "sample_builds.scenes.hallway:HallwayScene", ("hallway", "rays"), "needs memory; --agents N"
        ),
        SampleBuild(
            "GridWorld",
            "sample_builds.scenes.grid_world:GridWorldScene",
            ("grid_world", "grid_world_camera"),
            "9 agents with cameras, masks; --camera unity",
        ),
        SampleBuild(
            "FoodCollector",
            "sample_builds.scenes.food_collector:FoodCollectorScene",
            ("food_collector", "food_collector_grid", "rays"),
            "5 agents with grid sensors, hybrid actions",
        ),
    )
}
