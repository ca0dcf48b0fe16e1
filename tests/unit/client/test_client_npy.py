from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gamedojo import InputError
from gamedojo.cli.npy import read_npy


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.float16, np.uint8, np.int32, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=4, max_side=5),
        elements={"min_value": 0, "max_value": 1},
    )
)
def test_what_numpy_writes_is_read(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    np.save(path, array)
    tensor = read_npy(path, 2.0)
    assert (tensor.shape, tensor.divisor) == (array.shape, 2.0)
    values = np.frombuffer(tensor.data, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)
    np.testing.assert_array_equal(values, array.astype(values.dtype))


def test_the_second_version_of_the_format_is_read(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array(file, np.ones(3, np.float32), version=(2, 0))
    assert read_npy(tmp_path / "x.npy").shape == (3,)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(2, np.int64), "holds <i8"),
        (np.zeros(2, ">f4"), "holds >f4"),
        (np.asfortranarray(np.zeros((2, 3), np.float32)), "in Fortran's order"),
        (np.array(["a"]), "holds <U1"),
        (np.zeros(2, [("a", "<f4")]), "holds "),
    ],
)
def test_arrays_that_cannot_be_sent_are_named(tmp_path: Path, array: Any, message: str) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=message):
        read_npy(tmp_path / "x.npy")


def test_a_file_that_is_cut_off_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(10, np.float32))
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-1])
    with pytest.raises(InputError, match="39 bytes of numbers, not 40"):
        read_npy(tmp_path / "x.npy")


@given(st.binary(max_size=200))
def test_no_file_at_all_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    for start in (b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00"):
        path.write_bytes(start + content)
        with pytest.raises(InputError):
            read_npy(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npy cannot be read: No such file"):
        read_npy(tmp_path / "none.npy")
