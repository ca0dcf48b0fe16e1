from datetime import timedelta

from gamedojo.models import Run
from gamedojo.reading import read
from gamedojo.steps import STEPS, Step, steps_of
from tests.fakes.run_documents import BEGAN, CHAIN, at, failed, kept, run_document, succeeded, training


def steps(document: dict, seconds: float = 100.0) -> dict[str, Step]:
    return {step.label: step for step in steps_of(read(Run, document), BEGAN + timedelta(seconds=seconds))}


def statuses(document: dict) -> list[str]:
    return [step.status for step in steps(document).values()]


def test_every_state_of_the_chain_is_in_exactly_one_step() -> None:
    assert sorted(state for _, states in STEPS for state in states) == sorted(["Accepted", *CHAIN])


def test_a_training_run_has_two_steps_behind_it_and_six_before_it() -> None:
    assert statuses(training()) == ["done", "done", "active", *["pending"] * 6]


def test_a_step_of_two_states_lasts_from_the_first_to_the_next_step() -> None:
    found = steps(run_document("ExtractCheckpoint"), seconds=9.5)
    assert found["Train"].seconds == 2.0  # StartTraining at 2, CheckTraining at 3, ExtractCheckpoint at 4
    assert found["Extract the checkpoint"].seconds == 5.5
    assert found["Evaluate"].seconds is None


def test_success_has_every_step_done() -> None:
    assert statuses(succeeded()) == ["done"] * 9


def test_a_kept_policy_skips_deployment() -> None:
    found = steps(kept())
    assert found["Deploy the endpoint"].status == found["Verify the endpoint"].status == "skipped"
    assert found["Finish"].status == "done"


def test_a_failure_marks_the_state_that_failed_not_the_one_that_wrote_it_down() -> None:
    found = steps(failed())
    assert found["Inspect the build"].status == "failed"
    assert found["Admit the run"].status == found["Finish"].status == "done"
    assert found["Train"].status == "skipped"


def test_a_run_that_waits_for_its_turn_has_a_step_for_that_and_no_other_run_has() -> None:
    entered = ("AdmitRun", "InspectBuild", "TakeTurn")
    history = [{"state": state, "at": at(second)} for second, state in enumerate(entered)]
    waiting = {**run_document("InspectBuild"), "state": "TakeTurn", "history": history}
    found = steps(waiting, seconds=9)
    assert list(found)[1:4] == ["Inspect the build", "Wait for its turn", "Train"]
    assert (found["Wait for its turn"].status, found["Wait for its turn"].seconds) == ("active", 7.0)
    assert "Wait for its turn" not in steps(training())


def test_a_cancelled_run_marks_the_state_that_it_had_come_to() -> None:
    assert statuses(run_document("CheckTraining", "CANCELLED")) == ["done", "done", "cancelled", *["skipped"] * 6]


def test_the_clock_stops_with_the_run() -> None:
    assert (
        steps(succeeded(), seconds=100)["Finish"].seconds == steps(succeeded(), seconds=9000)["Finish"].seconds == 1.0
    )


def test_a_record_without_history_shows_what_lies_before_its_state_as_done() -> None:
    assert statuses({**training(), "history": []}) == ["done", "done", "active", *["pending"] * 6]


def test_a_state_of_a_newer_stack_becomes_a_step_where_it_came() -> None:
    document = run_document("StartTraining")
    document["history"].insert(2, {"state": "ScanForViruses", "at": at(1.5)})
    labels = list(steps(document))
    assert labels[labels.index("Inspect the build") + 1] == "ScanForViruses"
    assert steps(document)["ScanForViruses"].status == "done"
    present = {**run_document("InspectBuild"), "state": "ScanForViruses"}
    assert steps(present)["ScanForViruses"].status == "active"


def test_repeated_polls_in_the_history_do_not_cut_a_step_short() -> None:
    document = training()
    document["history"] += [{"state": "CheckTraining", "at": at(second)} for second in (5, 7, 9)]
    assert steps(document, seconds=12)["Train"].seconds == 10.0
