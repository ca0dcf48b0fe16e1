"""ExtractCheckpoint: check model.tar.gz, unpack the best checkpoint, pack what is served."""

from pipeline.aws import clients
from pipeline.aws.objects import ObjectStore
from pipeline.aws.runs_table import RunsTable
from pipeline.contracts.states import ExtractedCheckpoint, JobPoll, RunReference
from pipeline.observability import Task, state_handler
from pipeline.settings import ExtractCheckpointSettings
from pipeline.steps import artifacts


@state_handler
def handler(task: Task) -> ExtractedCheckpoint:
    """Where the artifacts lie."""
    settings = ExtractCheckpointSettings.from_environment()
    objects = ObjectStore(clients.s3(), settings.bucket_name)
    runs = RunsTable(clients.dynamodb(), settings.runs_table)
    return artifacts.extract_checkpoint(
        task.part("run", RunReference), task.part("training", JobPoll), task.state, objects, runs
    )
