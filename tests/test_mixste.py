"""Claims about MixSTE: its paper's sizes, and the equations letter by letter."""

import plain
import pytest
import tiny
import torch

from video2pose3d.errors import UserError
from video2pose3d.lifters import mixste
from video2pose3d.lifters._transformer import DropPath


@pytest.mark.parametrize(("T", "count"), [(243, 33_783_811), (81, 33_700_867)])
def test_mixste_has_the_parameters_of_the_published_network(T, count):
    with torch.device("meta"):
        model = mixste.Model(mixste.Config(T=T))
    assert sum(p.numel() for p in model.parameters()) == count


def test_mixste_lifts_x_and_y_alone():
    model, x = tiny.lifter("mixste"), torch.randn(1, 9, 17, 3)
    other = torch.cat([x[..., :2], torch.rand(1, 9, 17, 1)], dim=-1)
    with torch.inference_mode():
        torch.testing.assert_close(model(other), model(x))


def test_mixste_refuses_windows_longer_than_its_own():
    with pytest.raises(UserError, match="at most 40 frames"):
        tiny.lifter("mixste")(torch.randn(1, 41, 17, 3))


@pytest.mark.parametrize(("axis", "within"), [("joints", (2, 3)), ("frames", (1, 3))])
def test_branches_are_dropped_for_tokens_that_attend_to_each_other(axis, within):
    torch.manual_seed(0)
    drop, x = DropPath(0.5, axis), torch.ones(3, 60, 60, 2)
    y = drop.train()(x)
    assert set(y.unique().tolist()) == {0, 2}
    rows = y.amax(dim=within)  # of a window and frame, or of a window and joint
    assert torch.equal(rows, y.amin(dim=within))
    assert 0.6 < rows.mean() < 1.4
    assert rows.float().std(dim=1).amin() > 0  # not for the window as a whole
    assert torch.equal(drop.eval()(x), x)


def test_mixste_drops_branches_in_training_only():
    model, x = tiny.lifter("mixste", drop_path=0.5), torch.randn(4, 9, 17, 3)
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
        assert (model.train()(x) - model(x)).abs().amax() > 1e-3


@pytest.mark.parametrize("T", [1, 7, 40])
def test_mixste_computes_what_the_equations_say(T):
    model, x = tiny.lifter("mixste"), torch.randn(2, T, 17, 3)
    with torch.inference_mode():
        expected = plain_mixste(model.state_dict(), model.config, x)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def plain_mixste(w, config, x):
    """Equation by equation, (B, T, J, C) for spatial blocks and (B, J, T, C) for temporal ones."""
    layers = plain.Layers(w)
    f = layers.linear("embed", x[..., :2]) + w["E_s"]
    for loop in range(config.d_l):
        f = layers.transformer(f"blocks.{2 * loop}", f, config.heads, eps=1e-6)
        f = layers.norm("norm_s", f, eps=1e-6).transpose(1, 2)
        if loop == 0:
            f = f + w["E_t"][:, : x.shape[1]].transpose(1, 2)
        f = layers.transformer(f"blocks.{2 * loop + 1}", f, config.heads, eps=1e-6)
        f = layers.norm("norm_t", f, eps=1e-6).transpose(1, 2)
    return layers.linear("head", layers.norm("norm", f))
