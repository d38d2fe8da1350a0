"""Claims about the Transformer-GCN: its paper's sizes, and the equations letter by letter."""

import plain
import pytest
import tiny
import torch
from torch import nn

from video2pose3d.errors import UserError
from video2pose3d.lifters import transformer_gcn
from video2pose3d.skeletons import H36M17


@pytest.mark.parametrize(("variant", "count"), [("base", 11_723_811), ("large", 46_505_891)])
def test_transformer_gcn_has_the_parameters_of_the_published_network(variant, count):
    with torch.device("meta"):
        model = transformer_gcn.Model(transformer_gcn.VARIANTS[variant])
    assert sum(p.numel() for p in model.parameters()) == count


def test_transformer_gcn_refuses_windows_longer_than_its_own():
    with pytest.raises(UserError, match="at most 40 frames"):
        tiny.lifter("transformer_gcn")(torch.randn(1, 41, 17, 3))


def test_transformer_gcn_starts_with_half_of_each_stream():
    config = transformer_gcn.Config(**tiny.CONFIGS["transformer_gcn"])
    fused = transformer_gcn.Model(config).blocks[0].fuse(torch.randn(4, 64)).softmax(dim=-1)
    torch.testing.assert_close(fused, torch.full((4, 2), 0.5))


def test_joints_are_linked_by_the_bones_of_the_skeleton():
    A = transformer_gcn.spatial_adjacency(H36M17.parents)
    knee, hip, head = (H36M17.index(j) for j in ("right_knee", "right_hip", "head"))
    assert A[knee, hip] == A[hip, knee] > 0
    assert A[knee, head] == 0
    assert (A > 0).sum() == 17 + 2 * len(H36M17.bones)


def test_batch_norms_learn_the_mean_and_variance_of_each_node():
    ours, theirs = transformer_gcn.NodeNorm(5), nn.BatchNorm1d(5)
    with torch.no_grad():
        for gain in (ours.weight, theirs.weight):
            gain.copy_(torch.arange(1.0, 6.0))
    x = torch.randn(4, 5, 3, 2) * torch.arange(1.0, 6.0)[:, None, None] + 1
    torch.testing.assert_close(ours(x), theirs(x.flatten(2)).view_as(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x.flatten(2)).view_as(x))
    before = ours.running_mean.clone()
    ours.train()(x[:, :2])  # a shorter window teaches its own frames only
    assert (ours.running_mean != before).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("T", [1, 2, 7, 40])
def test_transformer_gcn_computes_what_the_equations_say(T):
    model, x = tiny.lifter("transformer_gcn"), torch.randn(2, T, 17, 3)
    for module in model.modules():
        if isinstance(module, transformer_gcn.NodeNorm):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    with torch.inference_mode():
        expected = plain_transformer_gcn(model.state_dict(), model.config, x)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def plain_transformer_gcn(w, config, x):
    """Equation by equation, (B, T, J, d) for spatial modules and (B, J, T, d) for temporal ones."""
    layers = plain.Layers(w)
    linear, norm = layers.linear, layers.norm
    T, J = x.shape[1:3]

    A_S, A_T = torch.zeros(J, J), torch.zeros(T, T)
    for parent, joint in H36M17.bones:
        A_S[parent, joint] = A_S[joint, parent] = 1
    for t in range(T - 1):
        A_T[t, t + 1] = A_T[t + 1, t] = 1

    def gcn(name, f, A):  # (..., nodes, d)
        A = A + torch.eye(len(A))
        D = torch.diag(A.sum(dim=1) ** -0.5)
        y = D @ A @ D @ linear(f"{name}.W1", f) + linear(f"{name}.W2", f)
        mean, var, gain, bias = (
            w[f"{name}.norm.{key}"][: len(A), None]
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (f + (y - mean) / (var + 1e-5).sqrt() * gain + bias).clamp(min=0)

    def gcnformer(name, f, A):
        f = f + layers.scale(f"{name}.scale1", gcn(f"{name}.gcn", norm(f"{name}.norm1", f), A))
        y = layers.mlp(f"{name}.mlp", norm(f"{name}.norm2", f))
        return f + layers.scale(f"{name}.scale2", y)

    f = linear("embed", x) + w["P_s"]
    for i in range(config.N):
        name = f"blocks.{i}"
        f_tr = layers.transformer(f"{name}.transformer_stream.0", f, config.heads).transpose(1, 2)
        f_tr = layers.transformer(f"{name}.transformer_stream.1", f_tr, config.heads)
        f_g = gcnformer(f"{name}.gcn_stream.0", f, A_S).transpose(1, 2)
        f_g = gcnformer(f"{name}.gcn_stream.1", f_g, A_T)
        f_tr, f_g = f_tr.transpose(1, 2), f_g.transpose(1, 2)
        a = linear(f"{name}.fuse", torch.cat([f_tr, f_g], dim=-1)).softmax(dim=-1)
        f = a[..., 0:1] * f_tr + a[..., 1:2] * f_g
    return linear("head", torch.tanh(linear("to_E", norm("norm", f))))
