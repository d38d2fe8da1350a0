"""viewer.html: says what the scene says, asks for nothing, and lets no name become a script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import walker
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from video2pose3d.cli import NOTHING_DONE, WRONG_USAGE, video2pose3d
from video2pose3d.exporters import npz
from video2pose3d.render import _style, viewer
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Person, Rig, Scene, Track

FRAMES = 40
VARYING = np.cumsum(np.r_[0, np.tile([1, 1, 3], FRAMES)[: FRAMES - 1]]) / 60  # seconds
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--<script>&'\"\u2028"


def scene(*at: float, frames: np.ndarray | None = None, times: np.ndarray = VARYING) -> Scene:
    """People who walk towards the camera, `at` metres beside its middle, in some of the frames."""
    frames = np.arange(len(times)) if frames is None else frames
    films = [
        (world, walker.film(world, times, pixels=2.0, seed=seed))
        for seed, world in enumerate(walker.walk(times, at=(x, 0.0)) for x in at or (0.0,))
    ]
    people = [
        Person(
            track=Track(
                id,
                frames[:0],
                np.zeros((0, 4), np.float32),
                np.zeros(0, np.float32),
            ),
            frames=frames,
            valid=frames % 5 != 0,
            keypoints=replace(
                film.keypoints,
                frames=frames,
                xy=film.keypoints.xy[frames],
                scores=film.keypoints.scores[frames],
            ),
            poses=replace(
                film.poses,
                frames=frames,
                joints=film.poses.joints[frames],
                scores=film.poses.scores[frames],
            ),
            root_camera=film.joints[frames, H36M17.root].astype(np.float32),
            joints_world=world[frames].astype(np.float32),
            foot_contact=walker.stands(world)[frames],
        )
        for id, (world, film) in enumerate(films[: len(at)], start=3)
    ]
    world, film = films[0]
    points = np.pad(world.reshape(-1, 3), ((0, 0), (0, 1)), constant_values=1)
    camera_from_world = np.linalg.lstsq(points, film.joints.reshape(-1, 3), rcond=None)[0].T
    return Scene(
        people=tuple(people),
        timestamps=times,
        fps=30.0,
        image_size=film.camera.size,
        camera=film.camera,
        world_from_camera=np.linalg.inv(np.vstack([camera_from_world, [0, 0, 0, 1]])),
        scale_source="a test",
    )


def rigged(one: Scene, *names: str) -> Scene:
    """The scene as if several cameras had filmed it, each a metre beside the one before."""
    v, shape = len(names), (len(names), len(one.people), len(one.timestamps))
    matrices = np.repeat(one.world_from_camera[None], v, axis=0)
    matrices[:, 0, 3] += np.arange(v)
    rig = Rig(
        names=names,
        cameras=(one.camera,) * v,
        world_from_cameras=matrices,
        time_offsets=np.arange(v) / 7,
        keypoints=np.full((*shape, 17, 2), np.nan, np.float32),
        scores=np.zeros((*shape, 17), np.float32),
        reprojection_px=np.zeros(shape[:2]),
        world_from_calibration=None,
    )
    return replace(one, rig=rig)


def data_of(page: str) -> dict:
    """The data in a page, as the browser's JSON.parse gets them."""
    return json.loads(page.split('id="data">')[1].split("</script>")[0])


def unpack(told: dict, *shape: int) -> np.ndarray:
    """What the page's own script makes of packed numbers: (rows, *shape)."""
    changes = np.frombuffer(zlib.decompress(base64.b64decode(told["packed"])), "<i4")
    changes = changes.reshape(-1, told["rows"]) if told["rows"] else changes.reshape(1, 0)
    whole = np.cumsum(changes, axis=1, dtype=np.int32).astype(np.float64)
    whole[whole == -(2**31)] = np.nan
    return (whole.T * told["step"]).reshape(told["rows"], *shape)


class Tags(HTMLParser):
    """Every tag with its attributes, as HTML sees the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))


# What the page holds


@pytest.mark.parametrize("frames", [np.arange(FRAMES), np.r_[3:9, 20:31], np.array([7])])
def test_the_page_says_what_the_scene_says(frames):
    shown = scene(0.0, 1.5, frames=frames)
    data = data_of(viewer.page(shown, "a clip"))
    assert data["name"] == "a clip"
    assert tuple(data["size"]) == shown.image_size
    np.testing.assert_allclose(unpack(data["times"]), shown.timestamps, atol=0.5e-4 + 1e-9)
    assert [one["id"] for one in data["people"]] == [3, 4]
    for told, person in zip(data["people"], shown.people, strict=True):
        assert told["joints"]["step"] <= 1e-3
        half = {key: told[key]["step"] / 2 + 1e-6 for key in ("joints", "keypoints", "scores")}
        joints = unpack(told["joints"], 17, 3)
        np.testing.assert_allclose(joints, person.joints_world, rtol=0, atol=half["joints"])
        xy = unpack(told["keypoints"], 17, 2)
        np.testing.assert_allclose(xy, person.keypoints.xy, rtol=0, atol=half["keypoints"] + 1e-4)
        scores = unpack(told["scores"], 17)
        np.testing.assert_allclose(scores, person.keypoints.scores, atol=half["scores"])
        np.testing.assert_array_equal(unpack(told["frames"]), person.frames)
        np.testing.assert_array_equal(unpack(told["seen"]), person.valid)
        np.testing.assert_array_equal(unpack(told["contact"], 2), person.foot_contact)


@given(arrays(np.float64, (5, 3), elements=st.floats(-1e5, 1e5) | st.just(np.nan)))
def test_packed_numbers_come_back_to_half_a_step_and_nan_as_nan(values):
    back = unpack(viewer.pack(values, 1e-3), 3)
    np.testing.assert_allclose(back, values, rtol=0, atol=0.5e-3 + 1e-9)


def test_ten_minutes_of_somebody_are_small():
    times = np.arange(36000) / 60
    noise = np.random.default_rng(0).normal(size=(len(times), 17, 3)) * 0.005
    packed = viewer.pack(walker.walk(times) + noise, 1e-3)["packed"]
    assert len(packed) < 5e6


def test_a_clip_without_people_and_somebody_never_seen_have_a_page():
    assert data_of(viewer.page(scene(), ""))["people"] == []
    (one,) = data_of(viewer.page(scene(0.0, frames=np.arange(0)), ""))["people"]
    assert one["joints"]["rows"] == 0
    assert unpack(one["joints"], 17, 3).shape == (0, 17, 3)


def test_keypoints_that_are_not_there_stay_so():
    shown = scene(0.0)
    shown.people[0].keypoints.xy[4, 2] = np.nan
    (one,) = data_of(viewer.page(shown, ""))["people"]
    xy = unpack(one["keypoints"], 17, 2)
    assert np.argwhere(np.isnan(xy)).tolist() == [[4, 2, 0], [4, 2, 1]]


def test_cameras_stand_where_the_scene_has_them():
    shown = rigged(scene(0.0), "north", "south")
    data = data_of(viewer.page(shown, ""))
    assert data["several"]
    assert [camera["name"] for camera in data["cameras"]] == ["north", "south"]
    for camera, matrix in zip(data["cameras"], shown.rig.world_from_cameras, strict=True):
        np.testing.assert_allclose(camera["position"], matrix[:3, 3])
        pelvis = shown.people[0].joints_world[20, 0] - camera["position"]
        right, down, ahead = np.array(camera["axes"]) @ pelvis
        u = camera["focal"][0] * right / ahead + camera["centre"][0]
        v = camera["focal"][1] * down / ahead + camera["centre"][1]
        if camera["name"] == "north":
            assert np.hypot(*(np.array([u, v]) - shown.people[0].keypoints.xy[20, 0])) < 12
    alone = data_of(viewer.page(scene(0.0), ""))
    assert not alone["several"]
    assert len(alone["cameras"]) == 1


# What the page can do


def test_the_page_is_whole_and_refers_to_nothing_outside():
    page = viewer.page(rigged(scene(0.0, 1.0), "a", "b"), "clip")
    for tag, attributes in Tags(page).found:
        assert not {"src", "href", "srcset", "data", "action", "style"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\$[a-z]", _shell(page))


def _shell(page: str) -> str:
    """Markup and style: what is neither data nor script."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_policy_lets_nothing_through_but_this_script_and_style():
    page = viewer.page(scene(0.0), HOSTILE)
    (policy,) = (
        attributes["content"]
        for tag, attributes in Tags(page).found
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("media-src") == "blob:"
    for tag, kind in (('<script type="module">', "script"), ("<style>", "style")):
        content = page.split(tag)[1].split(f"</{kind}>")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules.pop(f"{kind}-src") == f"'sha256-{digest}'"
    assert set(rules.values()) == {"'none'"}
    assert page.index("Content-Security-Policy") < page.index("<style")


@pytest.mark.parametrize("name", [HOSTILE, "\udcff.mp4", "名前 🏃", "</title>", "$data", "]]>"])
def test_a_hostile_name_is_data_and_nothing_else(name, tmp_path):
    shown = rigged(scene(0.0), name, "b")
    shown = replace(shown, scale_source=name, camera=replace(shown.camera, source=name))
    path = viewer.write(shown, tmp_path / "viewer.html", name)
    page = path.read_text(encoding="utf-8")
    harmless = viewer.page(rigged(scene(0.0), "a", "b"), "clip")
    assert [tag for tag, _ in Tags(page).found] == [tag for tag, _ in Tags(harmless).found]
    assert page.split('id="data">')[0] == harmless.split('id="data">')[0]
    data = data_of(page)
    told = (data["name"], data["cameras"][0]["name"], *data["sources"].values())
    assert set(told) == {name}


def test_the_script_makes_no_html_of_text():
    script = viewer.page(scene(), "").split('<script type="module">')[1]
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", script
    )


# The command


@pytest.fixture
def poses(tmp_path: Path) -> Path:
    return npz.write_file(rigged(scene(0.0, 1.5), "a", "b"), tmp_path / "a <b> clip" / "poses.npz")


def view(*arguments: object):
    return CliRunner().invoke(video2pose3d, ["view", *map(str, arguments)])


def test_view_writes_the_page_beside_the_poses_or_where_it_is_told(poses, tmp_path):
    done = view(poses)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(poses.parent / "viewer.html")
    data = data_of((poses.parent / "viewer.html").read_text(encoding="utf-8"))
    assert data["name"] == "a <b> clip"
    assert data["several"]
    other = tmp_path / "new" / "page.html"
    done = view(poses, "-o", other, "--json")
    assert json.loads(done.stdout) == {"files": [str(other)]}
    assert [file.name for file in other.parent.iterdir()] == ["page.html"]
    assert view(poses, "-o", tmp_path / "quiet.html", "-q").stdout == ""


def test_a_page_that_is_there_is_not_lost(poses):
    page = poses.parent / "viewer.html"
    page.write_text("mine")
    refused = view(poses)
    assert refused.exit_code == NOTHING_DONE
    assert refused.stderr == f"error: {page}: is there already; add --overwrite\n"
    assert page.read_text() == "mine"
    assert view(poses, "--overwrite").exit_code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_view_of_what_is_no_result_says_so_in_one_line(tmp_path):
    (tmp_path / "bad.npz").write_text("no")
    for name in ("bad.npz", "none.npz"):
        done = view(tmp_path / name)
        assert done.exit_code == NOTHING_DONE
        assert done.stderr.count("\n") == 1
        assert name in done.stderr
    assert view().exit_code == WRONG_USAGE
    assert view(tmp_path / "bad.npz", "-o", tmp_path).exit_code == WRONG_USAGE
    assert [file.name for file in tmp_path.iterdir()] == ["bad.npz"]


# In a browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SIZE = (1280, 720)
STAGE = (slice(40, 590), slice(0, 930))  # rows and columns of the picture where people are


@pytest.fixture
def browse(tmp_path):
    """Open a scene's page: browse(scene, "#t=1") gives its picture, RGB, and its HTML by then."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed: {', '.join(BROWSERS)}")

    def open_page(shown: Scene, fragment: str = "") -> tuple[np.ndarray, str]:
        page = viewer.write(shown, tmp_path / "viewer.html", HOSTILE)
        done = subprocess.run(
            [
                *(found, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"),
                *("--virtual-time-budget=3000", f"--window-size={SIZE[0]},{SIZE[1]}"),
                *(f"--screenshot={tmp_path / 'page.png'}", "--dump-dom", page.as_uri() + fragment),
            ],
            capture_output=True, text=True, timeout=180, check=True,
        )  # fmt: skip
        assert "CONSOLE" not in done.stderr, done.stderr
        return cv2.imread(str(tmp_path / "page.png"))[..., ::-1], done.stdout

    return open_page


def centre_of(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(2,) px: the middle of all pixels of about that colour."""
    v, u = np.nonzero((np.abs(image.astype(int) - colour) <= 25).all(axis=-1))
    assert len(u) > 50, f"nothing in colour {colour}"
    return np.array([u.mean(), v.mean()])


def test_a_browser_shows_people_upright_with_their_left_where_the_camera_has_it(browse):
    picture, html = browse(scene(0.0, frames=np.arange(1, FRAMES)), f"#t={VARYING[21]}")
    people = picture[STAGE]
    left, right = (centre_of(people, _style.SIDES[side]) for side in ("left", "right"))
    assert left[0] > right[0]
    assert centre_of(people, _style.person_colour(0))[1] < min(left[1], right[1]) - 100  # the label
    assert f"{VARYING[21]:.2f} s · frame 21 / {FRAMES - 1}" in html
    assert "<img" not in html  # the name is text


def test_a_browser_says_that_nobody_is_there(browse):
    _, html = browse(scene())
    assert "nobody was found in this clip" in html


def test_a_browser_shows_one_frame(browse):
    _, html = browse(rigged(scene(0.0, 1.0, times=np.zeros(1)), "a", "b"))
    assert "0.00 s · frame 0 / 0" in html
