import json
import math
import struct
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gamedojo import InputError, Tensor
from gamedojo.observations import BINARY_FROM_VALUES, JSON, MSGPACK, encoded, predict_request
from gamedojo.packing import packed
from pipeline.contracts.predict import PredictRequest

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
)
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=20),
    max_leaves=40,
)


@given(documents)
def test_what_is_packed_any_reader_of_messagepack_reads(document: Any) -> None:
    assert msgpack.unpackb(packed(document), strict_map_key=False) == document


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_every_form_of_a_length(size: int) -> None:
    document = ["x" * size, bytes(size), [1] * size, {str(n): n for n in range(size)}]
    assert msgpack.unpackb(packed(document), strict_map_key=False) == document


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, {1, 2}, object()])
def test_what_has_no_place_in_messagepack_is_named(value: Any) -> None:
    with pytest.raises(InputError, match=r"more than 64 bits|has no place"):
        packed([value])


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.float16, np.uint8, np.int32, np.bool_]),
        arrays.array_shapes(max_dims=4, max_side=8),
        elements={"allow_nan": False, "allow_infinity": False, "min_value": 0, "max_value": 1},
    ),
    st.sampled_from([1.0, 255.0]),
)
def test_a_tensor_is_the_array_that_the_contract_reads(array: np.ndarray, divisor: float) -> None:
    body, media_type = encoded(predict_request({"Sensor": Tensor.of(array, divisor)}))
    assert media_type == MSGPACK
    request = PredictRequest.model_validate(msgpack.unpackb(body))
    read = request.observations["Sensor"]
    values = np.frombuffer(read.data, np.dtype(read.dtype).newbyteorder("<")).reshape(read.shape)
    np.testing.assert_array_equal(values, array.astype(values.dtype))
    assert read.divisor == divisor


def test_rows_and_byte_order_of_the_machine_do_not_matter() -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    assert Tensor.of(array).data == struct.pack("<6f", 0, 3, 1, 4, 2, 5)
    assert Tensor.of(array).shape == (3, 2)


@pytest.mark.parametrize("dtype", [np.int64, np.complex64, np.uint16, "S3"])
def test_numbers_that_the_api_does_not_read_are_named(dtype: Any) -> None:
    with pytest.raises(InputError, match="cannot be sent"):
        Tensor.of(np.zeros(3, dtype))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_tensor_has_no_nan(value: float) -> None:
    with pytest.raises(InputError, match="NaN or infinite"):
        Tensor.of(np.array([1.0, value], np.float32))


def test_large_arrays_go_as_bytes_and_small_ones_as_numbers() -> None:
    small, large = np.zeros(BINARY_FROM_VALUES - 1, np.float32), np.zeros(BINARY_FROM_VALUES, np.float32)
    assert encoded(predict_request([small]))[1] == JSON
    body, media_type = encoded(predict_request([small, large]))
    assert media_type == MSGPACK
    one, other = msgpack.unpackb(body)["observations"]
    assert one == [0.0] * small.size
    assert other["data"] == large.tobytes()


def test_arrays_inside_a_list_are_numbers_whatever_their_size() -> None:
    frames = [np.zeros(BINARY_FROM_VALUES, np.float32)] * 2
    body, media_type = encoded(predict_request({"Sensor": frames}))
    assert media_type == JSON
    assert len(json.loads(body)["observations"]["Sensor"][1]) == BINARY_FROM_VALUES
    with pytest.raises(InputError, match=r"observations\.Sensor\[0\] is a tensor inside a list"):
        predict_request({"Sensor": [Tensor.of(frames[0])]})


def test_integers_of_64_bits_stay_numbers() -> None:
    body, media_type = encoded(predict_request([np.full(BINARY_FROM_VALUES, 2**40)]))
    assert media_type == JSON
    assert json.loads(body)["observations"][0][0] == 2**40


def test_a_state_is_sent_only_if_it_is_given() -> None:
    assert "state" not in predict_request([[1.0]])
    assert predict_request([[1.0]], state=None)["state"] is None
    assert predict_request([[1.0]], state=("a", None))["state"] == ["a", None]


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes"])
def test_what_is_no_number_is_named_with_its_place(value: Any) -> None:
    with pytest.raises(InputError, match=r"observations\.Sensor\[1\] is "):
        predict_request({"Sensor": [1.0, value]})


def test_of_a_large_array_that_cannot_be_sent_the_sensor_is_named() -> None:
    frame = np.full(BINARY_FROM_VALUES, np.nan, np.float32)
    with pytest.raises(InputError, match=r"^observations\.Camera: An array has a value that is NaN") as caught:
        predict_request({"Vector": [0.0], "Camera": frame})
    assert caught.value.remedy
    with pytest.raises(InputError, match=r"^observations\[1\]: "):
        predict_request([[0.0], frame])
