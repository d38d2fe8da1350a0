"""Options that several commands share: the same words everywhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from video2pose3d import discovery
from video2pose3d.errors import UserError
from video2pose3d.options import CHOICES, Options

F = TypeVar("F", bound=Callable[..., Any])


def stack(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several decorators as one, shown in this order by --help."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    """--config: the flags of this command from a TOML file; those on the command line win."""
    if path is None:
        return
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib  # pyright: ignore
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(f"not a TOML file ({error})", path=path) from error
    values = {key.replace("_", "-"): value for key, value in values.items()}
    known = _flags(ctx.command)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UserError(
            f"{unknown[0]!r} is not a flag of {ctx.command.name}",
            path=path,
            cure=f"choose from {', '.join(sorted(known))}",
        )
    defaults = {}
    for key, value in values.items():
        option = known[key]
        # As text, as on the command line: it is held to the flag's type, whatever TOML made of it.
        if f"--{key}" in option.secondary_opts:
            value = not option.type.convert(str(value), option, ctx)
        elif isinstance(value, list):
            value = [str(item) for item in value]
            value = value if option.multiple else ",".join(value)
        else:
            value = str(value)
        defaults[option.name] = value
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _flags(command: click.Command) -> dict[str, click.Option]:
    """The options of a command by their long names without dashes, --no-overlay's included."""
    return {
        name.removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option) and option.name != "config"
        for name in (*option.opts, *option.secondary_opts)
        if name.startswith("--")
    }


def _verbosity(ctx: click.Context, param: click.Parameter, on: bool) -> bool:
    """-v and -q set how much the program's log says."""
    if param.name == "verbose":
        log_to_stderr(logging.DEBUG if on else logging.INFO)
    elif on:
        log_to_stderr(logging.WARNING)
    return on


def log_to_stderr(level: int) -> None:
    """Say there what the program's log says from that level on, once, by one handler."""
    log = logging.getLogger("video2pose3d")
    if not any(isinstance(handler, EchoHandler) for handler in log.handlers):
        log.addHandler(EchoHandler())
        log.propagate = False
    log.setLevel(level)


class EchoHandler(logging.Handler):
    """Log lines on stderr, through click, so that they find the stream in use."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        click.echo(prefix + self.format(record), err=True)


common = stack(
    click.option("-v", "--verbose", is_flag=True, callback=_verbosity, expose_value=False,
                 is_eager=True, help="Say more; show tracebacks."),
    click.option("-q", "--quiet", is_flag=True, callback=_verbosity,
                 help="Say less, no progress bars."),
    click.option("--json", "as_json", is_flag=True, help="A machine-readable summary on stdout."),
)  # fmt: skip

config = click.option(
    "--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), is_eager=True,
    expose_value=False, callback=_read_config, metavar="FILE.toml",
    help="Flags from a TOML file, by the same names; the command line wins.",
)  # fmt: skip

device = click.option(
    "--device", default=Options.device, show_default=True, metavar="auto|cpu|cuda|cuda:N"
)
offline = click.option("--offline", is_flag=True, help="Never open a connection.")

relating = stack(
    click.option("--relate", is_flag=True,
                 help="Mend the 2D keypoints first, by other frames and other views."),
    click.option("--relate-weights", default=Options.relate_weights, show_default=True,
                 metavar="NAME|PATH", help="Weights for --relate."),
)  # fmt: skip

lifting = stack(
    device,
    relating,
    click.option("--lifter", default=Options.lifter, show_default=True, metavar="NAME|PATH",
                 help="2D to 3D network: shipped weights by name, or a checkpoint."),
    click.option("--fov", type=float, metavar="DEGREES",
                 help="The lens' field of view along the picture's longer side."),
    click.option("--camera", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                 help="The lens from a calibration (npz with K, dist, size)."),
    click.option("--height", type=float, metavar="METRES",
                 help="Body height of the (largest) person: sets the scale."),
    click.option("--smooth", type=click.Choice(CHOICES["smooth"]),
                 default=Options.smooth, show_default=True, help="Smoothing over time."),
    click.option("--foot-lock", type=click.Choice(CHOICES["foot_lock"]),
                 default=Options.foot_lock, show_default=True,
                 help="Hold feet still while they touch the ground."),
)  # fmt: skip

watching = stack(
    click.option("--detector", default=Options.detector, show_default=True, metavar="NAME|PATH",
                 help="YOLO person detector: yolo11n ... yolo26x, or a .pt file."),
    click.option("--keypoints", default=Options.keypoints, show_default=True,
                 type=click.Choice(["auto", *discovery.names("keypoints")]),
                 help="2D keypoint detector."),
    click.option("--keypoints-weights", metavar="NAME|PATH", help="Weights for --keypoints."),
    click.option("--trust-weights", is_flag=True,
                 help="Load a pickled weights file that the manifest does not know."),
    click.option("--person", default=Options.person, show_default=True, metavar="largest|all|ID",
                 help="Whom to follow; largest means most picture area over time."),
    click.option("--start", type=float, metavar="SECONDS", help="Begin there in the clip."),
    click.option("--end", type=float, metavar="SECONDS", help="Stop there in the clip."),
    click.option("--fps", type=float, help="Frame rate of a folder of images."),
    offline,
)  # fmt: skip

rendering = stack(
    click.option("--overlay/--no-overlay", default=True, help="Write overlay.mp4."),
    click.option("--animation/--no-animation", default=True, help="Write animation.mp4."),
    click.option("--viewer/--no-viewer", default=False, help="Write viewer.html."),
)


def split_exports(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    """npz,bvh → ("npz", "bvh"), each of them the name of an exporter."""
    chosen = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    known = discovery.names("exporters")
    for name in chosen:
        if name not in known:
            raise click.BadParameter(f"{name!r} is not an exporter: choose from {', '.join(known)}")
    if not chosen:
        raise click.BadParameter(f"names no exporter: choose from {', '.join(known)}")
    return chosen


exports = click.option(
    "--export", "exports", default="npz,bvh", show_default=True, callback=split_exports,
    metavar="npz,bvh,...", help="Which files of poses to write.",
)  # fmt: skip


def choose(values: dict[str, Any]) -> Options:
    """The Options among a command's parameters; a bad value is wrong usage."""
    try:
        return Options(
            **{name: values[name] for name in Options.__dataclass_fields__ if name in values}
        )
    except UserError as error:
        raise click.UsageError(str(error)) from error
