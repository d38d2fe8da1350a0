"""Claims about strangers' pickles: arrays are read as they were, and nothing else runs."""

import contextlib
import io
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video2pose3d import archives, unpickling
from video2pose3d.errors import UserError

VALUES = {
    "floats": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "big endian": np.arange(5, dtype=">i2"),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "empty": np.zeros((0, 17, 2)),
    "names": np.array(["54138969", "55011271"]),
    "flags": np.array([True, False]),
    "mixed": np.array([[None, "a"], [np.arange(3), {"x": 1}]], dtype=object),
    "scalar": np.float64(2.5),
    "list": [1, "two", (3.0, [np.ones(2)])],
    "set": {1, 2},
}


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray) and a.dtype == object:
        return a.shape == b.shape and all(map(same, a.ravel().tolist(), b.ravel().tolist()))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_are_read_as_they_were(protocol):
    pickled = pickle.dumps(VALUES, protocol)
    assert same(VALUES, unpickling.load(io.BytesIO(pickled), "x.pkl"))


@given(st.lists(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)))  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_plain_values_are_read_as_they_were(value):
    assert unpickling.load(io.BytesIO(pickle.dumps(value)), "x.pkl") == value


class Hostile:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "name"),
    [(open, "io.open"), (eval, "builtins.eval"), (getattr, "builtins.getattr"),
     (np.load, "numpy.load"), (np.fromfile, "numpy.fromfile")],
)  # fmt: skip
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_is_refused_by_name(tmp_path, function, name, protocol):
    made = tmp_path / "made"
    argument = f"open({str(made)!r}, 'w')" if function is eval else str(made)
    call = Hostile(function, argument, "w") if function is open else Hostile(function, argument)
    pickled = pickle.dumps({"train": [np.ones(3), call]}, protocol)
    with pytest.raises(UserError, match="which could run code") as caught:
        unpickling.load(io.BytesIO(pickled), "x.pkl")
    spoken = name.partition(".")[2]
    assert "x.pkl" in str(caught.value)
    assert spoken in str(caught.value)
    assert not made.exists()


def test_an_array_cannot_be_longer_than_its_data():
    pickled = pickle.dumps(np.arange(4, dtype=np.uint8), 2)
    longer = pickled.replace(b"K\x04\x85", b"K\x40\x85")
    assert longer != pickled
    with pytest.raises(UserError, match="differ in length"):
        unpickling.load(io.BytesIO(longer), "x.pkl")


def test_structured_and_strange_dtypes_are_refused():
    for dtype in ("i4,f4", "M8[s]", "V8"):
        with pytest.raises(UserError):
            unpickling.load(io.BytesIO(pickle.dumps(np.zeros(2, dtype))), "x.pkl")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_damage_anywhere_is_one_clear_error_or_another_value(protocol):
    pickled = pickle.dumps({"a": np.arange(6.0), "b": ["x", np.array([None])]}, protocol)
    rng = np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(pickled)
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        with contextlib.suppress(UserError):
            unpickling.load(io.BytesIO(bytes(damaged)), "x.pkl")
    with pytest.raises(UserError):
        unpickling.load(io.BytesIO(pickled[:-9]), "x.pkl")


@pytest.mark.parametrize(
    "named",
    [b"cnumpy.core.multiarray\nscalar\n", b"c_codecs\nencode\n", b"cbuiltins\ndict\n",
     b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"],
)  # fmt: skip
def test_nothing_that_a_pickle_names_can_be_given_attributes(named):
    with pytest.raises(UserError, match="not a pickle of arrays"):
        unpickling.load(io.BytesIO(named + b"(N(dS'function'\nI1\nstb."), "x.pkl")


def test_a_container_in_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(UserError):
        unpickling.load(io.BytesIO(pickle.dumps(value)), "x.pkl")


def test_npz_files_with_objects_are_read_only_where_asked(tmp_path):
    tree = {"S1": {"Walking 1": [np.ones((4, 17, 2), np.float32)]}}
    np.savez_compressed(tmp_path / "a.npz", tree=np.array(tree, dtype=object), plain=np.ones(2))
    with pytest.raises(UserError, match="may run code"):
        archives.read(tmp_path / "a.npz", ("tree",))
    read = archives.read(tmp_path / "a.npz", ("tree", "plain"), objects=True)
    assert same(tree, read["tree"][()])
    assert read["plain"].shape == (2,)

    evil = np.array({"S1": Hostile(eval, "1")}, dtype=object)
    np.savez(tmp_path / "evil.npz", tree=evil)
    with pytest.raises(UserError, match=r"names builtins\.eval"):
        archives.read(tmp_path / "evil.npz", ("tree",), objects=True)
