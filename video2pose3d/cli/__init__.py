"""The command line: parse, call one function, say what was written.

One command a file; only the chosen one is imported, so that `--help` is instant.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from video2pose3d.errors import UserError
from video2pose3d.version import __version__

# name → the line that `--help` shows; the command is the function `command` of cli/<name>.py.
COMMANDS = {
    "run": "One or a few videos: 3D poses, BVH, overlay and animation of each.",
    "batch": "Many videos: folders, globs, lists; resumes, and one bad file ends nothing.",
    "multiview": "Several cameras of one scene, calibrated or not: 3D poses by triangulation.",
    "lift": "2D keypoints to 3D poses, without a video.",
    "export": "Other formats from a saved poses.npz.",
    "render": "Overlay and animation from a saved poses.npz.",
    "view": "An interactive page of a saved poses.npz, for any browser.",
    "train": "Train a lifter, or a head on one, from a TOML config.",
    "pretrain": "Pre-train a lifter on 2D poses alone, from a TOML config.",
    "evaluate": "Measure a lifter on a test set, or a result against a known truth.",
    "weights": "Pretrained models: list, download, verify, path.",
    "doctor": "What is installed, what is missing, and the command that cures it.",
    "bench": "This machine's speed, stage by stage.",
}

NOTHING_DONE, WRONG_USAGE, SOME_FAILED, INTERRUPTED = 1, 2, 3, 130


class Program(click.Group):
    """The commands, with `run` for a first word that is none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"video2pose3d.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {name for option in self.params for name in option.opts} | {"--help", "-h"}
        if args and args[0] not in COMMANDS and args[0] not in own:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and turn what went wrong into one line and an exit status."""
        kwargs.pop("standalone_mode", None)
        given = kwargs.get("args") or (args[0] if args else None) or sys.argv[1:]
        try:
            status = super().main(*args, standalone_mode=False, **kwargs)
        except click.ClickException as error:
            error.show()
            _answer(error.format_message(), given)
            status = WRONG_USAGE
        except UserError as error:
            say_error(error)
            _answer(str(error), given)
            status = NOTHING_DONE
        except (click.Abort, KeyboardInterrupt):
            status = say_interrupted()
            _answer("interrupted", given)
        sys.exit(status if isinstance(status, int) else 0)


def _answer(error: str, given: Sequence[str]) -> None:
    """An error as the JSON that was asked for, too."""
    if "--json" in given:
        click.echo(json.dumps({"error": error}))


def counted(number: int | None, one: str, many: str) -> str:
    """1 person, 2 people, no person."""
    return f"{number or 'no'} {many if number and number > 1 else one}"


def say_interrupted() -> int:
    """One line on stderr; the exit status."""
    click.echo("interrupted: what was finished is kept", err=True)
    return INTERRUPTED


def say_error(error: UserError) -> None:
    """An error as one line on stderr, and with -v the traceback before it."""
    if logging.getLogger("video2pose3d").isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    click.echo(f"error: {error}", err=True)


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="[COMMAND] ARGS...",
)
@click.version_option(__version__, prog_name="video2pose3d")
def video2pose3d() -> None:
    """Video to 3D human motion.

    `video2pose3d clip.mp4` is short for `video2pose3d run clip.mp4`: it writes out/clip/ with
    poses.npz, a BVH for each person, overlay.mp4, animation.mp4 and report.json.
    """
