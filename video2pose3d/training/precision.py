"""Where bfloat16 is worth it."""

from __future__ import annotations

import torch


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 inside, where it is the faster."""
    return torch.autocast(device.type, torch.bfloat16, enabled=half_is_faster(device))


def half_is_faster(device: torch.device) -> bool:
    """Whether bfloat16 has instructions of its own there; without them it is 100 times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    can = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch from 2.10 on
    return any(can.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
