"""Claims about the training data, the losses and the loop."""

import mocap
import numpy as np
import pytest
import torch
from mocap import walk

from video2pose3d import lifters, training
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.errors import UserError
from video2pose3d.skeletons import H36M17
from video2pose3d.training import bodies, data, downstream, loop, losses

CONFIG = """
lifter = "ssr_stf"
seed = 3
val_windows = 4
minutes_between_checkpoints = 60
[model]
N = 1
C = 32
Ch = 16
heads = 2
[optimiser]
matrices = "muon"
lr = 3e-3
weight_decay = 0.0
clip = 1.0
ema = 0.9
[loss]
scaled = 0.5
smooth = 1.0
[schedule]
steps = 6
warmup = 1
decay = 2
[[stage]]
until = 0.5
frames = 5
windows = 4
[[stage]]
until = 1.0
frames = 9
windows = 2
"""


@pytest.fixture
def folder(tmp_path):
    """A data folder with two clips, one of them shorter than a window, and a config."""
    mocap.write(tmp_path, ["train", "val"], [walk(300), walk(40, seed=1)])
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


def sampler(folder, **recipe) -> data.Sampler:
    return data.Sampler(Mocap.read(folder / "train.npz"), data.Recipe(**recipe), seed=5)


EXACT = {"clean": 1.0, "faults": 0.0, "tilt": 0.0, "focal_error": (1.0, 1.0)}


# ------------------------------------------------------------------ data


def test_batches_are_finite_and_the_same_for_the_same_seed(folder):
    one, two = sampler(folder).batch(32, 81), sampler(folder).batch(32, 81)
    for a, b in zip(vars(one).values(), vars(two).values(), strict=True):
        assert a.dtype == np.float32
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)
    assert one.inputs.shape == one.targets.shape == (32, 81, 17, 3)
    assert set(np.unique(one.weights)) == {0, 1}  # the short clip has to hang over


def test_scores_are_scores_and_what_is_not_seen_is_nothing(folder):
    inputs = sampler(folder).batch(64, 27).inputs
    scores = inputs[..., 2]
    assert scores.min() == 0
    assert scores.max() <= 1
    assert not inputs[scores == 0].any()
    assert np.abs(inputs[..., :2]).max() <= 4


def test_targets_lie_where_the_inputs_are_seen(folder):
    batch = sampler(folder, **EXACT).batch(64, 9)
    counts = batch.weights > 0
    wrists = H36M17.indices("left_wrist", "right_wrist", "left_ankle", "right_ankle")
    for axis in (0, 1):
        seen = batch.inputs[..., axis] - batch.inputs[:, :, :1, axis]
        a, b = seen[counts][:, wrists].ravel(), batch.targets[counts][:, wrists, axis].ravel()
        assert np.corrcoef(a, b)[0, 1] > 0.95


def test_people_stand_with_their_head_up_and_their_nose_in_front(folder):
    recipe = {**EXACT, "from_above": 0.0, "splice": 0.0}
    targets = sampler(folder, **recipe).batch(128, 3).targets
    J = H36M17.index
    assert (targets[..., J("head"), 1] < targets[..., J("left_ankle"), 1]).all()  # y is down
    joints = walk(60)[None]
    nose = data.detector_points(joints, None)[..., J("neck"), :] - joints[..., J("neck"), :]
    assert (nose[..., 1] > 0.08).all()  # they walk along +y


def test_detector_points_are_joined_as_the_conversion_from_coco_joins_them(folder):
    points = data.detector_points(walk(9)[None], np.random.default_rng(0))
    mid = points[:, :, H36M17.indices("left_hip", "right_hip")].mean(axis=2)
    shoulders = points[:, :, H36M17.indices("left_shoulder", "right_shoulder")].mean(axis=2)
    np.testing.assert_allclose(points[:, :, H36M17.index("pelvis")], mid)
    np.testing.assert_allclose(points[:, :, H36M17.index("spine")], (mid + shoulders) / 2)


def test_bones_keep_their_length_through_a_window(folder):
    targets = sampler(folder, splice=0.0).batch(16, 27).targets
    for parent, child in H36M17.bones:
        length = np.linalg.norm(targets[:, :, child] - targets[:, :, parent], axis=-1)
        swinging = H36M17.joints[child].endswith(("knee", "ankle", "elbow", "wrist"))
        assert swinging or np.ptp(length, axis=1).max() < 1e-3


def test_left_and_right_come_equally_often(folder):
    """Mirroring: over many windows the walker's left arm leads as often as the right."""
    targets = sampler(folder, **EXACT).batch(400, 1).targets
    J = H36M17.index
    across = targets[..., J("left_hip"), :] - targets[..., J("right_hip"), :]
    up = targets[..., J("thorax"), :]
    front = np.cross(across, up)  # y is down: left x up points forward
    lead = ((targets[..., J("left_wrist"), :] - targets[..., J("right_wrist"), :]) * front).sum(-1)
    assert 0.35 < (lead > 0).mean() < 0.65


def test_an_upper_body_is_turned_to_the_legs_heading():
    lower, upper = walk(20)[None], walk(20)[None][..., [1, 0, 2]] * [1, -1, 1]  # walks along +x
    spliced = bodies.splice_upper_body(lower, upper)
    np.testing.assert_allclose(spliced[:, :, bodies.LEGS], lower[:, :, bodies.LEGS])
    shoulders = H36M17.indices("left_shoulder", "right_shoulder")
    across = spliced[:, :, shoulders[0]] - spliced[:, :, shoulders[1]]
    assert (np.abs(across[..., 1]) < 1e-6).all()
    assert (across[..., 0] < 0).all()


def test_bent_people_have_their_bones_and_their_knees_in_front():
    joints = np.repeat(walk(40)[None], 200, axis=0)
    bent = bodies.bend(joints, np.random.default_rng(0), share=1.0)
    for parent, child in H36M17.bones:
        before, after = (
            np.linalg.norm(x[:, :, child] - x[:, :, parent], axis=-1) for x in (joints, bent)
        )
        np.testing.assert_allclose(after, before)
    np.testing.assert_allclose(bent[..., 2].min(axis=2), joints[..., 2].min(axis=2))
    assert np.abs(bent - joints).max(axis=(1, 2, 3)).mean() > 0.3  # most are bent a good deal
    left = bent[:, :, H36M17.index("left_hip")] - bent[:, :, H36M17.index("right_hip")]
    for side in ("left", "right"):
        hip, knee, ankle = (
            bent[:, :, H36M17.index(f"{side}_{j}")] for j in ("hip", "knee", "ankle")
        )
        hinge = (np.cross(knee - hip, ankle - knee) * left).sum(axis=-1)
        assert hinge.min() > -0.005


# ------------------------------------------------------------------ losses


def test_losses_are_nought_for_the_truth_and_know_their_blind_spots():
    truth, weight = torch.randn(2, 6, 17, 3), torch.ones(2, 6)
    for loss in (losses.position, losses.scaled_position, losses.velocity):
        assert loss(truth, truth, weight) < 1e-5
    assert losses.scaled_position(3 * truth, truth, weight) < 1e-5
    assert losses.velocity(truth + 1, truth, weight) < 1e-5
    assert losses.position(truth + torch.tensor([0.3, 0, 0.4]), truth, weight) == pytest.approx(0.5)


def test_frames_beyond_the_clip_do_not_count():
    truth, weight = torch.randn(1, 6, 17, 3), torch.ones(1, 6)
    estimate = truth.clone()
    estimate[:, 4:] += 9
    weight[:, 4:] = 0
    assert losses.total(estimate, truth, weight, scaled=0.5, smooth=5.0) < 1e-5


def test_a_batch_without_frames_that_count_has_no_loss():
    truth = torch.randn(1, 6, 17, 3)
    loss = losses.total(truth + 1, truth, torch.zeros(1, 6), scaled=0.5, smooth=5.0)
    assert loss == 0


# ------------------------------------------------------------------ loop


def test_training_goes_on_where_it_was_stopped(folder):
    whole = training.train(folder / "config.toml", folder, folder / "whole", threads=1)
    config = loop.TrainingConfig.read(folder / "config.toml")
    assert [config.stage_at(step).frames for step in range(6)] == [5, 5, 5, 9, 9, 9]

    (folder / "halved.toml").write_text(CONFIG.replace("until = 0.5", "until = 1.0"))
    training.train(folder / "halved.toml", folder, folder / "parts", steps=3, threads=1)
    # steps=3 decays early; what must agree is the state that a resumed run starts from.
    state = torch.load(folder / "parts" / "last.pt", weights_only=True)
    assert state["step"] == 3
    parts = training.train(folder / "config.toml", folder, folder / "parts", threads=1)
    state = torch.load(parts, weights_only=True)
    assert state["step"] == 6
    assert state["windows"] == torch.load(whole, weights_only=True)["windows"] == 3 * 4 + 3 * 2
    rows = (folder / "parts" / "log.csv").read_text().splitlines()
    assert len(rows) == 3  # a header, and one row for each end
    assert not list((folder / "parts").glob("*.part"))


def test_the_average_follows_and_the_published_file_holds_it(folder):
    checkpoint = training.train(folder / "config.toml", folder, folder / "run", threads=1)
    path = folder / "lifter.safetensors"
    training.publish(folder / "config.toml", checkpoint, path, {"licence": "ours"})
    lifter = lifters.load(path)
    average = torch.load(checkpoint, weights_only=True)["average"]
    for key, tensor in lifter.model.state_dict().items():
        torch.testing.assert_close(tensor, average[key], rtol=1e-3, atol=1e-3)
    assert lifter.frames == 9
    assert lifter.metadata["licence"] == "ours"


@pytest.mark.parametrize("matrices", ["muon", "adamw"])
def test_a_lifter_learns_one_batch_by_heart(folder, matrices):
    text = CONFIG.replace('"muon"', f'"{matrices}"').replace("steps = 6", "steps = 60")
    (folder / "config.toml").write_text(text)
    config = loop.TrainingConfig.read(folder / "config.toml")
    device = torch.device("cpu")
    run = loop.new_run(config, Mocap.read(folder / "train.npz"), device)
    batch = run.sampler.batch(4, 5)
    first = loop.train_step(run, config, batch, device)
    for run.step in range(1, 40):
        last = loop.train_step(run, config, batch, device)
    assert last < 0.5 * first


@pytest.mark.parametrize(
    ("text", "says"),
    [("lifter = ", "not a training config"), ("lifter = 'ssr_stf'", "stage"), ("x = 1", "stage")],
)
def test_a_config_that_is_none_is_one_clear_error(tmp_path, text, says):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        loop.TrainingConfig.read(path)
    with pytest.raises(UserError, match=r"mocap_small_cpu\.toml"):
        loop.TrainingConfig.read(tmp_path / "missing.toml")


def test_shipped_configs_are_found_by_name_and_fit_their_lifters():
    for path in loop.CONFIGS.glob("*.toml"):
        if downstream.is_downstream(path):
            continue  # see test_downstream
        config = loop.TrainingConfig.read(path.name)
        loop.make_model(config)
        assert config.stage[-1].until == 1.0
