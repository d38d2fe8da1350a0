"""Training configs as files: where they are, and what their TOML says."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from video2pose3d.errors import UserError

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

CONFIGS = Path(__file__).parent / "configs"
LIFT = "lift"  # the task of a config that names none: to train a lifter


def task_of(name: str | Path) -> str:
    """What a config trains: "lift", a lifter, where it does not say; or a task of its own."""
    return read_table(find(name, tasks=())).get("task", LIFT)


def shipped(*tasks: str) -> list[str]:
    """The names of the package's own configs of some tasks, or of all, sorted."""
    return sorted(
        p.stem
        for p in CONFIGS.glob("*.toml")
        if not tasks or read_table(p).get("task", LIFT) in tasks
    )


def find(name: str | Path, beside: Path | None = None, tasks: Collection[str] = (LIFT,)) -> Path:
    """The file of a config: a path, relative to `beside` if that is given, or a shipped name.

    tasks: which the error about a missing one offers, as `shipped`.
    """
    own = Path(name) if beside is None else beside / name
    for path in (own, own.with_name(f"{own.name}.toml")):
        if path.is_file():
            return path
    path = CONFIGS / f"{Path(name).name.removesuffix('.toml')}.toml"
    if path.is_file():
        return path
    cure = f"give a TOML file or a shipped config: {', '.join(shipped(*tasks))}"
    raise UserError("no such training config", path=name, cure=cure)


def read_table(path: Path) -> dict[str, Any]:
    """A TOML file over the one that its key `base` names: tables are merged, the rest replaced.

    Of a base for another lifter the [model] does not count.
    """
    own = _toml(path)
    if "base" not in own:
        return own
    base_path = find(own.pop("base"), beside=path.parent)
    base = _toml(base_path)
    if "base" in base:
        raise UserError("has a base itself", path=base_path, cure=f"give {path.name} that one")
    if own.get("lifter", base.get("lifter")) != base.get("lifter"):
        base.pop("model", None)
    return base | {
        key: base[key] | value
        if isinstance(value, dict) and isinstance(base.get(key), dict)
        else value
        for key, value in own.items()
    }


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror or error}", path=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not a training config ({error})", path=path) from error
