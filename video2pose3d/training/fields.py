"""From a config's tables to dataclasses, whose annotations say what fits."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from video2pose3d.errors import UserError

K = TypeVar("K")


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Whatever is wrong with what a file says, as a UserError about it; what: it should be."""
    try:
        yield
    except UserError as error:
        raise UserError(error.what, path=error.path or path, cure=error.cure) from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"not {what} ({error})", path=path) from error


def made(kind: type[K], table: Any, least: int = 0) -> K:
    """A dataclass of a table's values, lists as tuples; checked as by `check`."""
    if not isinstance(table, Mapping):
        raise ValueError(f"{table!r} is no table")
    values = tuples(table)
    check(kind, values, least)
    return kind(**values)


def check(kind: type, values: Mapping[str, Any], least: int = 0) -> None:
    """ValueError for a value that its field of a dataclass is not for, or that is too small.

    least: of whole numbers; others are at least 0. What there is no field for is left to `kind`.
    """
    hints = get_type_hints(kind)
    for name in (name for name in values if name in hints):
        value, hint = values[name], hints[name]
        if not _fits(value, hint):
            raise ValueError(f"{name} is {value!r}, not {inspect.formatannotation(hint)}")
        low = 0 if float in (hint, *get_args(hint)) else least
        if isinstance(value, int | float) and not isinstance(value, bool) and not value >= low:
            raise ValueError(f"{name} is {value}, not {low} or more")


def tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with its lists as tuples."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}


def _fits(value: Any, hint: Any) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is Literal:
        return value in args
    if origin is dict:
        return isinstance(value, dict) and all(_fits(v, args[1]) for v in value.values())
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = args[:1] * len(value) if args[-1] is ... else args
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float if hint is float else hint)
