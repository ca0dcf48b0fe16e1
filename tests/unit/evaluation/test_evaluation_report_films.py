"""The report's page holds its films, moving and still, and what they show in words."""

import base64
import io
import re

from PIL import Image

from rl_src.evaluation.report import render_report
from rl_src.evaluation.training_record import TrainingRecord
from tests.fakes.artifact_archives import REPLAY, report


def film(*shades: int) -> bytes:
    first, *others = (Image.new("L", (4, 2), shade) for shade in shades)
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=100)
    return buffer.getvalue()


def page(name: str, films: dict[str, bytes]) -> str:
    told = report("basic-1", 0.93).model_copy(update={"replays": (REPLAY.model_copy(update={"behavior": name}),)})
    document = told.model_dump(mode="json")
    for behavior in document["behaviors"]:
        behavior["stochastic"] = None
    return render_report(document, TrainingRecord(), {}, films)


def test_a_film_is_in_the_page_with_its_first_picture_and_its_words() -> None:
    made = film(10, 200)
    shown = page("Basic", {REPLAY.film: made})
    addresses = re.findall(r'<img class="(\w+)" src="data:image/(\w+);base64,([^"]+)"', shown)
    assert [(kind, form) for kind, form, _ in addresses] == [("moving", "gif"), ("still", "png")]
    moving, still = (base64.b64decode(content) for _, _, content in addresses)
    assert moving == made
    with Image.open(io.BytesIO(still)) as picture:
        assert picture.convert("L").getpixel((0, 0)) == 10
    assert 'alt="Film of Basic. One episode, with the return 0.93; as the build draws itself."' in shown
    assert "Basic.trajectory.npz" in shown
    assert "prefers-reduced-motion: reduce" in shown
    assert "<script" not in shown
    assert re.search(r"default-src 'none';[^\"]*img-src data:\"", shown)


def test_a_behaviors_name_is_only_text() -> None:
    shown = page('<b onclick="x">', {REPLAY.film: film(10, 200)})
    assert "<b onclick" not in shown
    assert "&lt;b onclick" in shown


def test_without_a_film_there_is_no_place_for_one() -> None:
    assert "Watch it play" not in page("Basic", {})
