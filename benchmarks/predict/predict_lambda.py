"""The Predict Lambda beside boto3 alone, in this process: `predict_lambda.py warm REQUESTS | handler | boto3 < asked`.

`warm` asks in turns, by the handler and by a raw InvokeEndpoint with the same body, and prints the medians in
milliseconds. The other two print the seconds of a cold start: imports and clients, by the clock and of the processor,
and `first`, until there is an answer. One JSON line each. `asked` is API Gateway's event.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

WARM_UP = 50


def handler() -> Callable[[dict[str, Any]], None]:
    from predict.app import handler as handle

    def ask(event: dict[str, Any]) -> None:
        answer = handle(event, None)
        if answer["statusCode"] != 200:
            raise RuntimeError(answer)

    return ask


def boto3_alone() -> Callable[[str], None]:
    import boto3

    client = boto3.client("sagemaker-runtime")

    def ask(body: str) -> None:
        answer = client.invoke_endpoint(
            EndpointName="bench-endpoint", ContentType="application/json", Accept="application/json", Body=body
        )
        answer["Body"].read()

    return ask


def warm(requests: int, event: dict[str, Any]) -> dict[str, float]:
    ours, theirs = handler(), boto3_alone()
    with_handler, with_boto3 = [], []
    for _ in range(WARM_UP + requests):
        began = time.perf_counter()
        ours(event)
        between = time.perf_counter()
        theirs(event["body"])
        with_handler.append(between - began)
        with_boto3.append(time.perf_counter() - between)
    pairs = list(zip(with_handler, with_boto3, strict=True))[WARM_UP:]
    return {
        "handler_ms": statistics.median(one for one, _ in pairs) * 1e3,
        "boto3_ms": statistics.median(other for _, other in pairs) * 1e3,
        "own_ms": statistics.median(one - other for one, other in pairs) * 1e3,
    }


def cold(side: str, event: dict[str, Any]) -> dict[str, float]:
    began, busy = time.perf_counter(), time.process_time()
    ask = partial(handler(), event) if side == "handler" else partial(boto3_alone(), event["body"])
    if side == "handler":
        from pipeline.aws import clients

        clients.s3()
        clients.sagemaker_runtime()
    made = {"seconds": time.perf_counter() - began, "processor_seconds": time.process_time() - busy}
    ask()
    return made | {"first": time.perf_counter() - began}


def main() -> None:
    what, *more = sys.argv[1:]
    event = json.load(sys.stdin)
    found = warm(int(*more), event) if what == "warm" else cold(what, event)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
