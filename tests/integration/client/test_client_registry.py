"""`gamedojo registry`: from a registry's server, or a folder, to the stack. Both are real sockets."""

import json
import threading
from collections.abc import Iterator

import pytest
from typer.testing import Result

from gamedojo import downloads
from tests.fakes.api_server import Answer, FakeApi, problem
from tests.fakes.registry_server import (
    BASIC,
    DIGESTS,
    SCENE,
    STARTUP,
    call,
    entry,
    manifest,
    posted,
    sent,
    serve,
    stand_up,
)


@pytest.fixture
def server() -> Iterator[FakeApi]:
    """The registry's."""
    with FakeApi().running() as running:
        yield running


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "FIRST_PAUSE_SECONDS", 0.0)


def mirror(api: FakeApi, server: FakeApi, *arguments: object) -> Result:
    return call(api, "mirror", "--manifest", f"{server.origin}/manifest.yaml", *arguments)


def test_an_environment_is_fetched_sent_noted_and_its_upload_removed(api: FakeApi, server: FakeApi) -> None:
    serve(server)
    stand_up(api)
    done = mirror(api, server, "3DBall")
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == ["3DBall", "5", "B", "sha256", DIGESTS[STARTUP]]
    assert posted(api) == [
        {
            "environment": "3DBall",
            "key": f"uploads/{1:032x}/Startup.zip",
            "sha256": DIGESTS[STARTUP],
            "source": f"{server.origin}/linux/Startup.zip",
            "arguments": [SCENE, "Assets/3DBall.unity"],
            "expected_return": 100.0,
            "description": "## 3D Balance Ball\n- Agents: 12",
            "replace": False,
        }
    ]
    assert sent(api) == [STARTUP]
    assert [one.method for one in api.received][-1] == "DELETE"
    assert [one.path for one in server.received] == ["/manifest.yaml", "/linux/Startup.zip"]


def test_environments_that_share_a_zip_share_one_download_and_one_upload(api: FakeApi, server: FakeApi) -> None:
    serve(server)
    stand_up(api)
    done = mirror(api, server, "3DBall", "WallJump", "Basic", "--json")
    assert [one["environment"] for one in json.loads(done.stdout)] == ["3DBall", "WallJump", "Basic"]
    assert [one.path for one in server.received] == ["/manifest.yaml", "/linux/Startup.zip", "/linux/Basic.zip"]
    assert sent(api) == [STARTUP, BASIC]
    assert [one["arguments"] for one in posted(api)][:2] == [
        [SCENE, "Assets/3DBall.unity"],
        [SCENE, "Assets/WallJump.unity"],
    ]
    assert sum(one.method == "DELETE" for one in api.received) == 2


def test_what_is_mirrored_is_not_fetched_again(api: FakeApi, server: FakeApi) -> None:
    serve(server)
    stand_up(api, entry("3DBall", source=f"{server.origin}/linux/Startup.zip", sha256=DIGESTS[STARTUP]))
    done = mirror(api, server, "3DBall")
    assert done.stdout.split()[-1] == DIGESTS[STARTUP]
    assert [one.path for one in server.received] == ["/manifest.yaml"]
    assert {one.method for one in api.received} == {"GET"}


def test_what_is_mirrored_is_fetched_anew_to_replace_it(api: FakeApi, server: FakeApi) -> None:
    serve(server)
    stand_up(api, entry("3DBall", source=f"{server.origin}/linux/Startup.zip", sha256="1" * 64))
    assert mirror(api, server, "3DBall", "--replace").exit_code == 0
    (request,) = posted(api)
    assert (request["sha256"], request["replace"]) == (DIGESTS[STARTUP], True)


def test_another_zip_under_the_same_id_is_the_stacks_to_refuse(api: FakeApi, server: FakeApi) -> None:
    serve(server)
    stand_up(api, entry("3DBall"))
    refusal = problem(409, "Conflict", "3DBall was mirrored with another zip.", "Ask for it: --replace.")
    api.script_by_body("POST", "/registry", lambda _: refusal)
    done = mirror(api, server, "3DBall")
    assert done.exit_code == 5
    assert "--replace" in done.stderr
    assert [one.method for one in api.received][-1] == "DELETE", "what was sent in vain is removed"


def test_a_pin_is_held_before_anything_is_sent(api: FakeApi, server: FakeApi) -> None:
    serve(server)
    stand_up(api)
    refused = mirror(api, server, "3DBall", "--sha256", "1" * 64)
    assert refused.exit_code == 1
    assert DIGESTS[STARTUP] in refused.stderr
    assert not sent(api)
    assert mirror(api, server, "3DBall", "--sha256", DIGESTS[STARTUP].upper()).exit_code == 0


def test_all_of_a_registry_is_what_has_a_build_for_linux_or_says_which_has_none(api: FakeApi, server: FakeApi) -> None:
    serve(server)
    stand_up(api)
    done = mirror(api, server, "--all")
    assert done.exit_code == 0, done.stderr
    assert sorted(one["environment"] for one in posted(api)) == ["3DBall", "Basic", "WallJump"]
    assert "OnlyForMacs" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["3DBal"], "Did you mean 3DBall?"),
        (["Zzzzz"], "It has: 3DBall, Basic, OnlyForMacs, WallJump."),
        (["OnlyForMacs"], "no build for Linux"),
        (["3DBall", "Basic", "--sha256", "0" * 64], "--sha256 is of one zip"),
        (["3DBall", "--sha256", "abc"], "is no SHA-256"),
        ([], "Name environments, or say --all."),
        (["3DBall", "--all"], "Name environments, or say --all."),
    ],
)
def test_what_cannot_be_right_is_said_before_anything_is_sent(
    api: FakeApi, server: FakeApi, arguments: list[str], words: str
) -> None:
    serve(server)
    stand_up(api)
    done = mirror(api, server, *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert {one.method for one in api.received} <= {"GET"}


CUT = Answer(body=STARTUP, cut_after_bytes=500)


@pytest.mark.parametrize("trouble", [CUT, Answer(drop=True), Answer(503, body=b""), Answer(429, body=b"")])
def test_a_download_that_breaks_is_begun_anew(api: FakeApi, server: FakeApi, trouble: Answer) -> None:
    server.script("GET", "/linux/Startup.zip", trouble, trouble)
    serve(server)
    stand_up(api)
    assert mirror(api, server, "3DBall").exit_code == 0
    assert sent(api) == [STARTUP]


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (CUT, 6, "tried 3 times"),
        (Answer(drop=True), 6, "tried 3 times"),
        (Answer(503, body=b""), 6, "it answered 503"),
        (Answer(404, body=b"<Error>NoSuchKey</Error>"), 1, "answers 404 Not Found"),
        (Answer(403, body=b""), 1, "answers 403 Forbidden"),
        (Answer(body=b"<html>Sign in to the hotel's network</html>"), 1, "is no zip file (43 bytes)"),
        (Answer(body=b""), 1, "is no zip file"),
        (Answer(body=STARTUP[:-30]), 1, "is no zip file"),
        (Answer(302, body=b"", headers={"location": "/linux/Startup.zip"}), 1, "from one address to the next"),
        (Answer(302, body=b"", headers={"location": "http://registry.example/x.zip"}), 2, "nobody warrants"),
        (Answer(302, body=b"", headers={"location": "ftp://127.0.0.1/x.zip"}), 2, "nobody warrants"),
        (Answer(302, body=b"", headers={"location": "file:///etc/passwd"}), 2, "nobody warrants"),
        (Answer(302, body=b""), 1, "from one address to the next"),
    ],
)
def test_a_download_that_cannot_be_had_sends_nothing(
    api: FakeApi, server: FakeApi, answer: Answer, code: int, words: str
) -> None:
    server.script("GET", "/linux/Startup.zip", answer)
    server.script("GET", "/manifest.yaml", Answer(body=manifest(server.origin).encode()))
    stand_up(api, entry("Basic"))
    done = mirror(api, server, "3DBall")
    assert done.exit_code == code, done.output
    assert words in done.stderr
    assert {one.method for one in api.received} == {"GET"}
    if code != 2:
        assert "gamedojo registry mirror 3DBall --from FOLDER" in done.stderr
        assert "Mirrored already: Basic." in done.stderr


def test_redirects_are_followed_and_the_source_is_what_the_registry_says(api: FakeApi, server: FakeApi) -> None:
    server.script("GET", "/linux/Startup.zip", Answer(302, body=b"", headers={"location": "../cdn/a.zip?token=x"}))
    server.script("GET", "/cdn/a.zip", Answer(307, body=b"", headers={"location": f"{server.origin}/cdn/b.zip"}))
    server.script("GET", "/cdn/b.zip", Answer(body=STARTUP))
    serve(server)
    stand_up(api)
    assert mirror(api, server, "3DBall").exit_code == 0
    assert posted(api)[0]["source"] == f"{server.origin}/linux/Startup.zip"


def test_a_key_in_a_url_is_used_and_not_told(api: FakeApi, server: FakeApi) -> None:
    serve(server)
    host = server.origin.removeprefix("http://")
    zips = {one: f"http://me:secret@{host}/linux/Startup.zip?key={one}#x" for one in ("A", "B")}
    text = json.dumps({"environments": [{one: {"linux_url": url}} for one, url in zips.items()]})
    server.script("GET", "/signed.yaml", Answer(body=text.encode()))
    stand_up(api)
    done = call(api, "mirror", "--all", "--manifest", f"{server.origin}/signed.yaml")
    assert done.exit_code == 0, done.output
    assert [one.query for one in server.calls("GET", "/linux/Startup.zip")] == [{"key": "A"}, {"key": "B"}]
    assert {one["source"] for one in posted(api)} == {f"{server.origin}/linux/Startup.zip"}
    assert "secret" not in done.output


@pytest.mark.parametrize("told", [True, False])
def test_what_is_too_large_is_not_fetched_to_its_end(api: FakeApi, server: FakeApi, told: bool) -> None:
    large = bytes(3_000_000)
    headers = {} if told else {"transfer-encoding": "chunked"}
    body = large if told else b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large)
    server.script("GET", "/linux/Startup.zip", Answer(body=body, headers=headers))
    serve(server)
    stand_up(api)
    done = mirror(api, server, "3DBall", "--max-gb", "0.001")
    assert done.exit_code == 1
    assert "is larger than 1,000,000 bytes" in done.stderr
    assert "--max-gb" in done.stderr
    assert not sent(api)


def test_a_registry_that_cannot_be_reached_is_named_with_the_other_ways(api: FakeApi, server: FakeApi) -> None:
    stand_up(api, entry("Walker"), entry("Basic"))
    url = server.origin
    server._server.server_close()
    done = call(api, "mirror", "3DBall", "--manifest", f"{url}/manifest.yaml")
    assert done.exit_code == 6
    assert f"The registry {url}/manifest.yaml does not give it" in done.stderr
    assert "gamedojo registry mirror 3DBall --from FOLDER" in done.stderr
    assert "Mirrored already: Basic, Walker." in done.stderr


@pytest.mark.parametrize(
    "url", ["http://registry.example/manifest.yaml", "ftp://registry.example/x", "manifest.yaml", "file:///etc/passwd"]
)
def test_a_manifest_that_anybody_could_have_changed_is_not_read(api: FakeApi, url: str) -> None:
    done = call(api, "mirror", "3DBall", "--manifest", url)
    assert done.exit_code == 2
    assert "https://" in done.stderr
    assert not api.received


@pytest.mark.parametrize(
    "text",
    [
        "<html>",
        "environments: 3",
        "- 3DBall",
        "environments: [3DBall]",
        "environments: [{a: 1, b: 2}]",
        "a: [",
        "[" * 5000,
        "environments:\n  - X: {linux_url: y, additional_args: z}",
        "!!python/object/apply:os.system [true]",
    ],
)
def test_what_is_no_manifest_is_refused(api: FakeApi, server: FakeApi, text: str) -> None:
    server.script("GET", "/manifest.yaml", Answer(body=text.encode()))
    stand_up(api)
    done = mirror(api, server, "3DBall")
    assert done.exit_code == 2, done.output
    assert "no registry's manifest" in done.stderr or "is no list" in done.stderr


def test_two_that_mirror_at_once_do_not_get_into_each_others_way(api: FakeApi, server: FakeApi) -> None:
    serve(server)
    stand_up(api)
    results: list[int] = []
    environment = api.environment()

    def work() -> None:
        from gamedojo import Connection, GamedojoClient
        from gamedojo.cli.mirroring import MirrorOptions
        from gamedojo.cli.mirroring import mirror as mirror_each
        from gamedojo.registries import RemoteRegistry

        connection = Connection(environment["GAMEDOJO_CONTROL_URL"], environment["GAMEDOJO_CONTROL_KEY"])
        with GamedojoClient(connection) as client:
            source = RemoteRegistry(f"{server.origin}/manifest.yaml")
            results.append(len(list(mirror_each(client, source, ["3DBall", "Basic"], MirrorOptions(quiet=True)))))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [2] * 4
    assert {(one["environment"], one["sha256"]) for one in posted(api)} == {
        ("3DBall", DIGESTS[STARTUP]),
        ("Basic", DIGESTS[BASIC]),
    }
    assert sorted(sent(api)) == sorted([STARTUP, BASIC] * 4)
