"""Pickles of strangers, of which only arrays, numbers, text and containers are read.

Data sets are published as pickles (MotionBERT's .pkl; the object arrays in VideoPose3D's .npz).
A pickle is a program: it may call anything it can name. Here it can name NumPy's array, dtype and
scalar, which are answered by stand-ins of our own that only take notes, and the builtin containers;
any other name is refused before anything runs. The arrays are made from the notes afterwards. A
reader may add stand-ins for classes of its own files, as `smpl_pickle` does.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from video2pose3d.errors import UserError

_KINDS = "biufcSUO"  # of dtypes: booleans, numbers, text, and O for arrays of anything listed here
_DAMAGE = (
    pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError,
    OverflowError, UnicodeError, MemoryError, RecursionError,
)  # fmt: skip

# (module, name) → the StandIn class or Function for it, None for what is refused.
Known = Callable[[str, str], Any]


def read(path: Path, more: Known | None = None) -> Any:
    """What the pickle in a file holds; otherwise as `load`."""
    try:
        with open(path, "rb") as file:
            return load(file, path, more)
    except FileNotFoundError:
        raise UserError("no such file", path=path) from None
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror or error}", path=path) from error


def load(file: BinaryIO, path: object, more: Known | None = None) -> Any:
    """What one pickle holds: containers, text, numbers, and arrays (read-only where plain).

    path: the file's name, for the UserError about a pickle that names anything else or is damaged.
    more: what it may name besides, which stays in the result as stand-ins.
    """
    try:
        return _made(_Unpickler(file, path, more).load(), {})
    except _DAMAGE as error:
        what = f"is not a pickle of arrays, or damaged ({error or type(error).__name__})"
        raise UserError(what, path=path) from error


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, path: object, more: Known | None):
        super().__init__(file, encoding="latin1")  # as Python 2's bytes have to be read
        self.path, self.more = path, more

    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name)) or (self.more and self.more(module, name))
        if not found:
            what = f"names {module}.{name}, which could run code: only arrays are read"
            raise UserError(what, path=self.path)
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside itself")


class StandIn:
    """In place of an object of a class that the pickle names: what it says of it, and no more."""

    state: Any = None

    def __init__(self, *_: Any): ...

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def make(self, made: Callable[[Any], Any]) -> Any:
        """What stands there in the end; made: does the same to what is inside."""
        self.state = made(self.state)
        return self


class Function:
    """What the pickle may call; on a bare function it could also set attributes."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __setstate__(self, state: Any) -> None:
        raise ValueError("attributes of a function")


class _Dtype(StandIn):
    """numpy.dtype(code, align, copy), and its state."""

    dtype: np.dtype | None = None

    def __init__(self, code: str, *_: Any):
        self.dtype = np.dtype(code) if isinstance(code, str) else None
        if self.dtype is None or self.dtype.kind not in _KINDS or self.dtype.names:
            raise ValueError(f"arrays of {code!r}")

    def __setstate__(self, state: tuple) -> None:
        _, order, subarray, names, fields, *_ = state
        if subarray is not None or names is not None or fields is not None:
            raise ValueError("structured arrays")
        assert self.dtype is not None
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)

    def make(self, made: Callable[[Any], Any]) -> np.dtype | None:
        return self.dtype


class _Array(StandIn):
    """An array that numpy's _reconstruct begins and a state (its data) completes."""

    value: np.ndarray | None = None
    shape: tuple[int, ...] = (0,)
    items: list

    def __init__(self, *_: Any):
        self.items = []

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        self.shape = _shape(shape)
        if _plain(dtype).hasobject:
            if not isinstance(data, list) or len(data) != math.prod(self.shape):
                raise ValueError("an array of objects of the wrong length")
            self.items = data
        else:
            data = data.encode("latin1") if isinstance(data, str) else data  # from Python 2
            self.value = _from_bytes(data, dtype, self.shape, "F" if fortran else "C")

    def make(self, made: Callable[[Any], Any]) -> np.ndarray:
        if self.value is not None:
            return self.value
        flat = np.empty(len(self.items), object)
        for place, item in enumerate(self.items):
            flat[place] = made(item)
        return flat.reshape(self.shape)  # objects come in C's order, whatever `order` says


def _plain(dtype: Any) -> np.dtype:
    if not isinstance(dtype, _Dtype) or dtype.dtype is None:
        raise ValueError("an array without a dtype")
    return dtype.dtype


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"an array of shape {shape!r}")
    return shape


def _from_bytes(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """numpy's _frombuffer (protocol 5), and the data of older pickles."""
    shape, plain = _shape(shape), _plain(dtype)
    if plain.hasobject or len(memoryview(data).cast("B")) != math.prod(shape) * plain.itemsize:
        raise ValueError("an array and its data differ in length")
    if not plain.itemsize or not math.prod(shape):
        return np.zeros(shape, plain)
    return np.frombuffer(data, plain).reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: Any, data: Any) -> Any:
    data = data.encode("latin1") if isinstance(data, str) else data
    return _from_bytes(data, dtype, (), "C")[()]


def _latin1(text: str, encoding: str) -> bytes:
    """_codecs.encode, by which pickles of protocol 2 hold an array's bytes."""
    if encoding != "latin1" or not isinstance(text, str):
        raise ValueError(f"text in {encoding!r}")
    return text.encode("latin1")


def _bytes(data: Any = b"") -> bytes:
    """bytes and bytearray of what they hold, not of a number of zeros."""
    if not isinstance(data, bytes):
        raise ValueError(f"bytes of {type(data).__name__}")
    return data


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): Function(_latin1),
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", Function(_scalar)),
            ("numeric", "_frombuffer", Function(_from_bytes)),
        )
    },
    **{
        (module, kind.__name__): kind
        for module in ("builtins", "__builtin__")
        for kind in (dict, list, tuple, set, frozenset)
    },
    **{
        (module, name): Function(_bytes)
        for module in ("builtins", "__builtin__")
        for name in ("bytes", "bytearray")
    },
}


def _made(value: Any, known: dict[int, Any]) -> Any:
    """The value with arrays in the places of their stand-ins; containers are made anew."""
    if id(value) in known:
        return known[id(value)][1]
    if isinstance(value, dict):
        made = {_made(k, known): _made(v, known) for k, v in value.items()}
    elif isinstance(value, list):
        made = [_made(v, known) for v in value] if _mixed(value) else value
    elif isinstance(value, tuple):
        made = tuple(_made(v, known) for v in value)
    elif isinstance(value, StandIn):
        made = value.make(lambda inner: _made(inner, known))
    else:
        return value
    known[id(value)] = value, made  # the value is kept, or another might get its id
    return made


def _mixed(value: list) -> bool:
    """Whether a list holds more than text and numbers: those of data sets are millions long."""
    return any(isinstance(v, dict | list | tuple | StandIn) for v in value)
