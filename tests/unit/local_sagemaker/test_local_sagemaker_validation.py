"""Requests against botocore's model, worded as AWS words violations."""

import re
import string

import pytest
from botocore.model import ListShape, MapShape, StructureShape
from hypothesis import given
from hypothesis import strategies as st

from local.sagemaker.errors import (
    NotImplementedLocallyError,
    SerializationError,
    UnknownOperationError,
    ValidationError,
)
from local.sagemaker.validation import check_request, compiled, operation_model, service_model, violations

TAGS = {"ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e", "Tags": [{"Key": "a", "Value": "b"}]}


def check(operation: str, **members):
    check_request(operation_model(operation), members)


def test_a_good_request_passes():
    check("AddTags", **TAGS)
    check("DescribeEndpoint", EndpointName="mine")


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        (
            "DescribeEndpoint",
            {},
            "1 validation error detected: Value null at 'endpointName' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "DescribeEndpoint",
            {"EndpointName": "a_b"},
            "1 validation error detected: Value 'a_b' at 'endpointName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ),
        ("DescribeEndpoint", {"EndpointName": "e" * 64}, "length less than or equal to 63"),
        ("DescribeTrainingJob", {"TrainingJobName": ""}, "length greater than or equal to 1"),
        ("ListEndpoints", {"MaxResults": 0}, "value greater than or equal to 1"),
        ("ListEndpoints", {"MaxResults": 101}, "value less than or equal to 100"),
        ("ListEndpoints", {"SortOrder": "Up"}, "enum value set: [Ascending, Descending]"),
        ("DescribeEndpoint", {"EndpointName": "a", "Colour": 1}, "Unknown member 'colour'"),
        ("AddTags", {**TAGS, "Tags": [{"Key": "k"}]}, "null at 'tags.1.member.value'"),
        ("AddTags", {**TAGS, "Tags": [{"Key": "a\n", "Value": "b"}]}, "'tags.1.member.key'"),
    ],
)
def test_a_violation_is_worded_as_aws_does(operation: str, members: dict, message: str):
    with pytest.raises(ValidationError, match=re.escape(message)):
        check(operation, **members)


def test_all_violations_come_at_once():
    with pytest.raises(ValidationError, match="3 validation errors detected"):
        check("ListEndpoints", SortOrder="Up", MaxResults=0, NameContains="_")


@pytest.mark.parametrize("value", [1, True, None, [], {}, 1.5])
def test_a_wrong_type_is_another_error(value):
    with pytest.raises((SerializationError, ValidationError)) as caught:
        check("DescribeEndpoint", EndpointName=value)
    assert isinstance(caught.value, SerializationError) == (value is not None)


def test_true_is_no_number():
    with pytest.raises(SerializationError):
        check("ListEndpoints", MaxResults=True)


def test_an_operation_that_is_none_is_named():
    with pytest.raises(UnknownOperationError, match="CreateEndpiont"):
        operation_model("CreateEndpiont")


IMPLEMENTED = [
    *(f"{verb}TrainingJob" for verb in ("Create", "Describe", "Stop")),
    *(f"{verb}{what}" for verb in ("Create", "Describe", "Delete") for what in ("Model", "EndpointConfig", "Endpoint")),
    *("ListTrainingJobs", "ListModels", "ListEndpointConfigs", "ListEndpoints", "ListTags", "AddTags", "DeleteTags"),
    "UpdateEndpoint",
]
ODD = {r"([\p{L}\p{Z}\p{N}_.:\/=+\-@]*)${1,256}", r"([\p{L}\p{Z}\p{N}_.:\/=+\-@]*)${1,128}"}
"""Patterns that are none in any language; they belong to members that the service refuses by name."""


def readable(pattern: str) -> bool:
    try:
        compiled(pattern)
    except NotImplementedLocallyError:
        return pattern in ODD
    return True


def test_every_pattern_of_the_model_is_understood():
    patterns = set()

    def walk(shape, seen):
        if shape.name in seen:
            return
        seen.add(shape.name)
        patterns.add(shape.metadata.get("pattern", ""))
        if isinstance(shape, StructureShape):
            below = list(shape.members.values())
        elif isinstance(shape, ListShape):
            below = [shape.member]
        else:
            below = [shape.key, shape.value] if isinstance(shape, MapShape) else []
        for each in below:
            walk(each, seen)

    model = service_model("sagemaker")
    seen: set[str] = set()
    for name in IMPLEMENTED:
        shape = model.operation_model(name).input_shape
        if shape is not None:
            walk(shape, seen)
    assert len(patterns) > 30
    unreadable = [pattern for pattern in patterns if not readable(pattern)]
    assert unreadable == []


WORD = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)


@given(st.lists(WORD, min_size=1, max_size=6).map("-".join).map(lambda name: name[:63].rstrip("-")))
def test_every_good_name_passes(name: str):
    shape = service_model("sagemaker").shape_for("TrainingJobName")
    assert list(violations(shape, name, "name")) == []


@given(
    st.text(max_size=80).filter(lambda name: not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", name) or len(name) > 63)
)
def test_every_other_name_does_not(name: str):
    shape = service_model("sagemaker").shape_for("TrainingJobName")
    assert list(violations(shape, name, "name")) != []
