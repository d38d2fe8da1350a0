"""Claims about training heads: what they learn, resuming, and the files they are read from."""

import json

import bodies
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from video2pose3d import discovery, heads, lifters
from video2pose3d.cli import video2pose3d
from video2pose3d.errors import UserError
from video2pose3d.heads import action, smpl
from video2pose3d.lifters import ssr_stf
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Keypoints2D
from video2pose3d.training import action as action_clips
from video2pose3d.training import config_files, downstream, head_config, mesh, publishing
from video2pose3d.training.config import TrainingConfig

CONFIG = """
task = "TASK"
lifter = "ssr_stf"
epochs = 6
batch = 8
[model]
N = 1
C = 32
Ch = 16
heads = 2
[data]
frames = 9
[head]
hidden = 32
dropout = 0.0
[optimiser]
lr_head = 1e-2
lr_backbone = 2e-3
factor = 0.9
"""


def config(folder, task: str, *changes: tuple[str, str]):
    text = CONFIG.replace("TASK", task)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "config.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def actions(tmp_path_factory):
    """Clips of one or two people who walk in place or wave, from all sides."""
    folder, rng = tmp_path_factory.mktemp("actions"), np.random.default_rng(0)
    for split, N in (("train", 32), ("val", 16)):
        keypoints = np.zeros((N, 2, 24, 17, 3), np.float32)
        labels = np.arange(N) % 2
        for n, label in enumerate(labels):
            move, T = (bodies.walk_in_place, bodies.wave)[label], int(rng.integers(14, 25))
            for m in range(1 + n // 2 % 2):
                pose, yaw = move(T, rng), rng.uniform(-1, 1)
                keypoints[n, m, :T] = bodies.film(pose, np.zeros(10), yaw, 0.7 * m)[0]
        np.savez(
            folder / f"{split}.npz", keypoints=keypoints, labels=labels,
            image_size=np.array(bodies.CAMERA.size), classes=np.array(["walking", "waving"]),
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Clips of people who gesticulate, with poses, shapes and joints, and their body model."""
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    for split, N in (("train", 48), ("val", 16)):
        clips = {key: [] for key in ("keypoints", "pose", "shape", "joints")}
        for _ in range(N):
            pose, shape = bodies.gesticulate(12, rng), 0.5 * rng.normal(size=10)
            found = bodies.film(pose, shape, rng.uniform(-0.6, 0.6), rng.uniform(-0.5, 0.5))
            for key, value in zip(clips, (found[0], found[2], shape, found[1]), strict=True):
                clips[key].append(value)
        size, K = np.array(bodies.CAMERA.size), bodies.CAMERA.K
        np.savez(folder / f"{split}.npz", **clips, image_size=size, K=K)
    np.savez(folder / "SMPL_NEUTRAL.npz", **bodies.arrays())
    return folder


@pytest.fixture
def lifter_file(tmp_path):
    torch.manual_seed(3)
    model = ssr_stf.Model(ssr_stf.Config(N=1, C=32, Ch=16, heads=2))
    for parameter in model.parameters():  # not the half-asleep network of the first step
        torch.nn.init.normal_(parameter, std=0.2)
    path = tmp_path / "lifter.safetensors"
    lifters.save(path, "ssr_stf", model, frames=9, about={}, dtype=torch.float32)
    return path


def state(checkpoint) -> dict:
    return torch.load(checkpoint, weights_only=True)


# ------------------------------------------------------------------ learning


def test_the_action_head_learns_to_tell_walking_from_waving(actions, tmp_path):
    path = config(tmp_path, "action", ("epochs = 6", "epochs = 2"))
    checkpoint = downstream.train_head(path, actions, tmp_path / "run", threads=1)
    assert state(checkpoint)["scores"]["top1"] > 90

    file = tmp_path / "head.safetensors"
    downstream.publish_head(path, checkpoint, file, {"licence": "ours"})
    head = heads.load(file)
    assert head.classes == ("walking", "waving")
    assert head.metadata["licence"] == "ours"
    assert "top1" in head.metadata["scores"]
    for name, move in (("walking", bodies.walk_in_place), ("waving", bodies.wave)):
        clip, _, _ = bodies.film(move(30, np.random.default_rng(9)), np.zeros(10), 0.3)
        person = Keypoints2D(
            np.arange(30), clip[..., :2].copy(), clip[..., 2].copy(), H36M17, (640, 480), 30.0
        )
        found = action.recognise(head, [person], bodies.CAMERA)
        assert head.classes[int(found.argmax())] == name


def test_the_smpl_head_learns_to_find_poses(people, tmp_path):
    path = config(tmp_path, "smpl", ("epochs = 6", "epochs = 7"))
    task = downstream.HeadConfig.read(path).make_task(people)
    at_first = smpl.Model(smpl.Config(Ch=16, hidden=32)).eval()
    lifter = ssr_stf.Model(ssr_stf.Config(N=1, C=32, Ch=16, heads=2)).eval()
    with torch.inference_mode():
        before = task.scores(lifter, at_first, 8)
    checkpoint = downstream.train_head(path, people, tmp_path / "run", threads=1)
    after = state(checkpoint)["scores"]
    assert after["mpjpe"] < 0.75 * before["mpjpe"]
    assert after["mpve"] < 0.75 * before["mpve"]

    file = tmp_path / "head.safetensors"
    downstream.publish_head(path, checkpoint, file)
    clip, joints, true = bodies.film(
        bodies.gesticulate(9, np.random.default_rng(0)), np.zeros(10), 0.3
    )
    person = Keypoints2D(
        np.arange(9), clip[..., :2].copy(), clip[..., 2].copy(), H36M17, (640, 480), 30.0
    )
    pose, shape = smpl.recover(heads.load(file), person, bodies.CAMERA)
    found = task.body.joints(pose, shape, np.zeros((9, 3)))
    rest = task.body.joints(0 * pose + [*true[0, :3], *[0] * 69], shape, np.zeros((9, 3)))
    error, of_rest = (
        np.linalg.norm((j - j[:, :1]) - (joints - joints[:, :1]), axis=-1).mean()
        for j in (found, rest)
    )
    assert error < 0.85 * of_rest


# ------------------------------------------------------------------ the loop


@pytest.mark.parametrize("task", ["action", "smpl"])
def test_training_goes_on_where_it_was_stopped_as_if_it_never_had(task, request, tmp_path):
    data = request.getfixturevalue({"action": "actions", "smpl": "people"}[task])
    path = config(tmp_path, task, ("dropout = 0.0", "dropout = 0.5"), ("epochs = 6", "epochs = 2"))
    whole = downstream.train_head(path, data, tmp_path / "whole", threads=1)
    downstream.train_head(path, data, tmp_path / "parts", epochs=1, threads=1)
    parts = downstream.train_head(path, data, tmp_path / "parts", threads=1)
    one, two = state(whole), state(parts)
    assert one["epoch"] == two["epoch"] == 2
    assert one["scores"] == two["scores"]
    for part in ("head", "backbone"):
        for key, tensor in one[part].items():
            torch.testing.assert_close(two[part][key], tensor, msg=key)
    logs = [(tmp_path / run / "log.csv").read_text() for run in ("whole", "parts")]
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == 3


def test_a_frozen_lifter_stays_as_it_was_and_a_fine_tuned_one_does_not(
    actions, tmp_path, lifter_file
):
    start = ("epochs = 6", f'epochs = 1\nstart = "{lifter_file}"')
    given = lifters.load(lifter_file).model.state_dict()
    for name, rate in (("frozen", "0"), ("tuned", "2e-3")):
        path = config(tmp_path, "action", start, ("lr_backbone = 2e-3", f"lr_backbone = {rate}"))
        checkpoint = downstream.train_head(path, actions, tmp_path / name, threads=1)
        trained = state(checkpoint)["backbone"]
        assert all(torch.equal(trained[k], given[k]) for k in given) == (name == "frozen")
    file = tmp_path / "head.safetensors"
    downstream.publish_head(path, checkpoint, file)
    assert len(heads.load(file).metadata["backbone_sha256"]) == 64


def test_weights_that_do_not_fit_are_one_clear_error(actions, tmp_path, lifter_file):
    start = f'epochs = 1\nstart = "{lifter_file}"'
    path = config(tmp_path, "action", ("epochs = 6", start), ("N = 1", "N = 2"))
    with pytest.raises(UserError, match="does not fit"):
        downstream.train_head(path, actions, tmp_path / "run")


def test_a_pre_trained_lifter_may_lack_a_head_but_nothing_else(actions, tmp_path, lifter_file):
    metadata, tensors = lifters.read(lifter_file)
    path = config(tmp_path, "action", ("epochs = 6", f'epochs = 1\nstart = "{lifter_file}"'))
    keep = publishing.backbone(lifters.load(lifter_file).model)
    run = {key: t for key, t in tensors.items() if key in keep}
    metadata["format"] = lifters.BACKBONE
    save_file(run, lifter_file, metadata)
    downstream.train_head(path, actions, tmp_path / "run", threads=1)
    frozen = path.read_text().replace("lr_backbone = 2e-3", "lr_backbone = 0")
    path.with_name("frozen.toml").write_text(frozen)
    with pytest.raises(UserError, match="fine-tune it to a lifter first"):
        downstream.train_head(path.with_name("frozen.toml"), actions, tmp_path / "frozen")
    save_file({k: t for k, t in run.items() if "blocks.0" not in k}, lifter_file, metadata)
    with pytest.raises(UserError, match="does not fit"):
        downstream.train_head(path, actions, tmp_path / "again", threads=1)


def test_a_checkpoint_of_another_config_is_one_clear_error(actions, tmp_path):
    path = config(tmp_path, "action")
    downstream.train_head(path, actions, tmp_path / "run", epochs=1, threads=1)
    path = config(tmp_path, "action", ("hidden = 32", "hidden = 16"))
    with pytest.raises(UserError, match="another config"):
        downstream.train_head(path, actions, tmp_path / "run", threads=1)


@pytest.mark.parametrize("task", ["action", "smpl"])
def test_the_command_trains_and_publishes_a_head(task, request, tmp_path):
    data = request.getfixturevalue({"action": "actions", "smpl": "people"}[task])
    path, file = config(tmp_path, task, ("epochs = 6", "epochs = 1")), tmp_path / "head.safetensors"

    def command(*more: str):
        words = ["train", path, "--data", data, "-o", tmp_path / "run", "--device", "cpu", *more]
        return CliRunner().invoke(video2pose3d, [str(word) for word in words])

    for flag, value in (("--steps", "3"), ("--start", "ssr_stf")):
        refused = command(flag, value)
        assert refused.exit_code == 1
        assert f"in the config instead of {flag}" in refused.stderr
        assert refused.stderr.count("\n") == 1
    done = command("--publish", str(file), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["weights"] == str(file)
    assert "epoch 1" in done.stderr
    assert heads.load(file).task == task


def test_heads_are_refused_by_several_processes(actions, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="by one process"):
        downstream.train_head(config(tmp_path, "action"), actions, tmp_path / "run")


# ------------------------------------------------------------------ configs and data


def test_shipped_configs_of_heads_are_known_as_such_and_read():
    names = config_files.shipped(*head_config.DATA)
    assert {"action_ntu60", "smpl_mesh"} <= set(names)
    assert config_files.task_of("mocap_tiny_cpu") not in head_config.DATA
    for name in names:
        assert config_files.task_of(name) in head_config.DATA
        with pytest.raises(UserError, match="trains no lifter; use video2pose3d train"):
            TrainingConfig.read(name)
        read = downstream.HeadConfig.read(name)
        module = heads.MODULES[read.task]
        module.Model(module.Config(**read.head))
        if read.lifter in discovery.names("lifters"):
            with torch.device("meta"):  # full size, without the memory
                read.make_model()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('"action"', '"dance"'), "action, smpl"),
        (("frames = 9", "frame = 9"), "frame"),
        (("frames = 9", "frames = 0"), "frames"),
        (("batch = 8", "batch = 1"), "batch"),
        (("lr_head = 1e-2", ""), "lr_head"),
        (("lr_backbone = 2e-3", ""), "frozen"),
        (("epochs = 6", "epochs = "), "config"),
        (("epochs = 6", "epochs = -3"), "epochs is -3"),
        (("epochs = 6", "epochs = 0"), "epochs below 1"),
        (("epochs = 6", "epochs = 6\nseed = -1"), "seed is -1"),
        (("frames = 9", "frames = 27.5"), "frames is 27.5, not int"),
        (("lr_head = 1e-2", "lr_head = -1"), "lr_head is -1, not 0 or more"),
        (("hidden = 32", "hidden = 0"), "hidden is 0, not 1 or more"),
        (("heads = 2", "heads = 3"), r"config\.toml: heads is 3"),
    ],
)
def test_a_config_that_is_none_is_one_clear_error(tmp_path, change, says):
    with pytest.raises(UserError, match=says):
        downstream.HeadConfig.read(config(tmp_path, "action", change))


def test_a_config_that_is_not_there_is_answered_with_those_that_fit(tmp_path):
    for read, fit in (
        (downstream.HeadConfig.read, {"action_ntu60"}),
        (TrainingConfig.read, {"mocap_tiny_cpu"}),
        (config_files.task_of, {"action_ntu60", "mocap_tiny_cpu"}),
    ):
        with pytest.raises(UserError) as caught:
            read(tmp_path / "missing.toml")
        said = str(caught.value.cure)
        assert {name for name in ("action_ntu60", "mocap_tiny_cpu") if name in said} == fit


@pytest.mark.parametrize(
    ("part", "change", "says"),
    [
        ("head", "hidden = 32", r"\[head\]"),
        ("model", "N = 1", r"\[model\]"),
    ],
)
def test_fields_that_nobody_knows_are_one_clear_error(actions, tmp_path, part, change, says):
    path = config(tmp_path, "action", (change, "width = 3"))
    with pytest.raises(UserError, match=says):
        downstream.train_head(path, actions, tmp_path / "run")


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("action", {"keypoints": np.zeros((4, 9, 17, 3))}),
        ("action", {"labels": None}),
        ("action", {"labels": np.full(32, 7)}),
        ("action", {"labels": np.full(32, 0.5)}),
        ("action", {"image_size": np.zeros(2)}),
        ("action", {"keypoints": np.zeros((32, 0, 9, 17, 3))}),
        ("smpl", {"pose": np.full((48, 12, 72), np.nan)}),
        ("smpl", {"pose": np.zeros((48, 12, 156))}),
        ("smpl", {"shape": np.zeros((48, 300))}),
        ("smpl", {"joints": np.zeros((48, 12, 17, 3))}),
    ],
)
def test_data_of_another_form_are_one_clear_error(task, changes, request, tmp_path):
    data = request.getfixturevalue({"action": "actions", "smpl": "people"}[task])
    for name in ("train.npz", "val.npz", "SMPL_NEUTRAL.npz"):
        if (data / name).exists():
            arrays = dict(np.load(data / name))
            arrays |= changes if name == "train.npz" else {}
            np.savez(tmp_path / name, **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(UserError, match=r"not clips|label 7|labels is of type|joints are"):
        downstream.train_head(config(tmp_path, task), tmp_path, tmp_path / "run")


def test_a_missing_body_model_says_where_to_get_it(people, tmp_path):
    for name in ("train.npz", "val.npz"):
        (tmp_path / name).write_bytes((people / name).read_bytes())
    with pytest.raises(UserError, match=r"smpl\.is\.tue\.mpg\.de"):
        downstream.train_head(config(tmp_path, "smpl"), tmp_path, tmp_path / "run")


def test_coco_keypoints_are_converted(actions, tmp_path):
    arrays = dict(np.load(actions / "train.npz"))
    np.savez(tmp_path / "coco.npz", **arrays, skeleton="coco17")
    clips = action_clips.Clips.read(tmp_path / "coco.npz", 60)
    hips = arrays["keypoints"][:, :, :, 11:13]
    pelvis = H36M17.index("pelvis")
    np.testing.assert_allclose(clips.xy[:, :, :, pelvis], hips[..., :2].mean(axis=3), atol=1e-2)


# ------------------------------------------------------------------ meshes


def test_the_true_body_has_no_error_whichever_joints_are_measured(people, tmp_path):
    """What a head would get for the truth in the lifter's axes: pose, joints and view agree."""

    class Truth(torch.nn.Module):
        """A head that knows the answer to the batch it is shown."""

        def __init__(self, task):
            super().__init__()
            self.task, self.none = task, torch.nn.Parameter(torch.zeros(1))

        def represent(self, x):
            return x

        def forward(self, x):
            rows = np.arange(16)
            assert len(x) == 16
            return self.task._windows(self.task.val, rows, 0 * rows, self)[1]

    regressor = np.zeros((17, 96), np.float32)
    for j, of in enumerate(bodies.H36M):
        regressor[j, 4 * of : 4 * of + 4] = 0.25
    np.save(tmp_path / "regressor.npy", regressor)
    for name in ("train.npz", "val.npz"):
        arrays = dict(np.load(people / name))
        np.savez(tmp_path / name, **{k: v for k, v in arrays.items() if k != "joints"})
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **bodies.arrays())
    for folder, joints in ((people, None), (tmp_path, None), (tmp_path, "regressor.npy")):
        task = mesh.MeshTask(folder, mesh.Data(frames=9, joints=joints), smpl.LossWeights())
        head = Truth(task)
        with torch.inference_mode():
            scores = task.scores(head, head, 16)
        assert scores["mpve"] < 0.01
        assert scores["mpjpe"] < 0.1
        assert scores["p_mpjpe"] < 0.1


def test_the_shape_of_a_batch_does_not_change_the_scores(people):
    task = mesh.MeshTask(people, mesh.Data(frames=5), smpl.LossWeights())
    lifter = ssr_stf.Model(ssr_stf.Config(N=1, C=32, Ch=16, heads=2)).eval()
    torch.manual_seed(0)
    head = smpl.Model(smpl.Config(Ch=16, hidden=8)).eval()
    with torch.inference_mode():
        one, two = (task.scores(lifter, head, batch) for batch in (3, 32))
    assert one == pytest.approx(two, abs=0.02)
