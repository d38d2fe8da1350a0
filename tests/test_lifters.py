"""Claims about the lifters; those for all of them run over whatever discovery finds."""

import json
import struct

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from video2pose3d import discovery, lifters
from video2pose3d.errors import UserError
from video2pose3d.lifters import ssr_stf

TINY = {"ssr_stf": {"N": 1, "C": 32, "Ch": 16, "heads": 2}}


def tiny(name: str) -> nn.Module:
    module = discovery.load("lifters", name)
    torch.manual_seed(0)
    model = module.Model(module.Config(**TINY.get(name, {}))).eval()
    for parameter in model.parameters():  # not the half-asleep network of the first step
        nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture(params=discovery.names("lifters"))
def name(request) -> str:
    return request.param


@pytest.mark.parametrize("T", [1, 2, 9, 40])
def test_any_number_of_frames_goes_in_and_comes_out(name, T):
    with torch.inference_mode():
        assert tiny(name)(torch.randn(2, T, 17, 3)).shape == (2, T, 17, 3)


def test_windows_of_a_batch_do_not_see_each_other(name):
    model, x = tiny(name), torch.randn(3, 12, 17, 3)
    with torch.inference_mode():
        torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-4, atol=1e-5)


def test_a_saved_lifter_loads_as_it_was(name, tmp_path):
    model, x = tiny(name), torch.randn(1, 9, 17, 3)
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
        ({"config": '{"width": 3}'}, "do not fit"),
        ({"config": '{"N": 2, "C": 32, "Ch": 16, "heads": 2}'}, "do not fit"),
        ({"frames": "many"}, "damaged header"),
        ({"frames": "0"}, "damaged header"),
    ],
)
def test_a_header_that_says_something_else_is_one_clear_error(tmp_path, changes, says):
    path = tmp_path / "lifter.safetensors"
    lifters.save(path, "ssr_stf", tiny("ssr_stf"), frames=81, about={})
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


# ------------------------------------------------------------------ SSR-STF and its paper


@pytest.mark.parametrize(
    ("N", "C", "Ch", "count", "millions"),
    [
        (6, 256, 512, 18_434_319, 18.4),
        (8, 256, 512, 24_532_755, 24.5),
        (10, 256, 512, 30_631_191, 30.6),
        (12, 256, 512, 36_729_627, 36.7),
        (12, 256, 256, 36_663_067, 36.7),
        (12, 256, 1024, 36_862_747, 36.9),
        (14, 256, 512, 42_828_063, 42.8),
        (16, 128, 512, 12_405_667, 12.4),
    ],
)
def test_ssr_stf_has_the_parameters_of_table_iv(N, C, Ch, count, millions):
    with torch.device("meta"):
        model = ssr_stf.Model(ssr_stf.Config(N=N, C=C, Ch=Ch))
    assert sum(p.numel() for p in model.parameters()) == count
    assert round(count / 1e6, 1) == millions


def test_ssr_stf_variants_are_the_papers():
    assert ssr_stf.VARIANTS["base"] == ssr_stf.Config(N=12, C=256, Ch=512)
    assert ssr_stf.VARIANTS["small"] == ssr_stf.Config(N=16, C=128, Ch=512)


def test_ssr_stf_gives_its_motion_representation():
    model = tiny("ssr_stf")
    E = model.represent(torch.randn(2, 5, 17, 3))
    assert E.shape == (2, 5, 17, model.config.Ch)
    assert E.abs().max() <= 1


def test_ssr_stf_starts_with_half_of_each_stream():
    model = ssr_stf.Model(ssr_stf.Config(N=1, C=32, Ch=16, heads=2))
    fused = model.blocks[0].fuse(torch.randn(4, 64)).softmax(dim=-1)
    torch.testing.assert_close(fused, torch.full((4, 2), 0.5))


@pytest.mark.parametrize("kernel", [(35, 3, 11, 2), (23, 3, 7, 2), (11, 2, None, None)])
@pytest.mark.parametrize("T", [1, 7, 24])
def test_ssr_stf_computes_what_the_equations_say(kernel, T):
    config = ssr_stf.Config(N=2, C=32, Ch=16, heads=2, kernel=kernel)
    torch.manual_seed(1)
    model = ssr_stf.Model(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.15)
    x = torch.randn(2, T, 17, 3)
    with torch.inference_mode():
        torch.testing.assert_close(
            model(x), plain_ssr_stf(model.state_dict(), config, x), rtol=1e-4, atol=1e-4
        )


def plain_ssr_stf(w, config, x):
    """The equations letter by letter: images (B, C, T, J), 1 x 1 convolutions, turned inputs."""

    def linear(name, x):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])

    def mlp(name, x):
        return linear(f"{name}.2", F.gelu(linear(f"{name}.0", x)))

    def image(x):  # (B, T, J, C) -> (B, C, T, J)
        return x.permute(0, 3, 1, 2)

    def pointwise(name, x):  # (B, C, H, W)
        return F.conv2d(x, w[f"{name}.weight"][:, :, None, None], w[f"{name}.bias"])

    def ssra(name, x, temporal):  # (B, C, T, J)
        x = x.transpose(2, 3) if temporal else x  # the long side lies along the last axis
        k1, d1, k2, d2 = config.kernel
        shapes = [((1, 2 * d1 - 1), 1), ((1, k1 // d1), d1)]
        if k2 is not None:
            shapes = [shapes[0], ((2 * d2 - 1, 1), 1), shapes[1], ((k2 // d2, 1), d2)]
        a = x
        for i, (taps, d) in enumerate(shapes):
            weight = w[f"{name}.strips.{i}.weight"]
            weight = weight.transpose(2, 3) if temporal else weight
            assert tuple(weight.shape[2:]) == taps
            padding = tuple(d * (k - 1) // 2 for k in taps)
            bias = w[f"{name}.strips.{i}.bias"]
            a = F.conv2d(a, weight, bias, padding=padding, dilation=d, groups=config.C)
        y = pointwise(f"{name}.pw", a) * x
        return y.transpose(2, 3) if temporal else y

    def ssrformer(name, x, temporal):
        u = image(norm(f"{name}.norm1", x))
        v = F.gelu(pointwise(f"{name}.ssr.pw1", u))
        v = u + pointwise(f"{name}.ssr.pw2", ssra(f"{name}.ssr.ssra", v, temporal))
        y = v.permute(0, 2, 3, 1) + x
        return mlp(f"{name}.mlp", norm(f"{name}.norm2", y)) + y

    def attention(q, k, v):  # (..., tokens, C / 2), the heads one by one
        d = q.shape[-1] // config.heads
        out = []
        for h in range(config.heads):
            one = slice(h * d, (h + 1) * d)
            weights = (q[..., one] @ k[..., one].transpose(-1, -2) / d**0.5).softmax(dim=-1)
            out.append(weights @ v[..., one])
        return torch.cat(out, dim=-1)

    def near(name, v):
        y = F.conv2d(
            image(v), w[f"{name}.weight"], w[f"{name}.bias"], padding=1, groups=v.shape[-1]
        )
        return y.permute(0, 2, 3, 1)

    def stc(name, x):
        q, k, v = linear(f"{name}.qkv", x).chunk(3, dim=-1)
        half = config.C // 2
        part = w[f"{name}.part.weight"][list(config.parts)]
        spatial = attention(q[..., :half], k[..., :half], v[..., :half])
        spatial = spatial + near(f"{name}.near_spatial", v[..., :half]) + 1e-4 * part
        q, k, v_t = (u[..., half:].transpose(1, 2) for u in (q, k, v))  # (B, J, T, C / 2)
        temporal = attention(q, k, v_t).transpose(1, 2)
        temporal = temporal + near(f"{name}.near_temporal", v[..., half:])
        return linear(f"{name}.proj", torch.cat([spatial, temporal], dim=-1))

    def stformer(name, x):
        y = stc(f"{name}.stc", norm(f"{name}.norm1", x)) + x
        return mlp(f"{name}.mlp", norm(f"{name}.norm2", y)) + y

    f = linear("embed", x) + w["P_s"]
    for i in range(config.N):
        name = f"blocks.{i}"
        f_l = ssrformer(f"{name}.local_stream.0", f, temporal=False)
        f_l = ssrformer(f"{name}.local_stream.1", f_l, temporal=True)
        f_g = stformer(f"{name}.global_stream.1", stformer(f"{name}.global_stream.0", f))
        a = linear(f"{name}.fuse", torch.cat([f_l, f_g], dim=-1)).softmax(dim=-1)
        f = a[..., 0:1] * f_l + a[..., 1:2] * f_g
    return linear("head", torch.tanh(linear("to_E", norm("norm", f))))
