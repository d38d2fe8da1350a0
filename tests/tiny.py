"""Lifters small enough for tests, with every parameter awake."""

import torch
from torch import nn

from video2pose3d import discovery

CONFIGS = {
    "ssr_stf": {"N": 1, "C": 32, "Ch": 16, "heads": 2},
    "mixste": {"d_l": 2, "C": 32, "T": 40, "heads": 2},
    "transformer_gcn": {"N": 2, "d": 32, "dh": 16, "T": 40, "heads": 2},
}


def lifter(name: str, **config) -> nn.Module:
    """A tiny one of that name, the same each time; config: what differs from CONFIGS."""
    module = discovery.load("lifters", name)
    torch.manual_seed(0)
    model = module.Model(module.Config(**{**CONFIGS.get(name, {}), **config})).eval()
    for parameter in model.parameters():  # not the half-asleep network of the first step
        nn.init.normal_(parameter, std=0.2)
    return model
