"""API Gateway before our handlers, as a WSGI application: keys, routes, proxy events, binary bodies.

Its own answers are those of template.yaml.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from tests.fakes.control_stack import LambdaContext, sample_event
from tests.fakes.expanded_template import resources

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
KEY = "the-key-of-this-api"


class Gateway:
    """One API of the template; `handlers` by the logical id of their functions."""

    def __init__(self, api: str, handlers: dict[str, Handler]) -> None:
        body = resources("AWS::ApiGateway::RestApi")[api]["Body"]
        self._paths = body["paths"]
        self._answers = body["x-amazon-apigateway-gateway-responses"]
        self._binary = set(body.get("x-amazon-apigateway-binary-media-types", ()))
        self._handlers = handlers

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers, body = self.answer(environ)
        named = [(name, text) for name, text in headers.items() if name.lower() != "content-length"]
        start_response(f"{status} {HTTPStatus(status).phrase}", [*named, ("Content-Length", str(len(body)))])
        return [body]

    def answer(self, environ: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        resource, parameters = self._resource(method, path)
        if resource is None:
            return self._own("MISSING_AUTHENTICATION_TOKEN")
        operation = self._paths[resource][method.lower()]
        headers = _headers(environ)
        if operation["security"] and headers.get("X-Api-Key") != KEY:
            return self._own("INVALID_API_KEY")
        event = self._event(environ, method, path, resource, parameters, headers)
        answer = self._handlers[_function(operation)](event, LambdaContext())
        many = {name: ", ".join(texts) for name, texts in answer.get("multiValueHeaders", {}).items()}
        found = {**answer.get("headers", {}), **many}
        text = answer.get("body") or ""
        body = b64decode(text) if answer.get("isBase64Encoded") else text.encode()
        return int(answer["statusCode"]), found, body

    def _resource(self, method: str, path: str) -> tuple[str | None, dict[str, str]]:
        """The most specific path that has the method; one without it falls through to the greedy one."""
        for resource in sorted(self._paths, key=lambda one: ("+" in one, one.count("{"))):
            pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", resource.replace("{proxy+}", "(?P<proxy>.+)"))
            match = re.fullmatch(pattern, path, re.DOTALL)
            if match and method.lower() in self._paths[resource]:
                return resource, match.groupdict()
        return None, {}

    def _event(
        self,
        environ: dict[str, Any],
        method: str,
        path: str,
        resource: str,
        parameters: dict[str, str],
        headers: dict[str, str],
    ) -> dict[str, Any]:
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        binary = headers.get("Content-Type", "").partition(";")[0].strip().lower() in self._binary
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        event = sample_event("control/get_policies")
        return event | {
            "resource": resource,
            "path": path,
            "httpMethod": method,
            "headers": headers,
            "multiValueHeaders": {name: [text] for name, text in headers.items()},
            "queryStringParameters": {name: texts[-1] for name, texts in query.items()} or None,
            "multiValueQueryStringParameters": query or None,
            "pathParameters": parameters or None,
            "body": (b64encode(raw).decode() if binary else raw.decode("utf-8", "replace")) if raw else None,
            "isBase64Encoded": bool(raw) and binary,
        }

    def _own(self, kind: str) -> tuple[int, dict[str, str], bytes]:
        answer = self._answers[kind]
        named = {
            name.removeprefix("gatewayresponse.header."): text.strip("'")
            for name, text in answer["responseParameters"].items()
            if isinstance(text, str)
        }
        return int(answer["statusCode"]), named, answer["responseTemplates"]["application/json"].encode()


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    found = {
        name.removeprefix("HTTP_").replace("_", "-").title(): text
        for name, text in environ.items()
        if name.startswith("HTTP_")
    }
    return found | ({"Content-Type": environ["CONTENT_TYPE"]} if environ.get("CONTENT_TYPE") else {})


def _function(operation: dict[str, Any]) -> str:
    (found,) = re.findall(r"\${(\w+)\.Arn}", operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"])
    return str(found)
