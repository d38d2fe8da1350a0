"""mmengine's Runner as our training uses it: told objects, not configs, and silent."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import BaseModel, MMDistributedDataParallel, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn

from video2pose3d.training.batches import Batches, load
from video2pose3d.training.config import RunConfig


class SilentRunner(Runner):
    """A Runner on the device it is given, that writes nothing of its own anywhere."""

    def __init__(self, device: torch.device, **settings: Any):
        self.device = device
        hooks = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")
        super().__init__(
            default_hooks=dict.fromkeys(hooks),  # pyright: ignore[reportArgumentType]
            experiment_name=uuid.uuid4().hex,  # mmengine keeps what belongs to a name for good
            **settings,
        )

    def setup_env(self, env_cfg: Any) -> None:
        self._rank, self._world_size = get_dist_info()
        self._timestamp = ""  # else it names a folder of logs in work_dir

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        return MMLogger.get_instance(self.experiment_name, log_level="ERROR")

    def build_visualizer(self, visualizer: Any = None) -> Any:
        return None

    def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> nn.Module:
        model = model.to(self.device)
        if not self.distributed:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        # Buffers, the means of batch norms, are those of the first process in all of them: its are
        # what a checkpoint holds, and pre-training's teacher normalises by them.
        return MMDistributedDataParallel(module=model, device_ids=devices)

    def _init_model_weights(self) -> None: ...  # they are made with the model

    def _log_env(self, env_cfg: Any) -> None: ...

    def dump_config(self) -> None: ...


class Optimising(OptimWrapper):
    """An OptimWrapper that doesn't write down every norm: the device would have to wait for it."""

    def _clip_grad(self) -> None:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, **self.clip_grad_kwargs)  # pyright: ignore


class StepLoop(BaseLoop):
    """A step of the optimiser takes `accumulate` batches in every process.

    Torch's random numbers (dropped paths, maskings) hang on the batch's number alone, so that a run
    that goes on draws the same.
    """

    def __init__(self, runner: Runner, dataloader: Batches, accumulate: int, workers: int):
        self._runner, self.batches = runner, dataloader
        self.accumulate, self.workers = accumulate, workers
        self.step = 0

    @property
    def iter(self) -> int:
        return self.step

    @property
    def max_iters(self) -> int:
        return self.batches.steps

    @property
    def epoch(self) -> int:
        per_epoch = self.batches.steps_per_epoch
        return self.step // per_epoch if per_epoch else 0

    @property
    def max_epochs(self) -> int:
        return 1  # mmengine asks; ours are in Batches

    def run(self) -> nn.Module:
        runner: Any = self._runner
        steps, optim_wrapper = self.batches.steps, runner.optim_wrapper
        n = self.accumulate
        optim_wrapper.initialize_count_status(runner.model, self.step * n, steps * n)
        batches = load(
            self.batches, self.step, n, rank=runner.rank, processes=runner.world_size,
            workers=self.workers,
        )  # fmt: skip
        runner.call_hook("before_train")
        while self.step < steps:
            runner.model.train()
            runner.call_hook("before_train_iter", batch_idx=self.step, data_batch=None)
            outputs = []
            for k in range(self.step * n, (self.step + 1) * n):
                number = k * runner.world_size + runner.rank
                torch.manual_seed(_mix(runner.seed, number))
                outputs.append(runner.model.train_step(next(batches), optim_wrapper=optim_wrapper))
            means = {key: sum(o[key].detach() for o in outputs) / n for key in outputs[0]}
            runner.call_hook(
                "after_train_iter", batch_idx=self.step, data_batch=None, outputs=means
            )
            self.step += 1
        runner.call_hook("after_train")
        return runner.model


def _mix(*numbers: int) -> int:
    """One seed of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def make_runner(
    task: BaseModel,
    optimiser: torch.optim.Optimizer,
    batches: Batches,
    config: RunConfig,
    hooks: Sequence[Hook],
    output: Path,
    device: torch.device,
) -> SilentRunner:
    """Everything that a run needs, on this process' device."""
    clip = {"max_norm": config.optimiser.clip} if config.optimiser.clip else None
    return SilentRunner(
        device=device,
        model=task,
        work_dir=str(output),
        train_dataloader=batches,
        train_cfg={
            "type": StepLoop,
            "accumulate": config.optimiser.accumulate,
            "workers": config.data.workers,
        },
        optim_wrapper=Optimising(optimiser, config.optimiser.accumulate, clip),
        custom_hooks=list(hooks),
        launcher="pytorch" if processes() > 1 else "none",
        randomness={"seed": config.seed},
    )


def processes() -> int:
    """How many train together: what torchrun says, else one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join(device: str) -> torch.device:
    """Meet the other processes, where torchrun started several; this one's device."""
    if processes() > 1:
        if device.startswith("cuda"):
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(device)
        torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        # Depth-wise convolutions on a channels-last view have such gradients: a copy, no harm.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    return torch.device(device)


def part() -> None:
    """Wait until every process is done, and part from them."""
    if processes() > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def bare(runner: Runner) -> nn.Module:
    """The task, without what spreads it over processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model  # pyright: ignore
