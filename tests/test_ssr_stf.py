"""Claims about SSR-STF: its paper's tables, and the equations letter by letter."""

import plain
import pytest
import tiny
import torch
import torch.nn.functional as F

from video2pose3d.errors import UserError
from video2pose3d.lifters import ssr_stf


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
    V = ssr_stf.VARIANTS
    assert V["base"] == ssr_stf.Config(N=12, C=256, Ch=512)
    assert V["small"] == ssr_stf.Config(N=16, C=128, Ch=512)
    assert V["table_vi_35x35"].kernel == (35, 3, 35, 3)


def test_ssr_stf_ablations_have_the_parameters_of_their_parts():
    def count(variant: str) -> int:
        with torch.device("meta"):
            model = ssr_stf.Model(ssr_stf.VARIANTS[variant])
        return sum(p.numel() for p in model.parameters())

    N, C, Ch = 12, 256, 512
    ends = (3 * C + C) + 17 * C + 2 * C + (C * Ch + Ch) + (3 * Ch + 3)
    fuse = N * (4 * C + 2)
    stc = 20 * C // 8 + 2 * 5 * C  # part embedding, two 3 x 3 with bias
    shared = 12 * C**2 + 13 * C  # norms, qkv, projection, MLP of a transformer block
    assert count("table_v_a") == ends + N * 2 * (shared + stc)
    assert count("table_v_b") + count("table_v_a") - ends == count("table_v_d")
    assert count("table_v_d") + fuse == count("table_v_e")
    assert count("table_v_e") - count("table_v_c") == N * 2 * stc
    taps = {"35x35": 5 + 5 + 11 + 11, "23x7": 5 + 3 + 7 + 3, "11x11": 3 + 3 + 5 + 5, "3x3": 9}
    for kernel, number in taps.items():
        strips = 1 if kernel == "3x3" else 4
        more = count(f"table_vi_{kernel}") - count("table_v_e")  # 3 + 5 taps in two strips
        assert more == N * 2 * C * (number + strips - (3 + 5 + 2))


def test_ssr_stf_gives_its_motion_representation():
    model = tiny.lifter("ssr_stf")
    E = model.represent(torch.randn(2, 5, 17, 3))
    assert E.shape == (2, 5, 17, model.config.Ch)
    assert E.abs().max() <= 1


def test_ssr_stf_starts_with_half_of_each_stream():
    model = ssr_stf.Model(ssr_stf.Config(N=1, C=32, Ch=16, heads=2))
    fused = model.blocks[0].fuse(torch.randn(4, 64)).softmax(dim=-1)
    torch.testing.assert_close(fused, torch.full((4, 2), 0.5))


def test_ssr_stf_refuses_what_no_table_has():
    with pytest.raises(UserError, match="parallel"):
        ssr_stf.Config(streams="both")
    with pytest.raises(UserError, match="criss-cross"):
        ssr_stf.Config(attention="linear")
    for kernel in ((19, 3, 11, 2), (35, 3, 12, 2), (35, 3, 1, 2), (35, 0, 11, 2)):
        with pytest.raises(UserError, match="taps are no odd number"):
            ssr_stf.Config(kernel=kernel)


@pytest.mark.parametrize("attention", ["criss-cross", "conventional"])
@pytest.mark.parametrize("heads", [0, 1, 2, 3, 8, 16])
def test_ssr_stf_refuses_heads_that_cannot_share_out_the_channels(attention, heads):
    """Half of the 16 channels each in criss-cross attention, else all of them."""
    if heads in (1, 2, 8) or (heads == 16 and attention == "conventional"):
        model = ssr_stf.Model(ssr_stf.Config(N=1, C=16, heads=heads, attention=attention))
        assert model(torch.randn(1, 3, 17, 3)).shape == (1, 3, 17, 3)
    else:
        with pytest.raises(UserError, match=f"heads is {heads}: 16 channels are no multiple"):
            ssr_stf.Config(C=16, heads=heads, attention=attention)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kernel": (23, 3, 7, 2)},
        {"kernel": (11, 2, None, None)},
        {"kernel": None},
        {"streams": "global"},
        {"streams": "local"},
        {"streams": "sequential"},
        {"attention": "conventional"},
        {"layer_scale": 0.1},
    ],
)
@pytest.mark.parametrize("T", [1, 7, 24])
def test_ssr_stf_computes_what_the_equations_say(options, T):
    model = tiny.lifter("ssr_stf", N=2, **options)
    x = torch.randn(2, T, 17, 3)
    with torch.inference_mode():
        expected = plain_ssr_stf(model.state_dict(), model.config, x)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def plain_ssr_stf(w, config, x):
    """Equation by equation: images (B, C, T, J), 1 x 1 convolutions, turned inputs."""
    layers = plain.Layers(w)
    linear, norm, mlp, scale = layers.linear, layers.norm, layers.mlp, layers.scale

    def image(x):  # (B, T, J, C) -> (B, C, T, J)
        return x.permute(0, 3, 1, 2)

    def pointwise(name, x):  # (B, C, H, W)
        return F.conv2d(x, w[f"{name}.weight"][:, :, None, None], w[f"{name}.bias"])

    def ssra(name, x, temporal):  # (B, C, T, J)
        x = x.transpose(2, 3) if temporal else x  # the long side lies along the last axis
        if config.kernel is None:
            shapes = [((3, 3), 1)]
        else:
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
        y = scale(f"{name}.scale1", v.permute(0, 2, 3, 1)) + x
        return scale(f"{name}.scale2", mlp(f"{name}.mlp", norm(f"{name}.norm2", y))) + y

    def near(name, v):
        y = F.conv2d(
            image(v), w[f"{name}.weight"], w[f"{name}.bias"], padding=1, groups=v.shape[-1]
        )
        return y.permute(0, 2, 3, 1)

    def stc(name, x):
        q, k, v = linear(f"{name}.qkv", x).chunk(3, dim=-1)
        half, heads = config.C // 2, config.heads
        part = w[f"{name}.part.weight"][list(config.parts)]
        spatial = plain.attention(q[..., :half], k[..., :half], v[..., :half], heads)
        spatial = spatial + near(f"{name}.near_spatial", v[..., :half]) + 1e-4 * part
        q, k, v_t = (u[..., half:].transpose(1, 2) for u in (q, k, v))  # (B, J, T, C / 2)
        temporal = plain.attention(q, k, v_t, heads).transpose(1, 2)
        temporal = temporal + near(f"{name}.near_temporal", v[..., half:])
        return linear(f"{name}.proj", torch.cat([spatial, temporal], dim=-1))

    def stformer(name, x):
        y = scale(f"{name}.scale1", stc(f"{name}.stc", norm(f"{name}.norm1", x))) + x
        return scale(f"{name}.scale2", mlp(f"{name}.mlp", norm(f"{name}.norm2", y))) + y

    def global_member(name, x, temporal):
        if config.attention == "criss-cross":
            return stformer(name, x)
        x = x.transpose(1, 2) if temporal else x  # attention is over the last axis but one
        x = layers.transformer(name, x, config.heads)
        return x.transpose(1, 2) if temporal else x

    f = linear("embed", x) + w["P_s"]
    for i in range(config.N):
        name = f"blocks.{i}"
        if config.streams == "parallel":
            f_l, f_g = f, f
            for n in (0, 1):
                f_l = ssrformer(f"{name}.local_stream.{n}", f_l, temporal=n == 1)
                f_g = global_member(f"{name}.global_stream.{n}", f_g, temporal=n == 1)
            a = linear(f"{name}.fuse", torch.cat([f_l, f_g], dim=-1)).softmax(dim=-1)
            f = a[..., 0:1] * f_l + a[..., 1:2] * f_g
        elif config.streams == "sequential":
            for n in (0, 1):
                f = ssrformer(f"{name}.local_stream.{n}", f, temporal=n == 1)
                f = global_member(f"{name}.global_stream.{n}", f, temporal=n == 1)
        else:
            member = {"local": ssrformer, "global": global_member}[config.streams]
            for n in (0, 1):
                f = member(f"{name}.{n}", f, temporal=n == 1)
    return linear("head", torch.tanh(linear("to_E", norm("norm", f))))
