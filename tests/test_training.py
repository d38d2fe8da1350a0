"""Claims about the training data that motion capture gives."""

import mocap
import numpy as np
import pytest
from mocap import walk

from video2pose3d.datasets.mocap import Mocap
from video2pose3d.geometry import unit
from video2pose3d.skeletons import H36M17
from video2pose3d.training import bodies, data


@pytest.fixture
def folder(tmp_path):
    """A data folder with two clips, one of them shorter than a window."""
    mocap.write(tmp_path, ["train"], [walk(300), walk(40, seed=1)])
    return tmp_path


def sampler(folder, **recipe) -> data.Sampler:
    return data.Sampler(Mocap.read(folder / "train.npz"), data.Recipe(**recipe), seed=5)


def shares(**frames: int) -> dict[str, float]:
    """How often each source is drawn that has so many frames, in two clips."""
    length = np.array([n for N in frames.values() for n in (N // 4, N - N // 4)])
    source = np.repeat([name.replace("_", "-") for name in frames], 2)
    start = np.cumsum(length) - length
    weight = data.clip_weights(Mocap(np.zeros((length.sum(), 17, 3)), start, length, source, 50.0))
    assert weight.sum() == pytest.approx(1)
    return {name: weight[2 * n : 2 * n + 2].sum() for n, name in enumerate(frames)}


def test_known_sources_keep_their_shares_whatever_is_added():
    alone = shares(UI_PRMD=5000, CMU_AMC=900)
    assert alone["CMU_AMC"] / alone["UI_PRMD"] == pytest.approx(0.30 / 0.25)
    more = shares(UI_PRMD=5000, CMU_AMC=900, CMU_DAZ_rebuilt=7000, AMASS=400)
    assert more["CMU_AMC"] / more["UI_PRMD"] == pytest.approx(0.30 / 0.25)
    assert more["CMU_DAZ_rebuilt"] == 0


def test_sources_nobody_knows_get_as_much_as_known_ones_by_the_root_of_their_length():
    assert shares(UI_PRMD=1000, AMASS=1000)["AMASS"] == pytest.approx(1 / 2)
    assert shares(UI_PRMD=1000, BVH=4000)["BVH"] == pytest.approx(2 / 3)
    assert shares(AMASS=1000, BVH=9000)["BVH"] == pytest.approx(3 / 4)
    assert shares(CMU_DAZ_rebuilt=1000) == {"CMU_DAZ_rebuilt": pytest.approx(1)}


EXACT = {"clean": 1.0, "faults": 0.0, "tilt": 0.0, "focal_error": (1.0, 1.0)}


def test_batches_are_finite_and_the_same_for_the_same_seed_and_number(folder):
    source = sampler(folder)
    source.batch(1, 2, 3)
    one, two = source.batch(0, 32, 81), sampler(folder).batch(0, 32, 81)
    for a, b in zip(vars(one).values(), vars(two).values(), strict=True):
        assert a.dtype == np.float32
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)
    assert one.inputs.shape == one.targets.shape == (32, 81, 17, 3)
    assert set(np.unique(one.weights)) == {0, 1}  # the short clip has to hang over
    assert np.abs(source.batch(1, 32, 81).inputs - one.inputs).max() > 0.1


def test_scores_are_scores_and_what_is_not_seen_is_nothing(folder):
    inputs = sampler(folder).batch(0, 64, 27).inputs
    scores = inputs[..., 2]
    assert scores.min() == 0
    assert scores.max() <= 1
    assert not inputs[scores == 0].any()
    assert np.abs(inputs[..., :2]).max() <= 4


def test_some_windows_come_as_relate_hands_them_on(folder):
    plain, some, every = (sampler(folder, mended=m).batch(0, 32, 27) for m in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(plain.weights, some.weights)
    same = (plain.inputs == some.inputs).all(axis=(1, 2, 3))
    assert 8 < same.sum() < 24
    scores = every.inputs[..., 2]
    seen = (scores > 0).any(axis=2)
    assert (scores[seen] > 0).all()  # what was not seen is filled in
    assert (plain.inputs[..., 2][seen] == 0).any()
    np.testing.assert_array_equal(scores[~seen], 0)
    assert np.linalg.norm(plain.targets - every.targets, axis=-1).max() < 0.2  # another way to look


def test_targets_lie_where_the_inputs_are_seen(folder):
    batch = sampler(folder, **EXACT).batch(0, 64, 9)
    counts = batch.weights > 0
    wrists = H36M17.indices("left_wrist", "right_wrist", "left_ankle", "right_ankle")
    for axis in (0, 1):
        seen = batch.inputs[..., axis] - batch.inputs[:, :, :1, axis]
        a, b = seen[counts][:, wrists].ravel(), batch.targets[counts][:, wrists, axis].ravel()
        assert np.corrcoef(a, b)[0, 1] > 0.95


def test_people_stand_with_their_head_up_and_their_nose_in_front(folder):
    recipe = {**EXACT, "from_above": 0.0, "splice": 0.0}
    targets = sampler(folder, **recipe).batch(0, 128, 3).targets
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
    targets = sampler(folder, splice=0.0).batch(0, 16, 27).targets
    for parent, child in H36M17.bones:
        length = np.linalg.norm(targets[:, :, child] - targets[:, :, parent], axis=-1)
        swinging = H36M17.joints[child].endswith(("knee", "ankle", "elbow", "wrist"))
        assert swinging or np.ptp(length, axis=1).max() < 1e-3


def test_left_and_right_come_equally_often(folder):
    """Mirroring: over many windows the walker's left arm leads as often as the right."""
    targets = sampler(folder, **EXACT).batch(0, 400, 1).targets
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


def test_some_squat_wide_on_shins_that_still_hang():
    joints = np.repeat(walk(40)[None], 400, axis=0)
    bent = bodies.bend(joints, np.random.default_rng(0), share=1.0)
    left = bent[:, :, H36M17.index("left_hip")] - bent[:, :, H36M17.index("right_hip")]
    hip, knee, ankle = (bent[:, :, H36M17.index(f"left_{j}")] for j in ("hip", "knee", "ankle"))
    thigh, left = unit(knee - hip), unit(left)
    wide = ((thigh * left).sum(axis=-1) > 0.75) & (np.abs(thigh[..., 2]) < 0.4)
    assert 0.02 < wide.mean() < 0.2  # thighs level, and more to the side than to the front
    shin = (ankle - knee)[wide]
    assert (shin[:, 2] < 0).mean() > 0.8
    assert np.quantile(np.linalg.norm((ankle - hip)[wide], axis=-1), 0.25) < 0.6  # some folded


def test_other_people_have_bones_of_their_own_within_the_recipe_left_as_right():
    joints = np.stack([walk(30)] * 50)
    recipe = data.Recipe(size=(0.9, 1.1), bones=(0.95, 1.05), hips=(1.0, 1.0))
    others = bodies.reshape(joints, np.random.default_rng(0), recipe)
    parents, children = np.array(H36M17.bones).T

    def lengths(of: np.ndarray) -> np.ndarray:
        return np.linalg.norm(of[:, :, children] - of[:, :, parents], axis=-1)

    factor = lengths(others) / lengths(joints)  # (people, frames, bones)
    np.testing.assert_allclose(factor, factor[:, :1] * np.ones_like(factor))  # in every frame
    factor = factor[:, 0]
    both = [children.tolist().index(H36M17.mirror[child]) for child in children]
    np.testing.assert_allclose(factor, factor[:, both])
    knee, hip = (children.tolist().index(H36M17.index(j)) for j in ("left_knee", "left_hip"))
    assert 0.9 <= factor[:, hip].min() < 0.92 < 1.08 < factor[:, hip].max() <= 1.1  # size alone
    own = factor[:, knee] / factor[:, hip]
    assert 0.95 <= own.min() < 0.96 < 1.04 < own.max() <= 1.05
    np.testing.assert_allclose(others[..., 2].min(axis=2), joints[..., 2].min(axis=2), atol=1e-9)
