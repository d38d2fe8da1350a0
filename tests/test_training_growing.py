"""Claims about a wider lifter that begins with what a narrower one has learnt."""

import pytest
import torch

from video2pose3d import discovery, lifters
from video2pose3d.errors import UserError
from video2pose3d.lifters import ssr_stf
from video2pose3d.training import growing
from video2pose3d.training.publishing import begin_with

NARROW = {"N": 2, "C": 32, "Ch": 16, "heads": 2}
WIDE = {"N": 2, "C": 64, "Ch": 32, "heads": 4}


def model(fields: dict, **more) -> ssr_stf.Model:
    torch.manual_seed(1)
    made = ssr_stf.Model(ssr_stf.Config(**fields, **more))
    with torch.no_grad():
        for parameter in made.parameters():  # as after training: nothing is nought, or one
            parameter += 0.1 * torch.randn_like(parameter)
    return made.eval()


@pytest.mark.parametrize(
    ("streams", "kernel"),
    [
        ("parallel", (35, 3, 11, 2)),
        ("sequential", None),
        ("global", None),
        ("local", (11, 2, 7, 2)),
    ],
)
@pytest.mark.parametrize("k", [2, 3])
def test_a_wider_lifter_gives_the_same_poses(streams, kernel, k):
    narrow = model(NARROW, streams=streams, kernel=kernel)
    wide = model({"N": 2, **{key: k * NARROW[key] for key in ("C", "Ch", "heads")}},
                 streams=streams, kernel=kernel)  # fmt: skip
    wide.load_state_dict(growing.widened(narrow.state_dict(), wide))
    x = torch.randn(2, 9, 17, 3)
    with torch.no_grad():
        torch.testing.assert_close(wide(x), narrow(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ["criss-cross", "conventional"])
def test_a_head_is_copied_whole(attention):
    narrow, wide = (
        model({"N": 1, "C": 32 * k, "Ch": 16, "heads": k}, attention=attention) for k in (1, 2)
    )
    wide.load_state_dict(growing.widened(narrow.state_dict(), wide))
    x = torch.randn(2, 9, 17, 3)
    with torch.no_grad():
        torch.testing.assert_close(wide(x), narrow(x), rtol=1e-4, atol=1e-5)


def test_copies_do_not_learn_the_same():
    wide = model(WIDE)
    wide.load_state_dict(growing.widened(model(NARROW).state_dict(), wide))
    wide(torch.randn(2, 9, 17, 3)).square().mean().backward()
    gradient = wide.embed.weight.grad
    assert gradient is not None
    first, second = gradient.chunk(2)
    assert torch.equal(*wide.embed.weight.detach().chunk(2))
    assert (first - second).norm() > 0.1 * first.norm()


def test_a_published_lifter_is_widened_where_the_config_is_wider(tmp_path):
    narrow, wide = model(NARROW), model(WIDE)
    lifters.save(tmp_path / "narrow.safetensors", "ssr_stf", narrow, frames=9, about={})
    begin_with(wide, str(tmp_path / "narrow.safetensors"))
    x = torch.randn(1, 9, 17, 3)
    with torch.no_grad():
        torch.testing.assert_close(wide(x), narrow(x), rtol=1e-2, atol=2e-3)  # stored in fp16
    for misfit in (
        {"C": 80}, {"heads": 2}, {"Ch": 24}, {"C": 32}, {"C": 32, "Ch": 16}, {"N": 1}, {"N": 3},
        {"kernel": (11, 2, 7, 2)}, {"parts": (0,) * 17}, {"layer_scale": 0.1},
    ):  # fmt: skip
        with pytest.raises(UserError, match=r"does not fit \[model\]"):
            begin_with(model({**WIDE, **misfit}), str(tmp_path / "narrow.safetensors"))


def test_only_what_gives_the_same_poses_may_differ(tmp_path):
    """Also where tensors of another config would go in."""
    path = str(tmp_path / "own.safetensors")
    own = model(NARROW, layer_scale=0.1)
    lifters.save(tmp_path / "own.safetensors", "ssr_stf", own, frames=9, about={})
    x = torch.randn(1, 9, 17, 3)
    for same in ({}, {"layer_scale": 0.2}, {"Ch": 32}):
        begun = model({**NARROW, "layer_scale": 0.1, **same})
        begin_with(begun, path)
        with torch.no_grad():
            torch.testing.assert_close(begun(x), own(x), rtol=1e-2, atol=2e-3)
    with pytest.raises(UserError, match=r"does not fit \[model\] \(heads is 4, theirs is 2\)"):
        begin_with(model({**NARROW, "layer_scale": 0.1, "heads": 4}), path)
    mixste = discovery.load("lifters", "mixste")
    with pytest.raises(UserError, match=r"does not fit \[model\] \(they are another network's\)"):
        begin_with(mixste.Model(mixste.Config(d_l=1, C=32, T=9)), path)


def test_tensors_of_another_depth_are_not_widened():
    for N in (1, 3):
        with pytest.raises(ValueError, match=r"only one of the two has blocks\.."):
            growing.widened(model(NARROW).state_dict(), model({**WIDE, "N": N}))
