"""What happens around the steps of a run: learning rate, checkpoints, reports."""

from __future__ import annotations

import csv
import logging
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from video2pose3d.errors import UserError
from video2pose3d.training import checkpoints
from video2pose3d.training.config import Optimiser, RunConfig, Schedule
from video2pose3d.training.runner import bare
from video2pose3d.training.validation import Watch

log = logging.getLogger("video2pose3d")


class Rate(Hook):
    """The learning rate of each step, by its number alone."""

    def __init__(self, schedule: Schedule, peak: float):
        self.schedule, self.peak = schedule, peak

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        rate = self.peak * self.schedule.rate(batch_idx, runner.max_iters, runner.epoch)
        for group in runner.optim_wrapper.param_groups:  # pyright: ignore
            group["lr"] = rate


def make_average(settings: Optimiser) -> EMAHook | None:
    """The exponential moving average of the weights; at first it forgets faster."""
    if not settings.ema:
        return None
    return EMAHook("MomentumAnnealingEMA", momentum=1 - settings.ema, gamma=9)


class Checkpoints(Hook):
    """The whole state of a run in one file of tensors, numbers and texts.

    model, average (or None) and optimiser: state dicts; step: steps done; facts: what a published
    file will say about the run.
    """

    priority = "VERY_LOW"  # the average is made and moved before

    def __init__(self, path: Path, average: EMAHook | None, facts: dict[str, str]):
        self.path, self.average, self.facts = path, average, facts

    def before_run(self, runner: Runner) -> None:
        """Go on where the last run was stopped, if there was one."""
        if not self.path.exists():
            return
        state = read_checkpoint(self.path)  # what is loaded finds its device by itself
        try:
            bare(runner).load_state_dict(state["model"])
            if self.average is not None:
                self.average.ema_model.load_state_dict(state["average"])
            runner.optim_wrapper.load_state_dict(state["optimiser"])  # pyright: ignore
            runner.train_loop.step = int(state["step"])  # pyright: ignore
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            what = f"is a checkpoint of another config ({str(error).splitlines()[0]})"
            raise UserError(what, path=self.path, cure="give another --output") from error
        if runner.rank == 0:
            log.info("goes on from step %d", state["step"])

    def save(self, runner: Runner, step: int) -> None:
        """The whole state or nothing."""
        state = {
            "model": bare(runner).state_dict(),
            "average": None if self.average is None else self.average.ema_model.state_dict(),
            "optimiser": runner.optim_wrapper.state_dict(),  # pyright: ignore
            "step": step,
            "facts": self.facts,
        }
        checkpoints.write(state, self.path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A lifter's checkpoint; UserError for a file that is none."""
    return checkpoints.read(path, ("model", "average", "optimiser", "step", "facts"))


class Reports(Hook):
    """Every few minutes, and at the end, a checkpoint and then a line of figures.

    The first process does both; the others wait for it at their next step.
    """

    priority = "VERY_LOW"

    def __init__(self, checkpoints: Checkpoints, watch: Watch, config: RunConfig, per_step: int):
        self.checkpoints, self.watch, self.config = checkpoints, watch, config
        self.per_step = per_step  # batches, of all processes
        self.log = Log(checkpoints.path.with_name("log.csv"))

    def before_train(self, runner: Runner) -> None:
        self.since, self.sums, self.count = time.monotonic(), {}, 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None,
        outputs: dict[str, Tensor] | None = None,
    ) -> None:  # fmt: skip
        if runner.rank != 0:
            return
        for name, value in (outputs or {}).items():
            self.sums[name] = self.sums.get(name, 0) + value  # a tensor: the device need not wait
        self.count += 1
        step, last = batch_idx + 1, batch_idx + 1 == runner.max_iters
        minutes = (time.monotonic() - self.since) / 60
        if not last and minutes < self.config.minutes_between_checkpoints:
            return
        self.checkpoints.save(runner, step)
        windows = self.config.windows_at(step, runner.max_iters) * self.per_step
        row = {"step": step, "windows": windows, "minutes": round(minutes, 1)}
        row |= {"rate": float(f"{runner.optim_wrapper.param_groups[0]['lr']:.3g}")}  # pyright: ignore
        row |= {name: round(float(total) / self.count, 4) for name, total in self.sums.items()}
        row |= self.watch(self._lifter(runner), runner.device)  # pyright: ignore
        self.log.write(row)
        self.since, self.sums, self.count = time.monotonic(), {}, 0

    def _lifter(self, runner: Runner) -> nn.Module:
        """The weights that would be published."""
        average = self.checkpoints.average
        task: Any = bare(runner) if average is None else average.ema_model.module
        return task.lifter


class Log:
    """Rows of numbers: to the log, to TensorBoard, and to a CSV file that later runs go on with.

    The first number of a row, step or epoch, is what it is about. A log that nobody writes to, as
    of all processes but the first, leaves no file.
    """

    def __init__(self, path: Path):
        self.path = path

    @cached_property
    def board(self) -> Any:
        return _tensorboard(self.path.parent)

    def write(self, row: dict[str, float]) -> None:
        log.info("  ".join(f"{k} {v}" for k, v in row.items()))
        new = not self.path.exists()
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row.keys())
            if new:
                writer.writeheader()
            writer.writerow(row)
        if self.board is not None:
            at = int(next(iter(row.values())))
            for name, value in row.items():
                self.board.add_scalar(name, value, global_step=at)
            self.board.flush()


def _tensorboard(folder: Path) -> Any:
    """Its writer, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder / "tensorboard")
