"""npz files: those of strangers are read without running code, and no larger than they may be.

An array of people over a long clip is mostly empty, and larger than memory: `Rows` are written, and
`rows` are read, one person at a time.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from video2pose3d import unpickling
from video2pose3d.errors import UserError
from video2pose3d.files import replacing

MOST_BYTES = 4 * 2**30  # of what is in memory at once
_MOST_UNPACKED = 256 * 2**30  # of what passes by: a thousand people through an hour at 60 fps

# What zipfile and NumPy raise at bytes that make no sense (RuntimeError: encrypted, or a method
# unknown; TokenError: a header that NumPy tries to mend).
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, tokenize.TokenError
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """An array to write of which one row (of its first axis) at a time is in memory."""

    shape: tuple[int, ...]
    dtype: type
    rows: Iterable[np.ndarray]


def read(path: Path, keys: Iterable[str], *, objects: bool = False) -> dict[str, np.ndarray]:
    """Those arrays of an npz that are among `keys`; UserError for a file that is no npz.

    Sizes are checked before anything is unpacked. Pickled objects are refused, or with `objects`
    read as far as they are arrays and containers (see `unpickling`).
    """
    with _members(path, keys) as (archive, members):
        if sum(info.file_size for info in members.values()) > MOST_BYTES:
            raise UserError("unpacks to more than 4 GiB", path=path)
        return {key: _unpack(archive, info, path, objects) for key, info in members.items()}


def headers(path: Path, keys: Iterable[str]) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shapes and types of the same arrays."""
    with _members(path, keys) as (archive, members):
        found = {}
        for key, info in members.items():
            with archive.open(info) as file:
                shape, _, dtype = _header(file, info)
            if dtype.hasobject:
                raise _runs_code(info, path)
            found[key] = shape, dtype
        return found


def rows(path: Path, keys: Iterable[str]) -> Iterator[dict[str, np.ndarray]]:
    """The same arrays, which are equally long, row by row of their first axis."""
    with _members(path, keys) as (archive, members), ExitStack() as stack:
        if sum(info.file_size for info in members.values()) > _MOST_UNPACKED:
            raise UserError("unpacks to more than 256 GiB", path=path)
        columns = [_rows(stack.enter_context(archive.open(i)), i, path) for i in members.values()]
        for values in zip(*columns, strict=True):
            yield dict(zip(members, values, strict=True))


def write(path: Path, arrays: Mapping[str, ArrayLike | Rows]) -> None:
    """An npz, compressed, whole or not at all; UserError where the disk refuses."""
    with replacing(path) as part, part.open("wb") as file:
        write_into(file, arrays)


def write_into(file: BinaryIO, arrays: Mapping[str, ArrayLike | Rows]) -> None:
    """The same. NumPy's own writer says more than the error when the disk is full."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                if isinstance(array, Rows):
                    _write_rows(member, array)
                else:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _write_rows(member: IO[bytes], array: Rows) -> None:
    descr = np.lib.format.dtype_to_descr(np.dtype(array.dtype))
    header = {"descr": descr, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(member, header)  # pyright: ignore[reportArgumentType]
    for row in array.rows:
        member.write(np.ascontiguousarray(row, array.dtype).tobytes())


@contextmanager
def _members(
    path: Path, keys: Iterable[str]
) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """The archive and those of its members that are among `keys`; errors as `read` raises them."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            yield archive, {key: members[key] for key in set(keys) & members.keys()}
    except FileNotFoundError:
        raise UserError("no such file", path=path) from None
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror or error}", path=path) from error
    except _DAMAGE as error:
        raise UserError("is not an npz file, or damaged", path=path) from error


def as_type(array: np.ndarray, dtype: type, key: str, path: Path) -> np.ndarray:
    """An array of the file as that type; UserError for one of another kind."""
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise UserError(f"{key} is of type {array.dtype}, expected {dtype.__name__}", path=path)
    return array.astype(dtype)


def _unpack(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, objects: bool
) -> np.ndarray:
    """One .npy of the archive; no pickle but by `unpickling`."""
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file, info)
        if dtype.hasobject and objects:
            return unpickling.load(file, path)  # pyright: ignore[reportArgumentType]
        if dtype.hasobject:
            raise _runs_code(info, path)
        flat = np.frombuffer(file.read(), dtype=dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes], info: zipfile.ZipInfo) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of one .npy, if it is as long as its header says.

    NumPy's own reader would first make an array as large as the header asks for.
    """
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"npy version {version}")
    shape, fortran, dtype = readers[version](file)
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize != info.file_size - file.tell():
        raise ValueError("the header and the length differ")
    return shape, fortran, dtype


def _runs_code(info: zipfile.ZipInfo, path: Path) -> UserError:
    return UserError(f"{info.filename} holds Python objects, which may run code", path=path)


def _rows(file: IO[bytes], info: zipfile.ZipInfo, path: Path) -> Iterator[np.ndarray]:
    """One .npy, row by row; one in Fortran's order has its rows everywhere and is read whole."""
    shape, fortran, dtype = _header(file, info)
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    if dtype.hasobject:
        raise _runs_code(info, path)
    if (info.file_size if fortran else row_bytes) > MOST_BYTES:
        raise UserError("unpacks to more than 4 GiB", path=path)
    if fortran:
        yield from np.frombuffer(file.read(), dtype).reshape(shape, order="F")
        return
    for _ in range(shape[0]):
        row = file.read(row_bytes)
        if len(row) < row_bytes:
            raise EOFError
        yield np.frombuffer(row, dtype).reshape(shape[1:])
