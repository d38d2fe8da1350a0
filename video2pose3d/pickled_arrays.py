"""Arrays out of the pickled dictionaries of old data sets, without running what a pickle asks for.

Every class and function that a pickle names becomes a stand-in that only keeps what it was given;
any other name is refused. NumPy arrays, scipy's csc matrices and chumpy's leaves and selections of
them are then put together from those bytes here, so that neither numpy, scipy nor chumpy (which
Python 3.12 can't install) is asked to believe them.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from video2pose3d.errors import UserError

_MOST_NUMBERS = 2**28  # of one matrix unpacked; SMPL's largest array has four million

# What pickle and the lines below raise at bytes that make no sense.
_DAMAGE = (
    pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, KeyError,
    MemoryError, OverflowError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def read(path: Path, keys: Iterable[str]) -> dict[str, np.ndarray]:
    """Those arrays of a pickled dictionary that are among `keys`; UserError for any other file.

    Read are numbers in numpy.ndarray, scipy.sparse.csc_matrix (made dense), chumpy.ch.Ch and
    chumpy.reordering.Select; what lies under other keys is passed over.
    """
    try:
        with open(path, "rb") as file:
            content = _Unpickler(file, encoding="latin1").load()
        if not isinstance(content, dict):
            raise ValueError(f"holds a {type(content).__name__}, not a dictionary")
        return {key: _array(content[key]) for key in keys if key in content}
    except FileNotFoundError:
        raise UserError("no such file", path=path) from None
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror or error}", path=path) from error
    except _DAMAGE as error:
        raise UserError(f"not a pickle of plain arrays ({error})", path=path) from error


class _StandIn:
    """In place of an object of a class that the pickle names: what it was made from."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Any:
        self = super().__new__(cls)
        self.args, self.state = args, None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_StandIn): ...


class _DType(_StandIn): ...


class _Csc(_StandIn): ...


class _Ch(_StandIn): ...


class _Select(_StandIn): ...


class _OtherChumpy(_StandIn): ...  # expressions, whose values nobody asks for


class _Object(_StandIn): ...


class _EmptyArray(_StandIn):
    """numpy's _reconstruct(ndarray, (0,), "b"): an array whose content follows."""

    def __new__(cls, *args: Any) -> Any:
        return _Array()


class _EmptyObject(_StandIn):
    """copy_reg's _reconstructor(class, object, None): an object whose content follows."""

    def __new__(cls, kind: Any, *args: Any) -> Any:
        if not (isinstance(kind, type) and issubclass(kind, _StandIn)):
            raise pickle.UnpicklingError("an object of no known class")
        return kind()


class _Encode(_StandIn):
    """codecs' encode(text, "latin1"): how Python 3 writes bytes in Python 2's pickles."""

    def __new__(cls, text: str, *args: Any) -> Any:
        return text.encode("latin1")


# Classes only: on a function, a pickle could still set attributes.
_KNOWN = {
    **{
        (f"numpy.{core}.multiarray", name): stand_in
        for core in ("core", "_core")
        for name, stand_in in (("_reconstruct", _EmptyArray), ("scalar", _Object))
    },
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("scipy.sparse.csc", "csc_matrix"): _Csc,
    ("scipy.sparse._csc", "csc_matrix"): _Csc,
    ("chumpy.ch", "Ch"): _Ch,
    ("chumpy.reordering", "Select"): _Select,
    ("copyreg", "_reconstructor"): _EmptyObject,
    ("copy_reg", "_reconstructor"): _EmptyObject,
    ("builtins", "object"): _Object,
    ("__builtin__", "object"): _Object,
    ("_codecs", "encode"): _Encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module.split(".")[0] == "chumpy":
            return _OtherChumpy
        raise pickle.UnpicklingError(f"it names {module}.{name}, which may run code")


def _array(value: Any) -> np.ndarray:
    if isinstance(value, _Array):
        return _dense(*value.state[1:])
    if isinstance(value, _Csc):
        return _from_columns(value.state)
    if isinstance(value, _Ch):
        return _array(value.state["x"])
    if isinstance(value, _Select):
        chosen = _array(value.state["a"]).ravel()[_array(value.state["idxs"])]
        return chosen.reshape([int(n) for n in value.state["preferred_shape"]])
    raise ValueError(f"a {type(value).__name__.lstrip('_')} where an array should be")


def _dense(shape: tuple[int, ...], dtype: Any, fortran: bool, raw: Any) -> np.ndarray:
    """numpy's own state of an array: shape, type, column-major or not, bytes."""
    if not isinstance(dtype, _DType) or not re.fullmatch(r"[fiub]\d", str(dtype.args[0])):
        raise ValueError("an array of something other than numbers")
    order = "|" if dtype.state is None else dtype.state[1]
    flat = np.frombuffer(
        raw.encode("latin1") if isinstance(raw, str) else raw,
        np.dtype(str(dtype.args[0])).newbyteorder(order),
    )
    if math.prod(shape) != len(flat):
        raise ValueError("an array whose shape and length differ")
    return flat.reshape(shape, order="F" if fortran else "C")


def _from_columns(state: dict[str, Any]) -> np.ndarray:
    """A compressed sparse column matrix made dense; every index is checked by numpy."""
    shape = tuple(int(n) for n in state["_shape"])
    if math.prod(shape) > _MOST_NUMBERS:
        raise ValueError(f"a matrix of {shape}")
    values, rows, starts = (_array(state[key]) for key in ("data", "indices", "indptr"))
    matrix = np.zeros(shape, values.dtype)
    np.add.at(matrix, (rows, np.repeat(np.arange(shape[1]), np.diff(starts))), values)
    return matrix
