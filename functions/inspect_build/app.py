"""InspectBuild: read the zip by ranges; reject what cannot be trained on, and say why."""

from pipeline.aws import clients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import InspectedBuild, RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import InspectBuildSettings
from pipeline.steps import building


@state_handler
def handler(task: Task) -> InspectedBuild:
    """Where the manifest lies."""
    settings = InspectBuildSettings.from_environment()
    objects = ObjectStore(clients.s3(), settings.bucket_name)
    runs = RunsTable(clients.dynamodb(), settings.runs_table)
    return building.inspect_build(task.part("run", RunReference), task.state, settings, objects, runs)
