"""TakeTurn: so many runs at once, the others wait."""

from pipeline.aws import clients
from pipeline.aws.runs_table import RunsTable
from pipeline.aws.turns_table import TurnsTable
from pipeline.contracts.states import RunReference
from pipeline.contracts.turns import Turn
from pipeline.observability import Task, state_handler
from pipeline.settings import TakeTurnSettings
from pipeline.steps.turns import take_turn


@state_handler
def handler(task: Task) -> Turn:
    """Whether the run may go on, or when to ask again."""
    settings = TakeTurnSettings.from_environment()
    return take_turn(
        task.part("run", RunReference),
        task.state,
        task.part("turn", Turn).asks if "turn" in task.document else 0,
        settings,
        TurnsTable(clients.dynamodb(), settings.turns_table),
        RunsTable(clients.dynamodb(), settings.runs_table),
    )
