"""Claims about the lifters; those for all of them run over whatever discovery finds."""

import dataclasses
import functools
import json
import struct

import mocap
import numpy as np
import pytest
import tiny
import torch

from video2pose3d import discovery, lifters, weights
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.errors import UserError
from video2pose3d.evaluation import filming
from video2pose3d.lifters import _linear
from video2pose3d.lifters._transformer import FEW, attend


@pytest.fixture(params=discovery.names("lifters"))
def name(request) -> str:
    return request.param


@pytest.mark.parametrize("T", [1, 2, 9, 40])
def test_any_number_of_frames_goes_in_and_comes_out(name, T):
    with torch.inference_mode():
        assert tiny.lifter(name)(torch.randn(2, T, 17, 3)).shape == (2, T, 17, 3)


def test_windows_of_a_batch_do_not_see_each_other(name):
    model, x = tiny.lifter(name), torch.randn(3, 12, 17, 3)
    with torch.inference_mode():
        torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-4, atol=1e-5)


def test_features_lead_to_the_representation_and_that_to_the_joints(name):
    model, x = tiny.lifter(name), torch.randn(2, 9, 17, 3)
    with torch.inference_mode():
        features, E = model.features(x), model.represent(x)
        assert all(f.shape == (2, 9, 17, features[0].shape[-1]) for f in features)
        assert E.shape[:-1] == (2, 9, 17)
        torch.testing.assert_close(model.head(E), model(x))
        again = list(model.encode(model.embed_input(x)))
        torch.testing.assert_close(again, features)
        altered = model.embed_input(x)
        altered[:, 4] = torch.randn(17, altered.shape[-1])  # as pre-training masks a frame
        assert not torch.allclose(list(model.encode(altered))[-1], features[-1], atol=1e-3)


def test_gradients_change_nothing_in_what_is_computed(name):
    model, x = tiny.lifter(name), torch.randn(2, 9, 17, 3)
    with torch.inference_mode():  # maps are reused there
        expected = model(x)
    torch.testing.assert_close(model(x).detach(), expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_comes_close(name):
    model, x = tiny.lifter(name), torch.randn(2, 9, 17, 3)
    with torch.inference_mode():
        expected = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(x)
    assert found.dtype == torch.float32  # metres: bfloat16 knows them to 4 mm
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("shipped", ["ssr_stf", "ssr_stf_tiny"])
def test_bfloat16_moves_what_the_shipped_lifters_find_by_less_than_half_a_millimetre(shipped):
    lifter = lifters.load(weights.find(shipped, kind="lifter"))
    clips = Mocap(mocap.walk(81), np.array([0]), np.array([81]), np.array(["a"]), 50.0)
    people = [seen.keypoints["noisy"] for seen in filming.film(clips)]
    (expected,) = lifters.lift(lifter, people, filming.CAMERA)
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = lifters.lift(lifter, people, filming.CAMERA)
    assert 0 < np.linalg.norm(found.joints - expected.joints, axis=-1).mean() < 0.5e-3


def test_every_parameter_is_trained(name):
    model = tiny.lifter(name).train()
    model(torch.randn(2, 9, 17, 3)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


def test_variants_have_configs_that_a_checkpoint_can_hold(name):
    module = discovery.load("lifters", name)
    assert "base" in module.VARIANTS
    for config in module.VARIANTS.values():
        read = json.loads(json.dumps(dataclasses.asdict(config)))
        tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in read.items()}
        assert module.Config(**tuples) == config


def test_heads_share_out_the_channels_or_are_refused(name):
    with pytest.raises(UserError, match="heads is 7: 32 channels are no multiple of"):
        tiny.lifter(name, heads=7)


def test_a_saved_lifter_loads_as_it_was(name, tmp_path):
    model, x = tiny.lifter(name), torch.randn(1, 9, 17, 3)
    path = tmp_path / "lifter.safetensors"
    lifters.save(path, name, model, frames=81, about={"licence": "ours"}, dtype=torch.float32)
    lifter = lifters.load(path)
    assert (lifter.name, lifter.frames, lifter.metadata["licence"]) == (name, 81, "ours")
    assert lifter.model.config == model.config
    with torch.inference_mode():
        torch.testing.assert_close(lifter.model(x), model(x))


def rewrite(path, **changes):
    """The same file with other header entries; None takes one away."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    for key, value in changes.items():
        header["__metadata__"].pop(key)
        if value is not None:
            header["__metadata__"][key] = value
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "another"}, "format"),
        ({"normalisation": "image width"}, "normalisation"),
        ({"unit": None}, "unit"),
        ({"lifter": "mixtape"}, "choose from"),
        ({"config": "{"}, "damaged header"),
        ({"config": "[]"}, "damaged header"),
        ({"config": '{"heads": 7}'}, r"lifter\.safetensors: damaged header \(heads is 7"),
        ({"config": '{"width": 3}'}, "do not fit"),
        ({"config": '{"N": 2, "C": 32, "Ch": 16, "heads": 2}'}, "do not fit"),
        ({"frames": "many"}, "damaged header"),
        ({"frames": "0"}, "damaged header"),
    ],
)
def test_a_header_that_says_something_else_is_one_clear_error(tmp_path, changes, says):
    path = tmp_path / "lifter.safetensors"
    lifters.save(path, "ssr_stf", tiny.lifter("ssr_stf"), frames=81, about={})
    rewrite(path, **changes)
    with pytest.raises(UserError, match=says):
        lifters.load(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle in a zip", b"\x80\x04." * 99])
def test_files_that_are_no_lifters_are_one_clear_error(tmp_path, content):
    path = tmp_path / "lifter.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="safetensors"):
        lifters.load(path)
    with pytest.raises(UserError, match="no such file"):
        lifters.load(tmp_path / "missing.safetensors")


def test_a_place_that_takes_no_file_is_one_clear_error_and_a_missing_folder_is_made(tmp_path):
    save = functools.partial(lifters.save, name="ssr_stf", frames=81, about={})
    save(tmp_path / "new" / "lifter.safetensors", model=tiny.lifter("ssr_stf"))
    assert lifters.load(tmp_path / "new" / "lifter.safetensors").frames == 81
    with pytest.raises(UserError, match="can't be written"):
        save(tmp_path / "new" / "lifter.safetensors" / "x", model=tiny.lifter("ssr_stf"))


@pytest.mark.parametrize("tokens", [1, 17, FEW, FEW + 1])
def test_attention_is_the_same_with_few_tokens_and_many_with_a_gradient_and_without(tokens):
    q, k, v = torch.randn(3, 2, 4, tokens, 8, generator=torch.Generator().manual_seed(tokens))
    learning = attend(q, k, v)
    with torch.inference_mode():
        ready = attend(q, k, v)
    weights = torch.einsum("bhid,bhjd->bhij", q, k).div(8**0.5).softmax(dim=-1)
    torch.testing.assert_close(ready, torch.einsum("bhij,bhjd->bhid", weights, v))
    torch.testing.assert_close(ready, learning)


@pytest.mark.parametrize("shape", [(2, 9, 17, 32), (1, 1, 1, 32), (0, 17, 32), (5, 32)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("onednn", [True, False])
def test_a_linear_layer_is_the_same_by_either_product(monkeypatch, shape, bias, onednn):
    if onednn and not torch.backends.mkldnn.is_available():
        pytest.skip("a torch without oneDNN")
    monkeypatch.setattr(_linear, "onednn_is_faster", lambda: onednn)
    layer, x = _linear.Linear(32, 48, bias=bias), torch.randn(shape)
    expected = x @ layer.weight.T + (layer.bias if bias else 0)
    torch.testing.assert_close(layer(x), expected)  # with gradient
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)
        torch.testing.assert_close(
            layer(x.flip(-1)), x.flip(-1) @ layer.weight.T + (layer.bias if bias else 0)
        )
        layer.weight.mul_(2)
        layer.weight.data = layer.weight.data.clone()  # as an average is swapped in
        if bias:
            layer.bias.zero_()
        torch.testing.assert_close(layer(x), x @ layer.weight.T)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
