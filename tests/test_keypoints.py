"""2D keypoint backends: the same answers as their makers', from files that can do no harm."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from video2pose3d import discovery
from video2pose3d.errors import UserError
from video2pose3d.keypoints import _mmpose, _topdown, hrnet, swin
from video2pose3d.keypoints._crops import window_around
from video2pose3d.skeletons import COCO17, H36M17
from video2pose3d.video import open_video

needs_mmpose = pytest.mark.skipif(not _mmpose.available(), reason="mmpose is not installed")
SIZE = (192, 256)
LIMBS = [
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]


# Heatmaps ---------------------------------------------------------------------------------------


def gaussians(centres: np.ndarray, width: int = 48, height: int = 64) -> np.ndarray:
    """(J, 2) x, y in cells to heatmaps (1, J, H, W) as networks are trained to give them."""
    y, x = np.mgrid[:height, :width]
    squares = (x - centres[:, :1, None]) ** 2 + (y - centres[:, 1:, None]) ** 2
    return np.exp(-squares / (2 * 2**2))[None].astype(np.float32)


def test_a_heatmaps_maximum_is_found_within_a_quarter_of_a_cell() -> None:
    centres = np.random.default_rng(0).uniform((2, 2), (45, 61), size=(200, 2))
    at, values = _topdown.decode(gaussians(centres))
    assert np.abs(at[0] - centres).max() <= 0.25 + 1e-6
    assert (values > 0.9).all()


def test_a_person_stays_in_place_through_crop_and_back() -> None:
    """The crop's pixels and the keypoints use one affine map, to half a pixel."""
    image = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(image, (210, 140), 3, (255, 255, 255), -1)
    centres, sizes = _topdown.regions(np.array([[150, 60, 260, 250]], np.float32), SIZE)
    crop = _topdown.crop([image], centres, sizes, SIZE)[0]
    y, x = (axis.mean() for axis in np.nonzero(crop[..., 0] > 128))
    back = np.array([x, y]) / SIZE * sizes[0] + centres[0] - sizes[0] / 2
    assert np.abs(back - (210, 140)).max() < 0.5


def test_a_region_holds_its_box_in_the_networks_proportions() -> None:
    boxes = np.array([[0, 0, 100, 30], [10, 10, 20, 300]], np.float32)
    centres, sizes = _topdown.regions(boxes, SIZE)
    np.testing.assert_allclose(sizes[:, 0] / sizes[:, 1], SIZE[0] / SIZE[1])
    assert (sizes >= (boxes[:, 2:] - boxes[:, :2]) * 1.25 - 1e-4).all()
    np.testing.assert_allclose(centres, [[50, 15], [15, 155]])


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 0), (5, 5, 4, 9), (np.nan,) * 4, (200, 0, 300, 40), (-90, -90, -60, -60)]
)
def test_no_window_around_nothing(box: tuple[float, ...]) -> None:
    assert window_around(np.array(box, np.float32), (100, 100, 3), 1.25) is None


# MMPose -----------------------------------------------------------------------------------------


@needs_mmpose
@pytest.mark.parametrize(("width", "millions"), [(32, 28.54), (48, 63.60)])
def test_hrnet_has_its_published_size(width: int, millions: float) -> None:
    assert _millions(_mmpose.hrnet(width, 17, SIZE)) == pytest.approx(millions, abs=0.005)


@needs_mmpose
def test_swin_b_has_its_published_size() -> None:
    network = _mmpose.swin(128, (2, 2, 18, 2), (4, 8, 16, 32), 7, 17, SIZE)
    assert _millions(network) == pytest.approx(93.04, abs=0.005)


@needs_mmpose
def test_mmposes_networks_are_built_after_mmengine_was_used_for_something_else() -> None:
    from mmengine.registry import DefaultScope

    DefaultScope.get_instance("a training run", scope_name="mmengine")
    assert _millions(_mmpose.hrnet(32, 17, SIZE)) > 28


def _millions(network: torch.nn.Module) -> float:
    return sum(tensor.numel() for tensor in network.parameters()) / 1e6


@needs_mmpose
@pytest.mark.parametrize(
    ("backend", "config"),
    [
        (hrnet, "td-hm_hrnet-w32_8xb64-210e_coco-256x192"),
        (swin, "td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192"),
    ],
    ids=["hrnet", "swin"],
)
def test_keypoints_equal_mmposes_own(backend, config: str, tmp_path: Path) -> None:
    """The same random weights, pictures and boxes through mmpose's configuration and pipeline."""
    import mmpose
    from mmpose.apis import inference_topdown, init_model

    folder = Path(mmpose.__path__[0]) / ".mim/configs/body_2d_keypoint/topdown_heatmap/coco"
    torch.manual_seed(0)
    theirs = init_model(str(folder / f"{config}.py"), None, device="cpu")
    with torch.no_grad():  # as drawn, all heatmaps are alike: make them large enough to tell
        for parameter in theirs.head.final_layer.parameters():
            parameter.normal_(0, 0.3)
    weights = tmp_path / "random_coco_256x192.pth"
    torch.save({"state_dict": theirs.state_dict(), "meta": {}}, weights)
    ours = backend.build(weights, "cpu")

    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
    boxes = np.array([[60, 40, 140, 200], [-20, 100, 90, 260], [200.5, 10.2, 310, 60]], np.float32)
    expected = inference_topdown(theirs, image[..., ::-1], boxes, bbox_format="xyxy")
    expected_xy = np.concatenate([sample.pred_instances.keypoints for sample in expected])
    expected_scores = np.concatenate([s.pred_instances.keypoint_scores for s in expected])

    xy, scores = ours.predict([image] * 3, boxes)
    np.testing.assert_allclose(scores, expected_scores.clip(0, 1), atol=2e-3)
    # Where two cells of a random heatmap are as high, rounding picks one.
    same = np.isclose(xy - 0.5, expected_xy, atol=0.02).all(axis=-1)
    assert same.mean() > 0.97


@needs_mmpose
def test_an_empty_box_scores_nothing_and_a_full_one_something(tmp_path: Path) -> None:
    backend = hrnet.build(_published(tmp_path / "w32_256x192.pth"), "cpu")
    boxes = np.array([[np.nan] * 4, [5, 5, 5, 5], [0, 0, 60, 90]], np.float32)
    xy, scores = backend.predict([_noise()] * 3, boxes)
    assert (xy.shape, xy.dtype, scores.dtype) == ((3, 17, 2), np.float32, np.float32)
    assert not scores[:2].any()
    assert np.isfinite(xy).all()
    empty_xy, empty_scores = backend.predict([], np.zeros((0, 4), np.float32))
    assert (empty_xy.shape, empty_scores.shape) == ((0, 17, 2), (0, 17))


@needs_mmpose
def test_a_published_checkpoint_loads_with_its_log(tmp_path: Path) -> None:
    """NumPy numbers, arrays and MMEngine's log lie beside the tensors in OpenMMLab's files."""
    from mmengine.logging import HistoryBuffer

    log = HistoryBuffer([0.5, 0.25], [1, 1])
    log.update(np.float64(0.125))
    more = {
        "meta": {"epoch": np.int64(210), "cfg": "codec = dict(input_size=(288, 384))"},
        "message_hub": {"log_scalars": {"train/loss": log}, "best": np.float32(0.749)},
        "arrays": np.arange(3.0),
    }
    state, configuration = _mmpose.read_checkpoint(_published(tmp_path / "w32.pth", more))
    assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())
    assert _mmpose.input_size(tmp_path / "w32.pth", configuration) == (288, 384)


def test_a_malicious_checkpoint_is_refused_and_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return Path.touch, (trace,)

    torch.save({"state_dict": {}, "meta": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pth", "old.pth"):
        with pytest.raises(UserError, match=name):
            _mmpose.read_checkpoint(tmp_path / name)
    assert not trace.exists()


def test_the_getattr_of_logs_gets_nothing(tmp_path: Path) -> None:
    """MMEngine's logs need the name; it must not be the real one."""

    class Reaches:
        def __reduce__(self):
            return getattr, (torch.Tensor, "__init__")

    torch.save({"state_dict": {}, "meta": {"reached": Reaches()}}, tmp_path / "reach.pth")
    with torch.serialization.safe_globals(_mmpose._SAFE):
        meta = torch.load(tmp_path / "reach.pth", weights_only=True)["meta"]
    assert meta["reached"] is None


@needs_mmpose
def test_the_wrong_file_is_named_for_what_it_is(tmp_path: Path) -> None:
    weights = _published(tmp_path / "w32_256x192.pth")
    with pytest.raises(UserError, match="is no Swin"):
        swin.build(weights, "cpu")
    state = torch.load(weights, weights_only=True)["state_dict"]
    state["head.final_layer.weight"] = torch.zeros(21, 32, 1, 1)  # a hand's keypoints
    torch.save({"state_dict": state}, tmp_path / "hand.pth")
    with pytest.raises(UserError, match=r"is no HRNet-w32 .* head.final_layer.weight"):
        hrnet.build(tmp_path / "hand.pth", "cpu")
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(UserError, match="not a checkpoint"):
        hrnet.build(tmp_path / "text.pth", "cpu")


@pytest.mark.parametrize(
    ("name", "configuration", "expected"),
    [
        ("hrnet_w48_coco_384x288-314c8528.pth", "", (288, 384)),
        ("hrnet_w48_coco_256x192-b9e0b3ab.pth", "", (192, 256)),
        ("mine.pth", "input_size=(288, 384), heatmap_size=(72, 96)", (288, 384)),
        ("mine.pth", "", (192, 256)),
    ],
)
def test_the_input_size_is_read(name: str, configuration: str, expected: tuple[int, int]) -> None:
    assert _mmpose.input_size(Path(name), configuration) == expected


@pytest.mark.parametrize("name", ["hrnet_w48_coco_256x192_dark-8cba3197.pth", "w32_udp-x.pth"])
def test_another_heatmap_coding_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="coding"):
        _mmpose.input_size(Path(name), "")


def _noise() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (120, 90, 3), dtype=np.uint8)


def _published(path: Path, more: dict[str, object] | None = None) -> Path:
    """A checkpoint of HRNet-w32 with random weights, in the published layout."""
    torch.manual_seed(0)
    state = _mmpose.hrnet(32, 17, SIZE).state_dict()
    torch.save({"state_dict": state, **(more or {"meta": {}})}, path)
    return path


# On people --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["yolo_pose", "mediapipe"])
def test_keypoints_lie_on_the_joints_of_a_rendered_man(name: str, data: Path, capfd) -> None:
    backend = _backend(name, data)
    images = [f for i, f in enumerate(open_video(data / "examples/walk.mp4")) if i % 40 == 0]
    truth = np.load(data / "examples/walk_truth.npz")
    boxes = truth["bbox"][::40].astype(np.float32)
    xy, scores = backend.predict(images, boxes)
    heights = (boxes[:, 3] - boxes[:, 1])[:, None]
    expected = truth["image"][::40][:, H36M17.indices(*LIMBS)]
    limbs = COCO17.indices(*LIMBS)
    errors = np.linalg.norm(xy[:, limbs] - expected, axis=-1) / heights
    assert np.median(errors) < 0.035
    assert np.median(scores[:, limbs]) > 0.8
    # Left is the person's own left: swapped sides would be nearer to the truth of the other.
    swapped = xy[:, np.array(COCO17.mirror)[limbs]]
    assert errors.mean() < np.linalg.norm(swapped - expected, axis=-1).mean() / heights.mean()
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("name", ["yolo_pose", "mediapipe"])
def test_nobody_in_the_box_scores_nothing(name: str, data: Path) -> None:
    backend = _backend(name, data)
    image = np.full((200, 300, 3), 90, np.uint8)
    boxes = np.array([[0, 0, 300, 200], [np.nan] * 4, [9, 9, 9, 50], [400, 0, 500, 90]], np.float32)
    xy, scores = backend.predict([image] * 4, boxes)
    assert not scores.any()
    assert np.isfinite(xy).all()
    assert backend.predict([], np.zeros((0, 4), np.float32))[0].shape == (0, 17, 2)


def test_each_of_two_people_gets_their_own_keypoints(data: Path) -> None:
    backend = _backend("yolo_pose", data)
    truth = np.load(data / "examples/two_people_truth.npz")
    frame = 45  # side by side: each is in the other's crop
    image = list(open_video(data / "examples/two_people.mp4"))[frame]
    boxes = truth["bbox"][frame].astype(np.float32)
    xy, _ = backend.predict([image, image], boxes)
    hips = xy[:, COCO17.indices("left_hip", "right_hip")].mean(axis=1)
    pelvis = truth["image"][frame][:, H36M17.index("pelvis")]
    assert np.linalg.norm(hips - pelvis, axis=-1).max() < 25


def test_a_detector_is_no_pose_network(data: Path) -> None:
    with pytest.raises(UserError, match="gives no keypoints"):
        discovery.load("keypoints", "yolo_pose").build(data / "weights/yolo11n_deq.pt", "cpu")


def _backend(name: str, data: Path):
    module = discovery.load("keypoints", name)
    if not module.available():
        pytest.skip(f"the package of {name} is not installed")
    weights = data / "weights/yolo11n-pose_deq.pt" if module.DEFAULT_WEIGHTS else None
    return module.build(weights, "cpu")


@pytest.mark.parametrize("name", discovery.names("keypoints"))
def test_every_backend_says_what_it_needs(name: str) -> None:
    module = discovery.load("keypoints", name)
    assert isinstance(module.DEFAULT_WEIGHTS, str)
    assert isinstance(module.available(), bool)
    assert callable(module.build)
