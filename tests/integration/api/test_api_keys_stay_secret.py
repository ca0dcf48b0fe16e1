"""API keys, idempotency keys and what signs a URL: in no line of a log, whatever is asked and however it ends."""

import json
import logging

import pytest

from control_read.app import handler as read_handler
from control_write.app import handler as write_handler
from pipeline.api.predictor import Predictor
from pipeline.aws.runs_table import RunsTable
from predict.app import handler as predict_handler
from tests.fakes.control_stack import LambdaContext, control_stack, sample_event, sample_events

SECRET = "SeCrEt-key-of-nobody-0123456789"


@pytest.fixture(scope="module")
def stack():
    with control_stack() as made:
        made.put("uploads/4f1c/Basic.zip", b"zip")
        yield made


def with_secrets(name: str) -> dict:
    event = json.loads(json.dumps(sample_event(name)).replace("example-key-example-key", SECRET))
    event["headers"] |= {"Authorization": SECRET, "Idempotency-Key": SECRET, "x-api-key": SECRET, "Cookie": SECRET}
    event["multiValueHeaders"] = {key: [text] for key, text in event["headers"].items()}
    event["requestContext"]["identity"]["apiKey"] = SECRET
    return event


def ask(event: dict) -> dict:
    if "predict" in event["resource"] or event["headers"].get("User-Agent") == "predict":
        return predict_handler(event, LambdaContext())
    return (read_handler if event["httpMethod"] == "GET" else write_handler)(event, LambdaContext())


@pytest.mark.parametrize("name", sample_events("control") + sample_events("predict"))
def test_no_log_holds_a_key(stack, name, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    for broken in (False, True):
        event = with_secrets(name)
        if broken:
            event["body"] = f'{{"policy": "{SECRET}'
        answer = ask(event)
        written = capsys.readouterr()
        # botocore tells at DEBUG what it sends; the functions' log level is INFO at most (POWERTOOLS_LOG_LEVEL).
        own = [one for one in caplog.records if not one.name.startswith(("botocore", "boto3", "urllib3", "s3transfer"))]
        assert SECRET not in written.out + written.err + " ".join(str(vars(one)) for one in own)
        assert SECRET not in str({**answer.get("headers", {}), **answer.get("multiValueHeaders", {})})
        caplog.clear()


def test_what_nobody_foresaw_shows_no_key_either(stack, monkeypatch, capsys, caplog):
    def explode(*_, **__):
        raise RuntimeError("boom")

    monkeypatch.setattr(RunsTable, "list", explode)
    monkeypatch.setattr(Predictor, "ask", explode)
    for name in ("control/get_training_runs", "predict/post_predict"):
        assert ask(with_secrets(name))["statusCode"] == 500
    written = capsys.readouterr()
    assert "boom" in caplog.text
    assert SECRET not in written.out + written.err + caplog.text
