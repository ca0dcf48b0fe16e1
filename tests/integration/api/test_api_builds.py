"""The control API's builds: uploaded as a whole or in parts, listed, removed. S3 is moto's."""

from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.api import uploads
from pipeline.api.uploads import PART_SIZE_BYTES
from pipeline.contracts.api import MAX_BUILD_BYTES, Build, BuildPage, DeletedBuild, MultipartTicket, PartUrls
from tests.fakes.control_calls import call, document, problem
from tests.fakes.control_stack import BUCKET, control_stack

PART = 5 * 1024**2
"""The smallest that S3 takes but as the last."""


@pytest.fixture
def stack(monkeypatch):
    monkeypatch.setattr(uploads, "PART_SIZE_BYTES", PART)
    with control_stack() as made:
        yield made


def begin(size_bytes: int) -> MultipartTicket:
    return document(
        call("POST", "/builds", {"file_name": "My Game.zip", "size_bytes": size_bytes}), MultipartTicket, 201
    )


def send(stack, ticket: MultipartTicket, number: int, size: int) -> None:
    """PUT a part as its URL says: which upload and number it is, the URL tells."""
    query = parse_qs(urlsplit(ticket.parts[0].upload_url).query)
    stack.s3.upload_part(
        Bucket=BUCKET, Key=ticket.key, UploadId=query["uploadId"][0], PartNumber=number, Body=bytes(size)
    )


def complete(ticket: MultipartTicket, size_bytes: int):
    return call("POST", f"/builds/{ticket.build_id}/complete", {"size_bytes": size_bytes})


def test_a_url_is_of_its_part_and_of_its_upload_alone(stack):
    ticket = begin(2 * PART + 1)
    assert (ticket.part_count, ticket.part_size_bytes) == (3, PART)
    seen = set()
    for part in ticket.parts:
        url = urlsplit(part.upload_url)
        query = parse_qs(url.query)
        assert url.path == "/" + ticket.key.replace(" ", "%20")
        assert query["partNumber"] == [str(part.number)]
        assert query["X-Amz-Expires"] == [str(ticket.expires_in_seconds)]
        seen |= set(query["uploadId"])
    assert len(seen) == 1


@pytest.mark.parametrize(("size", "parts"), [(1, 1), (PART, 1), (PART + 1, 2), (250 * PART, 250)])
def test_as_many_parts_as_the_size_needs_the_first_hundred_at_once(stack, size, parts):
    ticket = begin(size)
    assert ticket.part_count == parts
    assert [part.number for part in ticket.parts] == list(range(1, min(parts, 100) + 1))


def test_the_largest_build_has_no_more_parts_than_s3_takes():
    assert -(-MAX_BUILD_BYTES // PART_SIZE_BYTES) <= 10_000


def test_parts_that_came_in_any_order_make_one_build(stack):
    ticket = begin(2 * PART + 3)
    for number, size in ((3, 3), (1, PART), (2, PART)):
        send(stack, ticket, number, size)
    waiting = document(call("GET", f"/builds/{ticket.build_id}"), Build)
    assert (waiting.status, waiting.parts, waiting.size_bytes) == ("UPLOADING", (1, 2, 3), 2 * PART + 3)
    done = document(complete(ticket, 2 * PART + 3), Build)
    assert (done.status, done.key, done.size_bytes) == ("READY", ticket.key, 2 * PART + 3)
    assert document(complete(ticket, 2 * PART + 3), Build) == done, "the same call again is no mistake"
    assert document(call("GET", f"/builds/{ticket.build_id}"), Build) == done


def test_a_build_with_a_hole_is_not_put_together(stack):
    ticket = begin(3 * PART)
    send(stack, ticket, 2, PART)
    found = problem(complete(ticket, 3 * PART), 409)
    assert "2 of 3 parts have not come: 1, 3." in found.detail
    assert document(call("GET", f"/builds/{ticket.build_id}"), Build).status == "UPLOADING"


@pytest.mark.parametrize("sizes", [(PART, 2), (PART, 4), (PART, PART)])
def test_parts_that_add_up_to_something_else_are_told(stack, sizes):
    ticket = begin(PART + 3)
    for number, size in enumerate(sizes, 1):
        send(stack, ticket, number, size)
    assert f"{sum(sizes)} bytes together, not {PART + 3}" in problem(complete(ticket, PART + 3), 409).detail


@pytest.mark.parametrize("sizes", [(3, PART), (PART - 5, 8), (PART, 3, 0)])
def test_parts_that_have_changed_places_make_no_build(stack, sizes):
    ticket = begin(PART + 3)
    for number, size in enumerate(sizes, 1):
        send(stack, ticket, number, size)
    found = problem(complete(ticket, PART + 3), 409)
    wrong = next(number for number, size in enumerate(sizes, 1) if size != PART)
    assert found.detail == f"Part {wrong} has {sizes[wrong - 1]} bytes, not {PART}."
    assert document(call("GET", f"/builds/{ticket.build_id}"), Build).status == "UPLOADING"


def test_more_urls_are_given_while_the_build_is_in_parts_and_no_longer(stack):
    ticket = begin(150 * PART)
    path = f"/builds/{ticket.build_id}/parts"
    more = document(call("POST", path, {"first": 101, "count": 50}), PartUrls)
    assert [part.number for part in more.parts] == list(range(101, 151))
    assert len(document(call("POST", path), PartUrls).parts) == 100
    send(stack, ticket, 1, 9)
    document(complete(begin_again := ticket, 9), Build)
    assert "is complete" in problem(call("POST", f"/builds/{begin_again.build_id}/parts"), 409).detail


def test_a_build_is_removed_and_one_in_parts_is_given_up(stack):
    whole = "uploads/" + "a" * 32 + "/Whole.zip"
    stack.put(whole, b"zip")
    assert document(call("DELETE", f"/builds/{'a' * 32}"), DeletedBuild).build_id == "a" * 32
    assert problem(call("DELETE", f"/builds/{'a' * 32}"), 404).code == "BuildNotFound"
    ticket = begin(9)
    document(call("DELETE", f"/builds/{ticket.build_id}"), DeletedBuild)
    assert problem(call("GET", f"/builds/{ticket.build_id}"), 404).code == "BuildNotFound"
    assert problem(complete(ticket, 9), 404).code == "BuildNotFound"
    assert stack.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def test_removing_one_build_leaves_all_others(stack):
    for letter in "ab":
        stack.put(f"uploads/{letter * 32}/x.zip", b"zip")
    stack.put("builds/game.zip", b"zip")
    call("DELETE", f"/builds/{'a' * 32}")
    keys = [one["Key"] for one in stack.s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert keys == ["builds/game.zip", f"uploads/{'b' * 32}/x.zip"]


def test_builds_are_listed_page_by_page(stack):
    keys = [f"uploads/{number:032x}/Game {number}.zip" for number in range(5)] + ["uploads/by-hand.zip"]
    for key in keys:
        stack.put(key, b"zip")
    stack.put("builds/dropped.zip", b"zip")
    found, token = [], None
    while True:
        query = {"limit": "2"} | ({"next_token": token} if token else {})
        page = document(call("GET", "/builds", query=query), BuildPage)
        found += page.builds
        token = page.next_token
        if not token:
            break
    assert [one.key for one in found] == sorted(keys)
    assert [one.build_id for one in found] == [f"{number:032x}" for number in range(5)] + [None]
    assert all(one.size_bytes == 3 and one.uploaded_at for one in found)


@pytest.mark.parametrize("token", ["x", "YQ==", "cnVucy8=", "é", "dXBsb2Fkcy//"])
def test_a_token_that_is_none_of_ours_is_refused(stack, token):
    assert problem(call("GET", "/builds", query={"next_token": token}), 400).code == "InvalidRequest"


@pytest.mark.parametrize("build_id", ["x", "A" * 32, "a" * 31, "..", "a" * 32 + "x"])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/parts")])
def test_what_is_no_build_is_not_found(stack, method, path, build_id):
    assert problem(call(method, f"/builds/{build_id}{path}"), 404).code == "BuildNotFound"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"file_name": "x.zip", "size_bytes": 0}, "size_bytes"),
        ({"file_name": "x.zip", "size_bytes": MAX_BUILD_BYTES + 1}, "size_bytes"),
        ({"file_name": "x.zip", "size_bytes": "9"}, "size_bytes"),
        ({"size_bytes": 9}, "file_name"),
    ],
)
def test_a_bad_beginning_is_named(stack, body, field):
    assert [one.field for one in problem(call("POST", "/builds", body), 400).errors] == [field]
