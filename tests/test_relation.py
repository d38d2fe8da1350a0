"""Claims about the network that relates a clip's images: what it sees, learns and is scored by."""

import dataclasses
import json
import re

import cv2
import figures
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from video2pose3d import keypoint_metrics, networks, pipeline, weights
from video2pose3d.cli import video2pose3d
from video2pose3d.datasets import coco, h36m_images
from video2pose3d.errors import UserError
from video2pose3d.keypoint_metrics import People
from video2pose3d.keypoints import relation
from video2pose3d.keypoints._topdown import normalise, regions
from video2pose3d.options import Options
from video2pose3d.report import Clock
from video2pose3d.skeletons import COCO17, H36M17, h36m_from_coco
from video2pose3d.training import config_files as configs
from video2pose3d.training import relation as training
from video2pose3d.training.clips import Clips, Data

TINY = {
    "f": 4, "V": 2, "L": 1, "heads": 2, "embed": 16, "depths": [2, 2], "swin_heads": [2, 4],
    "window": 4, "drop_path": 0.0,
}  # fmt: skip
# One stage, whose window is the whole picture: learns in a hundred steps.
QUICK = {"embed": 32, "depths": [2], "swin_heads": [4], "window": 8}

CONFIG = """
task = "relation"
dataset = "DATASET"
epochs = 12
batch = 8
[model]
MODEL
[data]
EXTRA
[optimiser]
lr = 4e-3
warmup = 1
"""


def config(folder, dataset="coco", extra="", **model):
    fields = "\n".join(f"{k} = {json.dumps(v)}" for k, v in {**TINY, **model}.items())
    text = CONFIG.replace("DATASET", dataset).replace("MODEL", fields).replace("EXTRA", extra)
    path = folder / "config.toml"
    path.write_text(text)
    return path


def tiny(**fields) -> relation.Model:
    torch.manual_seed(0)
    return relation.Model(relation.config_from({**TINY, **fields})).eval()


def crops(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 3, 32, 32, generator=torch.Generator().manual_seed(1))


# ------------------------------------------------------------------ generated pictures


def pose(rng: np.random.Generator, skeleton=COCO17) -> np.ndarray:
    """(17, 2) px of somebody in a picture of 64 x 64 who leans to a side, arms anywhere."""
    x, y = rng.uniform(28, 36, 2)
    lean = rng.uniform(-1.2, 1.2)
    at = {"nose": (0, -16), "eye": (1, -18), "ear": (3, -17), "shoulder": (6, -10), "hip": (4, 4)}
    at |= {"knee": (5, 13), "ankle": (5, 22), "pelvis": (0, 4), "spine": (0, -3)}
    at |= {"thorax": (0, -10), "neck": (0, -14), "head": (0, -19)}
    for side in (1, -1):
        elbow, wrist = rng.uniform(-1.5, 1.5, 2)
        out = np.array(at["shoulder"]) + 8 * np.array([np.cos(elbow), np.sin(elbow)])
        at["elbow", side] = out
        at["wrist", side] = out + 7 * np.array([np.cos(wrist), np.sin(wrist)])
    xy = np.zeros((17, 2))
    for j, name in enumerate(skeleton.joints):
        side = {"left": 1, "right": -1}.get(name.split("_")[0], 1)
        part = name.split("_")[-1]
        dx, dy = at.get(part) or at[part, side]
        xy[j] = side * dx, dy
    turn = np.array([[np.cos(lean), -np.sin(lean)], [np.sin(lean), np.cos(lean)]])
    return (xy @ turn.T + [x, y]).astype(np.float32)


def draw(xy: np.ndarray, rng: np.random.Generator, skeleton=COCO17) -> np.ndarray:
    """A stick figure, each bone in its own colour, on noise: RGB uint8 (64, 64, 3)."""
    image = rng.integers(0, 60, (64, 64, 3), dtype=np.uint8)
    for a, b in skeleton.bones:
        colour = (80 + 10 * b, 255 - 12 * b, (97 * b) % 256)
        ends = [tuple(int(v) for v in xy[i]) for i in (a, b)]
        cv2.line(image, ends[0], ends[1], colour, 2)
    return image


def write(path, image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Single pictures in COCO's layout."""
    folder, rng = tmp_path_factory.mktemp("coco"), np.random.default_rng(0)
    for split, N in (("train2017", 128), ("val2017", 16)):
        table = {"images": [], "annotations": []}
        for n in range(N):
            xy = pose(rng)
            write(folder / split / f"{n}.png", draw(xy, rng))
            low, high = xy.min(axis=0) - 2, xy.max(axis=0) + 2
            table["images"].append({"id": n, "file_name": f"{n}.png"})
            flags = np.full((17, 1), 2)
            flags[n % 17] = 0
            one = {
                "image_id": n, "iscrowd": 0, "num_keypoints": 16,
                "keypoints": np.hstack([xy - 0.5, flags]).ravel().tolist(),
                "bbox": [*low.tolist(), *(high - low).tolist()],
                "area": float((high - low).prod() / 2),
            }  # fmt: skip
            nobody = {**one, "num_keypoints": 0}
            table["annotations"] += [one, nobody, {**one, "iscrowd": 1}]
        path = folder / "annotations" / f"person_keypoints_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(table))
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Still clips of two frames in Human3.6M's layout; one of the two shows nothing."""
    folder, rng = tmp_path_factory.mktemp("h36m"), np.random.default_rng(0)
    cameras, tree = ("54138969", "55011271", "58860488", "60457274"), {}
    for subject, N in (("S1", 16), ("S9", 8)):
        tree[subject] = {}
        for n in range(N):
            views = []
            for camera in cameras:
                xy = pose(rng, H36M17)
                blank = rng.permutation(2)
                for t in range(2):
                    image = draw(xy, rng, H36M17)
                    image[:] = rng.integers(0, 60, image.shape) if blank[t] else image
                    write(folder / "images" / subject / f"Act {n}" / camera / f"{t:06}.png", image)
                views.append(np.tile(xy, (3, 1, 1)))  # keypoints go on after the pictures end
            tree[subject][f"Act {n}"] = views
    np.savez(folder / h36m_images.FILE, positions_2d=np.array(tree, dtype=object))
    return folder


# ------------------------------------------------------------------ the network


@pytest.mark.parametrize(("name", "f"), [("f8", 8), ("f32", 32), ("f128", 128)])
def test_counts_are_those_stated(name, f):
    with torch.device("meta"):  # full size, without the memory
        model = relation.Model(relation.VARIANTS[name])

    def count(*modules):
        return sum(p.numel() for module in modules for p in module.parameters())

    assert (model.config.size, model.config.C) == (224, 768)
    assert count(model.spatial) == 27_519_354  # Swin-T's 28,288,354 less its classifier
    assert count(model.time, model.views) == 37_816_320
    assert count(model) == 27_519_354 + 37_816_320 + 768 * (f + 4) + 27_682
    assert f"{count(model):,}" in relation.__doc__


def test_channels_that_heads_cannot_share_out_are_refused():
    for fields in ({"heads": 5}, {"swin_heads": [3, 4]}, {"swin_heads": [2]}):
        with pytest.raises(UserError, match="heads"):
            tiny(**fields)


def test_a_clip_of_views_gives_a_pose_an_image():
    assert tiny()(crops(2, 3, 2)).shape == (2, 3, 2, 17, 2)


def test_a_patchs_score_is_the_attention_that_swin_gives_it(monkeypatch):
    model, seen = tiny().spatial, []
    softmax = torch.nn.functional.softmax
    monkeypatch.setattr(
        torch.nn.functional, "softmax", lambda x, dim: seen.append(softmax(x, dim=dim)) or seen[-1]
    )
    _, score = model.patches(crops(3))
    torch.testing.assert_close(score, seen[-1].mean(dim=(1, 2)))
    torch.testing.assert_close(score.sum(dim=1), torch.ones(3))


def test_dropped_patches_do_not_reach_the_token():
    z, score = torch.randn(2, 10, 4), torch.rand(2, 10)
    dropped = score.argsort(dim=1)[:, :3]
    other = z.scatter(1, dropped[..., None].expand(-1, -1, 4), 1e6)
    torch.testing.assert_close(relation.pool(z, score, 0.7), relation.pool(other, score, 0.7))
    torch.testing.assert_close(relation.pool(z, score, 1.0), z.mean(dim=1))


@pytest.mark.parametrize(("changed", "moves"), [((1, 0), "time"), ((0, 1), "views")])
def test_a_frame_is_seen_in_the_light_of_the_others(changed, moves):
    model, images = tiny(), crops(1, 2, 2)
    other = images.clone()
    other[:, changed[0], changed[1]] = 0
    before, after = model(images)[0, 0, 0], model(other)[0, 0, 0]  # this image is as it was
    assert (before - after).abs().max() > 1e-4, moves


def test_order_in_time_counts_because_of_E_time():
    model, z = tiny(), torch.randn(1, 4, 1, 32)
    turned = model.relate(z.flip(1)).flip(1)
    assert (model.relate(z) - turned).abs().max() > 1e-4
    torch.nn.init.zeros_(model.E_time)
    torch.testing.assert_close(model.relate(z), model.relate(z.flip(1)).flip(1))


def test_more_frames_than_positions_are_refused():
    with pytest.raises(ValueError, match="at most 4 frames of 2 views, got 5 of 1"):
        tiny()(crops(1, 5, 1))


# ------------------------------------------------------------------ the backend


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 9))
def test_every_frame_is_told_once_and_in_as_long_a_window_as_there_can_be(seen, f):
    frames = np.array(sorted(seen))
    told = []
    for shown, first in relation.windows(frames, f):
        together = frames[shown]
        told += together[first:].tolist()
        assert together[-1] - together[0] < f
        if len(frames) == frames[-1] - frames[0] + 1:
            assert len(together) == min(f, len(frames))
    assert told == frames.tolist()


def predict(backend, images, boxes):
    """Each picture related to nothing but itself."""
    rows = backend.predict(images, np.asarray(boxes, np.float32))
    one = np.zeros(1, int)
    found = [backend.relate(one, *(part[[i]] for part in rows)) for i in range(len(boxes))]
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))


# Of two people's 20 frames, the second of whom lacks 8 to 12: f → windows (from, to, told from).
WINDOWS = {
    4: (
        [(0, 4, 0), (4, 8, 4), (8, 12, 8), (12, 16, 12), (16, 20, 16)],
        [(0, 4, 0), (4, 8, 4), (13, 17, 13), (16, 20, 17)],
    ),
    6: (
        [(0, 6, 0), (6, 12, 6), (12, 18, 12), (14, 20, 18)],
        [(0, 6, 0), (6, 12, 6), (13, 19, 13), (14, 20, 19)],
    ),
    128: ([(0, 20, 0)], [(0, 20, 0)]),
}


@pytest.mark.parametrize("f", WINDOWS)
def test_a_run_is_the_network_applied_to_whole_windows_of_each_person(tmp_path, f):
    """However few pictures the program reads at a time."""
    model = tiny(f=f)
    networks = dataclasses.replace(figures.networks(), keypoints=relation.Backend(model, "cpu"))
    clip = pipeline.open_clip(figures.write_clip(tmp_path / "two.mp4", people=2), Options())
    people = pipeline.watch(clip, networks, Clock(), lambda *_: None)
    images = list(clip)
    for seen, windows in zip(people, WINDOWS[f], strict=True):
        boxes = dict(zip(seen.track.frames.tolist(), seen.track.boxes, strict=True))
        told = []
        for begin, end, since in windows:
            shown = [t for t in range(begin, end) if t in boxes]
            centres, sizes = regions(np.stack([boxes[t] for t in shown]), (32, 32))
            crops = relation.crops([images[t] for t in shown], centres, sizes, 32)
            with torch.inference_mode():
                z = model.spatial(normalise(crops, torch.device("cpu")))[None, :, None]
                found = model.relate(z, torch.tensor(shown) - shown[0])[0, :, 0].numpy()
            xy = (found * sizes[:, None] / 2 + centres[:, None]).astype(np.float32)
            xy, _ = h36m_from_coco(xy, np.ones(xy.shape[:2], np.float32))
            new = [t for t in shown if t >= since]
            rows = np.searchsorted(seen.keypoints.frames, new)
            np.testing.assert_allclose(seen.keypoints.xy[rows], xy[-len(new) :], atol=1e-3)
            told += new
        assert told == sorted(boxes)
    assert len(people[1].track.frames) == 15


def test_keypoints_move_with_the_picture():
    backend = relation.Backend(tiny(), "cpu")
    image = draw(pose(np.random.default_rng(3)), np.random.default_rng(4))
    image = np.pad(image, ((40, 40), (40, 40), (0, 0)))
    boxes = np.array([[60, 50, 90, 100]], np.float32)
    xy, scores = predict(backend, [image], boxes)
    by = np.array([-5, 7], np.float32)
    moved, _ = predict(backend, [np.roll(image, (7, -5), (0, 1))], boxes + np.tile(by, 2))
    np.testing.assert_allclose(moved, xy + by, atol=1e-3)
    assert set(np.unique(scores)) <= {0, 1}


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_a_joint_lies_in_the_crop_where_it_is_said_to(scale, mirror):
    at = np.array([37.0, 52.0])  # px from the corner: between pixels
    y, x = np.mgrid[:100, :100] + 0.5
    spot = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * (4 * scale) ** 2)) * 255
    image = np.repeat(spot[..., None], 3, axis=-1).astype(np.uint8)
    centre, size = np.array([[40.0, 50.0]]), np.full((1, 2), 32 * scale)
    crop = relation.crops([image], centre, size, 32)[0, ..., 0].astype(float)
    told = (at - centre[0]) * 2 / size[0]  # -1..1
    if mirror:
        crop, told = crop[:, ::-1], told * [-1, 1]
    peak = np.array([crop.sum(axis=0), crop.sum(axis=1)]).argmax(axis=1) + 0.5
    assert np.abs(peak - (told + 1) * 16).max() <= 0.5 + 1e-6


def test_empty_boxes_are_nobody():
    backend = relation.Backend(tiny(), "cpu")
    image = np.zeros((50, 50, 3), np.uint8)
    boxes = np.array([[5, 5, 5, 30], [np.nan, 0, 9, 9], [5, 5, 25, 45]], np.float32)
    xy, scores = predict(backend, [image] * 3, boxes)
    assert (xy.shape, scores.shape) == ((3, 17, 2), (3, 17))
    assert not scores[:2].any()
    nobody = backend.predict([], np.zeros((0, 4), np.float32))
    assert backend.relate(np.zeros(0, int), *nobody)[0].shape == (0, 17, 2)


def test_a_saved_network_loads_as_it_was(tmp_path):
    model = tiny(skeleton="h36m17")
    relation.save(tmp_path / "a.safetensors", model, {"licence": "none"}, torch.float32)
    found = relation.build(tmp_path / "a.safetensors", "cpu")
    assert found.skeleton is H36M17
    images = crops(1, 2, 1)
    torch.testing.assert_close(relation.load(tmp_path / "a.safetensors")(images), model(images))
    relation.save(tmp_path / "b.safetensors", model, {"licence": "none"})
    assert isinstance(relation.build(tmp_path / "b.safetensors", "cpu"), relation.Backend)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="train relation_coco"):
        relation.build(None, "cpu")
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a safetensors file"):
        relation.build(tmp_path / "a.safetensors", "cpu")
    shipped = weights.packaged_folder() / "ssr_stf_mocap17.safetensors"
    with pytest.raises(UserError, match="'video2pose3d lifter 1'"):
        relation.build(shipped, "cpu")


def test_a_run_takes_it_when_asked_and_never_by_itself(tmp_path, monkeypatch):
    relation.save(tmp_path / "own.safetensors", tiny(), {})
    asked = Options(keypoints="relation", keypoints_weights=str(tmp_path / "own.safetensors"))
    assert networks._find_keypoints(asked) == ("relation", tmp_path / "own.safetensors")
    assert networks._find_keypoints(Options(keypoints="relation")) == ("relation", None)
    monkeypatch.setattr(networks, "_runs", lambda backend: True)
    assert networks._find_keypoints(Options(offline=True))[0] != "relation"


class Human36M(figures.Keypoints):
    """The mock keypoints as a network trained on Human3.6M would give them."""

    skeleton = H36M17

    def predict(self, images, boxes):
        return h36m_from_coco(*super().predict(images, boxes))


def test_a_run_takes_human36ms_joints_as_they_are(tmp_path):
    clip = pipeline.open_clip(figures.write_clip(tmp_path / "one.mp4", people=1), Options())
    usual = figures.networks()
    a, b = (
        pipeline.watch(clip, networks, Clock(), lambda *_: None)
        for networks in (usual, dataclasses.replace(usual, keypoints=Human36M()))
    )
    np.testing.assert_array_equal(a[0].keypoints.xy, b[0].keypoints.xy)


# ------------------------------------------------------------------ data


def test_cocos_people_are_those_who_are_labelled(pictures):
    found = coco.read(pictures, "train")
    assert len(found) == 128
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(found[0].xy[0, 0], pose(rng), atol=1e-4)
    assert found[3].seen.sum() == 16
    assert not found[3].seen[0, 0, 3]
    assert found[3].image(0, 0).shape == (64, 64, 3)


def test_human36ms_views_are_together_and_end_with_the_pictures(clips):
    found = h36m_images.read(clips, "test")
    assert len(found) == 8
    assert found[0].xy.shape == (2, 4, 17, 2)
    assert found[0].file(1, 1).parts[-4:] == ("S9", "Act 0", "55011271", "000001.png")


def test_data_that_is_none_says_where_it_is_had(tmp_path, pictures):
    with pytest.raises(UserError, match="has no annotations"):
        coco.read(tmp_path, "train")
    with pytest.raises(UserError, match="no such file"):
        h36m_images.read(tmp_path, "train")
    (tmp_path / "train2017").mkdir()
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/person_keypoints_train2017.json").write_text('{"images": []}')
    with pytest.raises(UserError, match="not in COCO's layout"):
        coco.read(tmp_path, "train")
    person = coco.read(pictures, "test")[0]
    (tmp_path / "0.png").write_text("no picture")
    broken = type(person)((tmp_path,), person.names, *([person.xy] * 4))
    with pytest.raises(UserError, match="is no picture"):
        broken.image(0, 0)


def test_a_mirrored_clip_is_one_of_the_mirrored_person(pictures):
    footage, network = coco.read(pictures, "test"), relation.config_from(TINY)
    shown, turned = set(), 0
    for seed in range(6):
        for mirror in (False, True):
            crops, joints, seen = Clips(footage[:1], network, Data(mirror=mirror), 1, [seed])[0]
            left = joints[0, 0, 0, COCO17.index("left_hip"), 0]
            right = joints[0, 0, 0, COCO17.index("right_hip"), 0]
            assert left > right  # who faces the camera, mirrored, still does
            shown.add(crops.numpy().tobytes())
            turned += int(not seen[0, 0, 0, 0])  # the nose, on the midline, stays unlabelled
    assert len(shown) == 2
    assert turned == 12


# ------------------------------------------------------------------ scores


@pytest.mark.parametrize("seed", range(3))
def test_ap_and_ar_are_cocos(seed):
    reference = pytest.importorskip("xtcocotools.cocoeval")
    coco_api = pytest.importorskip("xtcocotools.coco")
    rng = np.random.default_rng(seed)
    truth, found, images, annotations, results = [], [], [], [], []
    for n in range(6):
        P = int(rng.integers(0, 4))
        xy = rng.uniform(0, 100, (P, 17, 2))
        seen = rng.random((P, 17)) < rng.choice([0, 0.7], (P, 1), p=[0.2, 0.8])
        boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=-1)
        areas = rng.uniform(4000, 40000, P)
        crowd = rng.random(P) < 0.2
        truth.append(People(xy, seen, boxes, areas, crowd))
        D = int(rng.integers(0, 5)) if P else 1
        of = rng.integers(0, max(P, 1), D)
        guess = (xy[of] if P else np.zeros((D, 17, 2))) + rng.normal(0, 4, (D, 17, 2))
        score = rng.random(D)
        found.append((guess, score))
        images.append({"id": n})
        for p in range(P):
            w, h = boxes[p, 2:] - boxes[p, :2]
            annotations.append({
                "id": len(annotations) + 1, "image_id": n, "category_id": 1,
                "keypoints": np.column_stack([xy[p], 2 * seen[p]]).ravel().tolist(),
                "num_keypoints": int(seen[p].sum()), "iscrowd": int(crowd[p]),
                "bbox": [*boxes[p, :2], w, h], "area": areas[p],
            })  # fmt: skip
        for d in range(D):
            results.append({
                "image_id": n, "category_id": 1, "score": score[d],
                "keypoints": np.column_stack([guess[d], np.ones(17)]).ravel().tolist(),
            })  # fmt: skip
    api = coco_api.COCO()
    api.dataset = {
        "images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]
    }  # fmt: skip
    api.createIndex()
    sigmas = keypoint_metrics.sigmas(COCO17)
    evaluation = reference.COCOeval(api, api.loadRes(results), "keypoints", sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ap, ar = keypoint_metrics.average_precision(truth, found, sigmas)
    assert 0.01 < ap < 0.99
    assert (ap, ar) == pytest.approx((evaluation.stats[0], evaluation.stats[5]), abs=1e-9)


def test_perfect_keypoints_score_perfectly():
    xy = np.random.default_rng(0).uniform(0, 99, (3, 17, 2))
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=-1)
    seen = np.ones((3, 17), bool)
    people = People(xy, seen, boxes, np.full(3, 900.0), np.zeros(3, bool))
    sigmas = keypoint_metrics.sigmas(H36M17)
    assert keypoint_metrics.average_precision([people], [(xy, np.ones(3))], sigmas) == (1, 1)
    assert keypoint_metrics.pck(xy, xy, seen, boxes) == 1
    assert keypoint_metrics.mse(xy, xy + 2, seen) == pytest.approx(4)
    far = xy + 50
    assert keypoint_metrics.average_precision([people], [(far, np.ones(3))], sigmas) == (0, 0)


# ------------------------------------------------------------------ training


def rows(folder) -> list[dict[str, float]]:
    head, *lines = (folder / "log.csv").read_text().split()
    return [dict(zip(head.split(","), map(float, line.split(",")), strict=True)) for line in lines]


def constant_error(footage) -> float:
    """The MSE of the best that can be said without looking: the mean pose, in px² of the crop."""
    network = relation.config_from({**TINY, "f": 1, "V": 1})
    batches = Clips(footage, network, Data(), 1, [0])
    joints = np.concatenate([batches[i][1][:, 0, 0] for i in range(len(batches))])
    return float(joints.var(axis=0).mean()) * (network.size / 2) ** 2


def test_it_learns_single_pictures_and_finds_people_with_the_published_file(pictures, tmp_path):
    path = config(tmp_path, extra="mirror = true", **QUICK)
    checkpoint = training.train_relation(path, pictures, tmp_path / "run")
    people = coco.read(pictures, "test")
    assert rows(tmp_path / "run")[-1]["MSE"] < 0.6 * constant_error(people)
    training.publish_relation(path, checkpoint, tmp_path / "own.safetensors")
    backend = relation.build(tmp_path / "own.safetensors", "cpu")
    xy, scores = zip(
        *(predict(backend, [one.image(0, 0)], one.boxes[0]) for one in people), strict=True
    )
    truth, seen, boxes = (
        np.concatenate([getattr(one, key)[0] for one in people]) for key in ("xy", "seen", "boxes")
    )
    found = 100 * keypoint_metrics.pck(np.concatenate(xy), truth, seen, boxes)
    assert found == pytest.approx(rows(tmp_path / "run")[-1]["PCK"], abs=1)
    assert np.mean(scores) > 0.9


def test_a_run_that_was_stopped_goes_on_as_if_it_never_was(clips, tmp_path):
    path = config(tmp_path, "h36m_images", "mirror = true\njitter = 0.1", drop_path=0.2)
    whole = training.train_relation(path, clips, tmp_path / "whole", epochs=2)
    training.train_relation(path, clips, tmp_path / "parts", epochs=1)
    parts = training.train_relation(path, clips, tmp_path / "parts", epochs=2)
    a, b = (torch.load(file, weights_only=True)["model"] for file in (whole, parts))
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=0, atol=0)
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")


def test_several_processes_are_refused(clips, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    path = config(tmp_path, "h36m_images")
    with pytest.raises(UserError, match="by one process; start it without torchrun"):
        training.train_relation(path, clips, tmp_path / "run")


@pytest.mark.parametrize("along", [1, 2], ids=["frames", "views"])
def test_an_image_that_shows_nothing_gets_its_pose_from_the_others(along):
    """The image relations module by itself: one token tells the pose, the other nothing."""
    model, rng = tiny().train(), torch.Generator().manual_seed(0)
    shown, told = torch.randn(4, 34, generator=rng), torch.randn(4, 32, generator=rng)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)

    def errors() -> torch.Tensor:
        """Of the images that show nothing, (B,), where the mean pose's is 4."""
        kind = torch.randn(64, 4, generator=rng)
        blank = torch.randint(0, 2, (64,), generator=rng)
        pair = torch.stack([kind @ told] * 2, dim=1)  # (64, 2, C)
        pair[torch.arange(64), blank] = 0
        z = pair[:, :, None] if along == 1 else pair[:, None]
        found = model.relate(z).reshape(64, 2, 34)
        loss = (found - (kind @ shown)[:, None]).square().mean(dim=-1)
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
        return loss.detach()[torch.arange(64), blank]

    first, *_, last = (errors().mean() for _ in range(150))
    assert last < 0.2 * first


def test_the_command_trains_on_the_views_of_human36m(clips, tmp_path):
    path = config(tmp_path, "h36m_images", "partial = 0.5")
    path.write_text(re.sub(r"epochs = \d+", "epochs = 2", path.read_text()))
    own = tmp_path / "own.safetensors"
    arguments = ["train", path, "--data", clips, "-o", tmp_path / "run"]
    done = CliRunner().invoke(video2pose3d, [*map(str, arguments), "--publish", str(own)])
    assert done.exit_code == 0, done.output
    log = rows(tmp_path / "run")
    assert log[1]["loss"] < log[0]["loss"]
    assert relation.build(own, "cpu").skeleton is H36M17
    measure = ["evaluate", "relation", "--data", str(clips), "--device", "cpu", "--json"]
    done = CliRunner().invoke(video2pose3d, [*measure, "--weights", str(own)])
    assert done.exit_code == 0, done.output
    (table,) = json.loads(done.stdout)
    measured = {name.split()[0]: value for name, value in table["rows"]["All"].items()}
    logged = {name: log[-1][name] for name in measured}
    assert measured == pytest.approx(logged, rel=0.02, abs=1)  # published in half precision
    assert {"AP", "AR", "PCK", "MSE"} == set(measured)
    for flags, status, says in (
        ([], 2, "'--weights'"),
        (["--weights", str(tmp_path / "none")], 1, "no such file"),
        (["--weights", str(path)], 1, "safetensors"),
    ):
        refused = CliRunner().invoke(video2pose3d, [*measure, *flags])
        assert refused.exit_code == status
        assert says in refused.stderr
    refused = CliRunner().invoke(video2pose3d, [*map(str, arguments), "--steps", "3"])
    assert refused.exit_code == 1
    assert "trained in epochs" in refused.output


def test_partial_batches_have_fewer_frames_and_views(clips):
    footage = h36m_images.read(clips, "test")
    batches = Clips(footage, relation.config_from(TINY), Data(partial=0.9), 1, [0])
    shapes = {tuple(batch[1].shape[1:3]) for batch in (batches[i] for i in range(len(batches)))}
    assert len(shapes) > 2
    assert all(1 <= T <= 2 and 1 <= V <= 2 for T, V in shapes)


def test_a_longer_network_begins_with_a_shorter_one(tmp_path):
    short, long = tiny(f=2), tiny(f=4)
    relation.save(tmp_path / "short.safetensors", short, {}, torch.float32)
    torch.nn.init.normal_(long.E_time)
    fresh = long.E_time[:, 2:].clone()
    training.begin_with(long, str(tmp_path / "short.safetensors"))
    images = crops(1, 2, 1)
    torch.testing.assert_close(long(images), short(images))
    torch.testing.assert_close(long.E_time[:, 2:], fresh)
    for misfit in ({"L": 2}, {"embed": 32}, {"skeleton": "h36m17"}, {"keep": 0.5}):
        with pytest.raises(UserError, match=r"does not fit \[model\]"):
            training.begin_with(tiny(**misfit), str(tmp_path / "short.safetensors"))


def test_imagenets_weights_fill_the_spatial_module(tmp_path, monkeypatch):
    model, given = tiny(), tiny().spatial.swin
    torch.nn.init.normal_(given.norm.weight)
    state = {**given.state_dict(), "head.weight": torch.zeros(1000, 32)}
    torch.save(state, tmp_path / "swin.pth")
    monkeypatch.setattr(weights, "find", lambda name, kind: tmp_path / "swin.pth")
    training.begin_with(model, "swin-t-imagenet")
    torch.testing.assert_close(model.spatial.swin.norm.weight, given.norm.weight)


SHIPPED = sorted(configs.CONFIGS.glob("relation_*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_configs_follow_the_paper(path):
    read = training.RelationConfig.read(path.stem)
    assert (read.epochs, read.optimiser) == (100, training.Optimiser(1e-3, 0.05, 20))
    assert read.network().size == 224
    assert configs.task_of(path.stem) == "relation"
    assert configs.task_of("action_ntu60") != "relation"
    assert weights.named(read.start).kind == "backbone"


def test_heads_that_do_not_fit_are_an_error_about_the_config(tmp_path):
    with pytest.raises(UserError, match=r"config\.toml: heads has 5"):
        training.RelationConfig.read(config(tmp_path, heads=5))


def test_the_learning_rate_rises_and_falls():
    read = training.RelationConfig.read("relation_coco")
    rates = [training.learning_rate(read, e, 10) for e in range(101)]
    assert rates.index(max(rates)) == 20
    assert max(rates) == pytest.approx(1e-3, rel=1e-2)
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"coco"', '"cocoa"'), ("embed = 16", "embedding = 16"), ("warmup = 1", "warmup = 12"),
        ("[data]", "[data]\nmirrors = true"), ("batch = 8", "batch = 0"), ("[model]", "[model]\n?"),
        ("batch = 8", "batch = 8\nworkers = -1"), ("lr = 4e-3", 'lr = "4e-3"'),
        ("[data]", "[data]\nmost = 0"), ("embed = 16", "embed = 16.5"),
        ("window = 4", "window = 0"),
    ],
)  # fmt: skip
def test_a_config_that_is_none_is_refused(tmp_path, old, new):
    path = config(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=r"not a (training config|config of a relation network)"):
        training.RelationConfig.read(path)
