"""video2pose3d weights: the pretrained models."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import Any

import click

from video2pose3d.cli import SOME_FAILED, _options
from video2pose3d.cli._progress import Bars


@click.group("weights")
def command() -> None:
    """Pretrained models: list, download, verify, path."""


@command.command("list")
@_options.common
def list_weights(as_json: bool, quiet: bool) -> None:
    """Every model the program knows: what for, size, licence, score, and whether it is here."""
    from video2pose3d import weights

    rows = [(entry, weights.on_disk(name)) for name, entry in weights.entries().items()]
    if as_json:
        described = [
            {**dataclasses.asdict(entry), "path": None if file is None else str(file)}
            for entry, file in rows
        ]
        click.echo(json.dumps(described, indent=2))
        return
    click.echo(f"{'name':20} {'for':10} {'size':>9}  {'AP':>5}  {'here':5} licence")
    for entry, file in rows:
        size = "" if entry.size is None else f"{entry.size / 1e6:.1f} MB"
        score = "" if entry.ap is None else f"{100 * entry.ap:.1f}"
        here = "" if file is None else "yes"
        click.echo(
            f"{entry.name:20} {entry.kind:10} {size:>9}  {score:>5}  {here:5} {entry.licence}"
        )


@command.command("download")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_options.common
def download(names: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Fetch models into the store, verified; an interrupted download goes on where it stopped."""
    from video2pose3d import weights

    files = []
    for name in names:
        with Bars(name, quiet=quiet) as bars:
            files.append(weights.download(name, progress=partial(bars, "download")))
        if not as_json:
            click.echo(str(files[-1]))
    if as_json:
        click.echo(json.dumps({"files": [str(file) for file in files]}, indent=2))


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@_options.common
def verify(names: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """Check the models that are here (or those named) against their SHA-256."""
    from video2pose3d import weights

    verdicts = [v for name in names or weights.entries() for v in weights.verify(name)]
    if as_json:
        click.echo(json.dumps([{**dataclasses.asdict(v), "path": str(v.path)} for v in verdicts]))
    for verdict in verdicts if not as_json else ():
        known = f"right (known from {verdict.known})" if verdict.ok else "NOT that file"
        click.echo(f"{verdict.name:20} {known:30} {verdict.path}")
    if not verdicts and not as_json:
        click.echo("none of them is on this machine", err=True)
    return 0 if all(verdict.ok for verdict in verdicts) else SOME_FAILED


@command.command("path")
@click.argument("name", required=False)
@_options.common
def path(name: str | None, as_json: bool, quiet: bool) -> None:
    """Where a model lies, or, without a name, the store they are downloaded to."""
    from video2pose3d import weights

    found: Any = weights.store() if name is None else weights.path(name)
    click.echo(json.dumps({"path": str(found)}) if as_json else str(found))
