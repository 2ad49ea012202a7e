"""Mapped arrays: the ones that were saved, views of the file that may be written to without changing it; all else is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from propensity.pipeline.bundle import BROKEN
from propensity.pipeline.mapping import TYPES, mapped, tensors_in

ARRAYS = st.sampled_from([np.dtype(kind) for kind in TYPES.values()]).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(max_dims=3, min_side=0))
)


@given(st.dictionaries(st.text("abc.", min_size=1), ARRAYS, max_size=4))
def test_what_was_saved_is_found(arrays):
    found = tensors_in(memoryview(save(arrays)))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array, equal_nan=array.dtype.kind == "f")


def test_arrays_are_views_of_the_file_and_changes_stay_here(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({"a": np.arange(5_000, dtype=np.float32)}))
    array = tensors_in(mapped(path))["a"]
    assert array.flags.writeable
    assert not array.flags.owndata
    array[7] = -1
    assert tensors_in(mapped(path))["a"][7] == 7


@pytest.mark.parametrize("offsets", [[0, 16], [-4, 4], [8, 4], [0, 6]])
def test_an_array_outside_the_file_or_of_another_size_is_refused(offsets):
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": offsets}}).encode()
    with pytest.raises(BROKEN):
        tensors_in(memoryview(len(header).to_bytes(8, "little") + header + bytes(8)))
