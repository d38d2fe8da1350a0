"""The perceptron that both heads are made of, as in MotionBERT (Zhu et al., ICCV 2023)."""

from torch import nn


class Mlp(nn.Sequential):
    """Dropout, Linear, batch normalisation, ReLU, Linear: (B, inputs) → (B, outputs).

    The running means are those of all batches since they were reset (training.downstream does that
    before it measures): E differs so little from clip to clip that means which lag behind the
    weights, as those of a moving average do, would drown it.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float):
        super().__init__(
            nn.Dropout(dropout), nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden, momentum=None),
            nn.ReLU(), nn.Linear(hidden, outputs),
        )  # fmt: skip
