"""ML-Agents trainer files and recordings inside a zip."""

import io
import zipfile

import pytest

from pipeline.contracts.build import BuildManifest
from pipeline.errors import InvalidRequestError
from pipeline.rules.inspection import inspect
from tests.fakes.unity_zips import SCRIPT, build

TRAINER = b"behaviors:\n  Ball: {max_steps: 5}\n"


def look(body: bytes) -> BuildManifest:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return inspect(archive, "runs/r/build.zip", len(body))


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("", "trainer.yaml"),
        ("", "Ball.YML"),
        ("Game/", "Game/ball.yaml"),
        ("a/b/", "a/b/ball.yaml"),
        ("a/b/", "a/ball.yaml"),
        ("a/b/", "ball.yaml"),
    ],
)
def test_a_trainer_file_at_the_root_in_the_only_folder_or_beside_the_program(folder, path):
    found = look(build(folder, more=[(path, TRAINER)])).trainer_file
    assert found is not None
    assert (found.path, found.document) == (path, {"behaviors": {"Ball": {"max_steps": 5}}})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Game_Data/trainer.yaml", TRAINER),
        ("trainer.txt", TRAINER),
        ("other.yaml", b"players: 4"),
        ("other.yaml", b"- behaviors"),
        ("other.yaml", b"%TAG !u! tag:unity3d.com,2011:\n--- !u!1 &1\nGameObject: {}\n"),
        ("large.yaml", b"players: 4\n" + b"#" * 64 * 1024),
    ],
)
def test_other_files_are_the_builds_own(path, text):
    assert look(build(more=[(path, text)])).trainer_file is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"behaviors:\n\tBall: 1\n", "line 2"),
        (b"x: &x [*x]\nbehaviors: {}\n", "lies in"),
        (TRAINER + b"#" * 64 * 1024, "most"),
    ],
)
def test_what_looks_like_one_and_cannot_be_read_is_refused(text, said):
    with pytest.raises(InvalidRequestError, match=r"ball\.yaml in the zip is not readable YAML") as caught:
        look(build(more=[("ball.yaml", text)]))
    assert said in caught.value.cause


def test_several_are_refused_by_name():
    more = [("a.yaml", TRAINER), ("b.yml", TRAINER), ("c.yaml", b"x: 1")]
    with pytest.raises(InvalidRequestError, match=r"several ML-Agents trainer files: a\.yaml, b\.yml\."):
        look(build(more=more))


def test_our_own_options_are_no_trainer_file():
    manifest = look(build(more=[("gamedojo.yaml", b"behaviors: {Ball: {network: {activation: relu}}}")]))
    assert manifest.trainer_file is None
    assert manifest.options is not None
    assert set(manifest.options.behaviors) == {"Ball"}


def test_recordings_are_listed():
    more = [("demos/b.demo", b"1"), ("a.demo", b"2"), ("a.demo.txt", b"3")]
    assert look(build(program=SCRIPT, more=more)).recordings == ("a.demo", "demos/b.demo")
