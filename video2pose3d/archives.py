"""npz files: those of strangers are read without running code, and no larger than they may be."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from video2pose3d import unpickling
from video2pose3d.errors import UserError
from video2pose3d.files import replacing

# An hour of ten people at 60 fps unpacks to 1.6 GB.
_MOST_BYTES = 4 * 2**30

# What zipfile and NumPy raise at bytes that make no sense (RuntimeError: encrypted, or a method
# unknown; TokenError: a header that NumPy tries to mend).
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, tokenize.TokenError
)  # fmt: skip


def read(path: Path, keys: Iterable[str], *, objects: bool = False) -> dict[str, np.ndarray]:
    """Those arrays of an npz that are among `keys`; UserError for a file that is no npz.

    Sizes are checked before anything is unpacked. Pickled objects are refused, or with `objects`
    read as far as they are arrays and containers (see `unpickling`).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            members = {key: members[key] for key in set(keys) & members.keys()}
            if sum(info.file_size for info in members.values()) > _MOST_BYTES:
                raise UserError("unpacks to more than 4 GiB", path=path)
            return {key: _unpack(archive, info, path, objects) for key, info in members.items()}
    except FileNotFoundError:
        raise UserError("no such file", path=path) from None
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror or error}", path=path) from error
    except _DAMAGE as error:
        raise UserError("is not an npz file, or damaged", path=path) from error


def write(path: Path, arrays: Mapping[str, ArrayLike]) -> None:
    """An npz, compressed, whole or not at all; UserError where the disk refuses."""
    with replacing(path) as part, part.open("wb") as file:
        write_into(file, arrays)


def write_into(file: BinaryIO, arrays: Mapping[str, ArrayLike]) -> None:
    """The same. NumPy's own writer says more than the error when the disk is full."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def as_type(array: np.ndarray, dtype: type, key: str, path: Path) -> np.ndarray:
    """An array of the file as that type; UserError for one of another kind."""
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise UserError(f"{key} is of type {array.dtype}, expected {dtype.__name__}", path=path)
    return array.astype(dtype)


def _unpack(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, objects: bool
) -> np.ndarray:
    """One .npy of the archive, if it is as long as its header says; no pickle but by `unpickling`.

    NumPy's own reader would first make an array as large as the header asks for.
    """
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in headers:
            raise ValueError(f"npy version {version}")
        shape, fortran, dtype = headers[version](file)
        if dtype.hasobject and objects:
            return unpickling.load(file, path)  # pyright: ignore[reportArgumentType]
        if dtype.hasobject:
            raise UserError(f"{info.filename} holds Python objects, which may run code", path=path)
        if math.prod(shape) * dtype.itemsize != info.file_size - file.tell():
            raise ValueError("the header and the length differ")
        flat = np.frombuffer(file.read(), dtype=dtype)
    return flat.reshape(shape, order="F" if fortran else "C")
