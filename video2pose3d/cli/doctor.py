"""video2pose3d doctor: what is installed, what is missing, what cures it."""

from __future__ import annotations

import dataclasses
import json

import click

from video2pose3d.cli import NOTHING_DONE, _options


@click.command("doctor")
@click.option("--network", is_flag=True, help="Also ask whether weights can be downloaded.")
@_options.common
def command(network: bool, as_json: bool, quiet: bool) -> int:
    """What is installed, which device, which weights, what is missing and what cures it."""
    from video2pose3d import doctor

    checks = doctor.examine(network=network)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            if quiet and check.state == "ok":
                continue
            click.echo(f"{check.state:8} {check.name:18} {check.detail}")
            if check.cure:
                click.echo(f"{'':8} {'':18} → {check.cure}")
    return NOTHING_DONE if any(check.state == "missing" for check in checks) else 0
