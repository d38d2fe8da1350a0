"""Claims about Muon, beside torch's own."""

import pytest
import torch

from video2pose3d.training import muon
from video2pose3d.training.muon import Muon, orthogonal

SHAPES = (24, 24), (24, 24), (64, 16), (16, 64), (24, 24), (9, 40)


@pytest.fixture(params=[False, True], ids=["fp32", "bf16"])
def half(request, monkeypatch):
    monkeypatch.setattr(muon, "half_is_faster", lambda device: request.param)
    return request.param


def matrices(seed: int) -> list[torch.nn.Parameter]:
    torch.manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def test_steps_are_those_of_torch(half):
    ours, theirs = matrices(0), matrices(0)
    settings = {"lr": 0.02, "weight_decay": 0.1}
    one = Muon(ours, **settings)
    other = torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **settings)
    before = [m.detach().clone() for m in ours]
    for step in range(4):
        for a, b, gradient in zip(ours, theirs, matrices(1 + step), strict=True):
            a.grad, b.grad = gradient.detach().clone(), gradient.detach().clone()
        one.step()
        other.step()
    for a, b, start in zip(ours, theirs, before, strict=True):
        moved = (b - start).norm()  # torch's are rounded to bfloat16
        assert moved > 0.1
        assert (a - b).norm() < 0.02 * moved


@pytest.mark.parametrize("shape", [(5, 20, 20), (3, 12, 50), (3, 50, 12)])
def test_what_is_orthogonal_has_the_same_directions_and_singular_values_near_one(half, shape):
    torch.manual_seed(0)
    G = torch.randn(shape)
    U, values, Vh = torch.linalg.svd(G, full_matrices=False)
    found = orthogonal(G)
    assert found.dtype == G.dtype
    inside = U.mT @ found @ Vh.mT  # diagonal, if its directions are G's
    stretched = inside.diagonal(dim1=1, dim2=2)
    firm = values > 0.1 * values[:, :1]  # of the smallest it makes less
    assert ((stretched > 0.6) & (stretched < 1.3))[firm].all()
    assert (inside - torch.diag_embed(stretched)).abs().max() < (0.05 if half else 1e-4)


def test_parameters_without_a_gradient_stay(half):
    ours = matrices(0)
    before = [m.detach().clone() for m in ours]
    ours[0].grad = torch.ones(SHAPES[0])
    Muon(ours, lr=0.1, weight_decay=0.0).step()
    assert [bool((a != b).any()) for a, b in zip(ours, before, strict=True)] == [True] + 5 * [False]
