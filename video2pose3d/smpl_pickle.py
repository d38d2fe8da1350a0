"""The official pickles of SMPL: arrays, some of them in classes of scipy and chumpy.

Neither of these is asked to load anything (and Python 3.12 can't install chumpy): their objects are
read as notes, see `unpickling`, and the arrays put together of them here.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from video2pose3d import unpickling
from video2pose3d.errors import UserError
from video2pose3d.unpickling import Function, StandIn

_MOST_NUMBERS = 2**28  # of one matrix unpacked; SMPL's largest array has four million


def read(path: Path, keys: Iterable[str]) -> dict[str, np.ndarray]:
    """Those arrays of a pickled dictionary that are among `keys`; UserError for any other file.

    Read are numbers in numpy.ndarray, scipy.sparse.csc_matrix (made dense), chumpy.ch.Ch and
    chumpy.reordering.Select; what lies under other keys is passed over.
    """
    content = unpickling.read(path, _stand_in)
    try:
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, not a dictionary")
        return {key: _array(content[key]) for key in keys if key in content}
    except (LookupError, TypeError, ValueError, MemoryError, RecursionError) as error:
        raise UserError(f"is not a pickle of arrays ({error})", path=path) from error


class _Csc(StandIn): ...


class _Ch(StandIn): ...


class _Select(StandIn): ...


class _OtherChumpy(StandIn):
    """An expression, whose value nobody asks for."""

    def make(self, made: Any) -> Any:
        return self


def _empty_object(kind: Any, *_: Any) -> StandIn:
    """copy_reg's _reconstructor(class, object, None): an object whose content follows."""
    if not (isinstance(kind, type) and issubclass(kind, StandIn)):
        raise pickle.UnpicklingError("an object of no known class")
    return kind()


class _Object(StandIn): ...


_KNOWN = {
    ("scipy.sparse.csc", "csc_matrix"): _Csc,
    ("scipy.sparse._csc", "csc_matrix"): _Csc,
    ("chumpy.ch", "Ch"): _Ch,
    ("chumpy.reordering", "Select"): _Select,
    ("copyreg", "_reconstructor"): Function(_empty_object),
    ("copy_reg", "_reconstructor"): Function(_empty_object),
    ("builtins", "object"): _Object,
    ("__builtin__", "object"): _Object,
}


def _stand_in(module: str, name: str) -> Any:
    other = _OtherChumpy if module.split(".")[0] == "chumpy" else None
    return _KNOWN.get((module, name), other)


def _array(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value
    if isinstance(value, _Csc):
        return _from_columns(value.state)
    if isinstance(value, _Ch):
        return _array(value.state["x"])
    if isinstance(value, _Select):
        chosen = _array(value.state["a"]).ravel()[_array(value.state["idxs"])]
        return chosen.reshape([int(n) for n in value.state["preferred_shape"]])
    raise ValueError(f"a {type(value).__name__.lstrip('_')} where an array of numbers should be")


def _from_columns(state: dict[str, Any]) -> np.ndarray:
    """A compressed sparse column matrix made dense; every index is checked by numpy."""
    shape = tuple(int(n) for n in state["_shape"])
    if math.prod(shape) > _MOST_NUMBERS:
        raise ValueError(f"a matrix of {shape}")
    values, rows, starts = (_array(state[key]) for key in ("data", "indices", "indptr"))
    matrix = np.zeros(shape, values.dtype)
    np.add.at(matrix, (rows, np.repeat(np.arange(shape[1]), np.diff(starts))), values)
    return matrix
