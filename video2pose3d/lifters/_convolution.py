"""Depth-wise convolution over frames and joints, on maps that stay (B, T, J, C)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DepthWise(nn.Conv2d):
    """Depth-wise convolution over (T, J), zero-padded to keep both: (B, T, J, C) -> same.

    taps: odd numbers, or there would be no middle.
    """

    def __init__(self, C: int, taps: tuple[int, int], dilation: int = 1):
        padding = (dilation * (taps[0] - 1) // 2, dilation * (taps[1] - 1) // 2)
        super().__init__(C, C, taps, padding=padding, dilation=dilation, groups=C)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, T, J, C)
        with torch.autocast("cpu", enabled=False):  # bfloat16 is slow there
            return self._forward_cpu(x.float())

    def _forward_cpu(self, x: Tensor) -> Tensor:
        """The same sums: a strip over every d-th frame is dense once d frames lie side by side.

        Dilated strips are several times slower, in the backward pass along the frames, and in both
        passes along the joints, where the strip is longer than the row.
        """
        d = max(self.dilation)
        if d == 1:
            return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        along_frames, taps = self.kernel_size[0] > 1, max(self.kernel_size)
        x = x if along_frames else x.transpose(1, 2)
        B, n, m, C = x.shape
        x = F.pad(x, (0, 0, 0, 0, 0, -n % d)).reshape(B, -1, d * m, C).permute(0, 3, 1, 2)
        weight = self.weight.view(C, 1, taps, 1)
        x = F.conv2d(x, weight, self.bias, padding=(taps // 2, 0), groups=C)
        x = x.permute(0, 2, 3, 1).reshape(B, -1, m, C)[:, :n]
        return x if along_frames else x.transpose(1, 2)  # (B, T, J, C)
