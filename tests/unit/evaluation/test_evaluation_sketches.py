"""A build's sketch: what is drawn where, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_src.evaluation.sketches import MAX_SHAPES, InvalidSketchError, Sketch

WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)


def sketch(*shapes: list[Any], size: tuple[float, float] = (10, 5)) -> bytes:
    return json.dumps({"size": size, "shapes": shapes}).encode()


def test_shapes_stand_where_their_numbers_say_with_y_upwards() -> None:
    drawn = Sketch.read(
        sketch(
            ["rectangle", 0, 0, 2, 1, "#ff0000"], ["circle", 9, 4, 0.5, "#0000FF"], ["line", 4, 2, 6, 2, 0.4, "#ff0000"]
        )
    ).draw(200)
    assert drawn.size == (200, 100)
    assert drawn.getpixel((10, 95)) == RED
    assert drawn.getpixel((10, 50)) == WHITE
    assert drawn.getpixel((180, 20)) == BLUE
    assert drawn.getpixel((180, 80)) == WHITE
    assert drawn.getpixel((100, 60)) == RED


def test_later_shapes_cover_earlier_ones_and_texts_are_drawn() -> None:
    both = [["circle", 5, 2.5, 2, "#ff0000"], ["circle", 5, 2.5, 1, "#0000ff"]]
    assert Sketch.read(sketch(*both)).draw(100).getpixel((50, 25)) == BLUE
    written = Sketch.read(sketch(["text", 5, 2.5, "X", "#ff0000"])).draw(200)
    assert written.getcolors() != [(200 * 100, WHITE)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no list of shapes"),
        (b'{"size": [1, 1]}', "no list of shapes"),
        (b'{"size": [1, 0], "shapes": []}', "two positive numbers"),
        (b'{"size": [1, NaN], "shapes": []}', "two positive numbers"),
        (b'{"size": [1, true], "shapes": []}', "two positive numbers"),
        (b'{"size": "12", "shapes": []}', "two positive numbers"),
        (sketch(size=(100, 1)), "times the other"),
        (sketch(*[["circle", 1, 1, 1, "#000000"]] * (MAX_SHAPES + 1)), "more than 1000 shapes"),
        (sketch(["hexagon", 1, 1, 1, "#000000"]), "none of circle, rectangle, line, text"),
        (sketch([]), "none of"),
        (sketch(["circle", 1, 1, "#000000"]), "incomplete"),
        (sketch(["circle", 1, 1, 1]), "incomplete"),
        (sketch(["circle", 1, 1, 1, "#000000", "more"]), "incomplete"),
        (sketch(["circle", 1, "1", 1, "#000000"]), "incomplete"),
        (sketch(["circle", 1, 1, -1, "#000000"]), "negative size"),
        (sketch(["circle", 1, 1, 1e5, "#000000"]), "far outside"),
        (sketch(["circle", 1, 1, 1, "red"]), "#rrggbb"),
    ],
)
def test_what_is_no_sketch_is_refused_and_says_why(text: bytes, why: str) -> None:
    with pytest.raises(InvalidSketchError, match=why):
        Sketch.read(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9) | st.sampled_from(["circle", "line"]),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from(["size", "shapes", "x"]), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_whatever_a_build_sends_it_is_drawn_or_refused(text: bytes) -> None:
    try:
        read = Sketch.read(text)
    except InvalidSketchError:
        return
    assert max(read.draw(40).size) == 40


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from(["circle", "rectangle", "line"]), st.lists(st.floats(0, 40), min_size=5, max_size=5)),
        max_size=20,
    )
)
def test_every_shape_within_bounds_can_be_drawn(shapes: list[tuple[str, list[float]]]) -> None:
    needed = {"circle": 3, "rectangle": 4, "line": 5}
    items = [[kind, *numbers[: needed[kind]], "#123456"] for kind, numbers in shapes]
    assert Sketch.read(sketch(*items)).draw(60).size == (60, 30)
