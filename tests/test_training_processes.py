"""Claims about training in several processes, and about one that is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import mocap
import pytest
from mocap import walk
from test_training_loop import CONFIG, same
from torch.distributed.run import parse_args

from video2pose3d.cli.train import command
from video2pose3d.training import hooks
from video2pose3d.training.config import TrainingConfig
from video2pose3d.training.loop import train


def start(folder, rank: int, port: int, task="train", out="out", *more) -> subprocess.Popen:
    """One of two processes, told as torchrun tells it."""
    command = [sys.executable, "-m", "video2pose3d", task, str(folder / "config.toml")]
    command += ["--data", str(folder), "-o", str(folder / out), "--device", "cpu", *more]
    env = {
        **os.environ, "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_two_processes_that_are_killed_learn_what_one_learns_from_twice_the_batches(tmp_path):
    mocap.write(tmp_path, ["train", "val"], [walk(300), walk(40, seed=1)])
    often = CONFIG.replace("checkpoints = 60", "checkpoints = 0")
    (tmp_path / "config.toml").write_text(often.replace("steps = 6", "steps = 20"))
    port = free_port()
    both = [start(tmp_path, rank, port) for rank in (0, 1)]
    log, until = tmp_path / "out" / "log.csv", time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") > 3) and time.monotonic() < until:
        assert both[0].poll() is None, both[0].communicate()[1]
        time.sleep(0.01)
    for process in both:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert 3 <= hooks.read_checkpoint(tmp_path / "out" / "last.pt")["step"] < 20

    config = TrainingConfig.read(tmp_path / "config.toml")
    one = replace(
        config,
        optimiser=replace(config.optimiser, accumulate=2),
        minutes_between_checkpoints=60,
    )
    went_on = train(one, tmp_path, tmp_path / "out", threads=1)
    whole = train(one, tmp_path, tmp_path / "whole", threads=1)
    went_on, whole = hooks.read_checkpoint(went_on), hooks.read_checkpoint(whole)
    assert went_on["step"] == whole["step"] == 20
    same(went_on["model"], whole["model"], tolerance=1e-4)
    same(went_on["average"], whole["average"], tolerance=1e-4)


GCN = """
lifter = "transformer_gcn"
[model]
N = 1
d = 16
dh = 16
T = 5
heads = 2
[optimiser]
lr = 3e-3
[schedule]
steps = 6
[pretrain]
tau = [0.9, 0.9]
[[stage]]
frames = 5
windows = 4
"""


def test_two_processes_have_one_teacher_and_go_on_to_the_same_weights(tmp_path):
    """Although each has batch norms that see its own half of a batch."""
    mocap.write(tmp_path, ["train"], [walk(300), walk(40, seed=1)])
    (tmp_path / "config.toml").write_text(GCN)
    for out, *steps in (("parts", "--steps", "3"), ("parts",), ("whole",)):
        port = free_port()
        both = [start(tmp_path, rank, port, "pretrain", out, *steps) for rank in (0, 1)]
        for process in both:
            assert process.wait(timeout=300) == 0, process.communicate()[1]
    parts, whole = (hooks.read_checkpoint(tmp_path / out / "last.pt") for out in ("parts", "whole"))
    assert parts["step"] == whole["step"] == 6
    same(parts["model"], whole["model"])


@pytest.mark.parametrize("option", sorted(o for p in command.params for o in p.opts if o[0] == "-"))
def test_torchrun_leaves_every_option_of_train_to_it(option):
    """As README starts it: without the two dashes torchrun takes --start for its --start-method."""
    ours = ["train", "ssr_stf_h36m_t243", option, "x"]
    theirs = parse_args(["--nproc-per-node", "2", "-m", "--", "video2pose3d", *ours])
    assert (theirs.training_script, theirs.training_script_args) == ("video2pose3d", ours)
