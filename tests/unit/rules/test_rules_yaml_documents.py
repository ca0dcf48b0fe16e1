"""YAML from someone we do not know."""

import pytest

from pipeline.rules.yaml_documents import MAX_BYTES, UnreadableYamlError, load_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: [1, 2.5, x, true, null]", {"a": [1, 2.5, "x", True, None]}),
        (b"\xef\xbb\xbfa: 1", {"a": 1}),
        ("a: 3e-4", {"a": 3e-4}),
        ("a: 5.0e5", {"a": 5e5}),
        ("a: -1E3", {"a": -1000.0}),
        ("a: 1e", {"a": "1e"}),
        ("a: 2024-01-02", {"a": "2024-01-02"}),
        ("3: a", {"3": "a"}),
        ("base: &b {x: 1}\nown: {<<: *b, y: 2}", {"base": {"x": 1}, "own": {"x": 1, "y": 2}}),
        ("", None),
    ],
)
def test_plain_values(text, value):
    found = load_yaml(text)
    assert found == value
    assert [type(item) for item in (found or {}).values()] == [type(item) for item in (value or {}).values()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "line 1"),
        ("a: 1\n\tb: 2", "line 2"),
        ("a: 1\nb: 2\na: 3", "'a' is written twice (line 3)"),
        ("a: &a [*a]", "lies in"),
        (BOMB, "more than 50,000 values"),
        ("[" * 5000, "nested too deeply"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: !!binary aGk=", "bytes"),
        ("? [a, b]\n: 1", "a key must be a text"),
        ("a: 1\n---\nb: 2", "single document"),
        ("# " + "x" * MAX_BYTES, "at most 65,536"),
        (b"a: \xff", ""),
        ("a: \x00", ""),
    ],
)
def test_what_is_not_read(text, said):
    with pytest.raises(UnreadableYamlError) as caught:
        load_yaml(text)
    assert said in str(caught.value)
