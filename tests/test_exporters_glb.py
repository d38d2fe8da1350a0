"""GLB: the moving figure, read by pygltflib, Khronos' validator and Blender."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scenes import RIG_NAMES, T, joints, person, scene, two_people
from scipy.spatial.transform import Rotation

from video2pose3d.colours import SIDES
from video2pose3d.exporters import glb
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Scene

VALIDATE = """
const fs = require("fs"), validator = require("gltf-validator");
const read = file => validator.validateBytes(new Uint8Array(fs.readFileSync(file)));
Promise.all(process.argv.slice(1).map(read)).then(found => console.log(JSON.stringify(found)));
"""


class Read:
    """A file by pygltflib, and what a player makes of it: nothing of the writer is used here."""

    def __init__(self, path: Path) -> None:
        pygltflib = pytest.importorskip("pygltflib", reason="a reader: pip install pygltflib")
        self.gltf = pygltflib.GLTF2().load(path)
        self.blob = self.gltf.binary_blob()
        self.names = [node.name for node in self.gltf.nodes]
        (self.animation,), (self.skin,) = self.gltf.animations, self.gltf.skins
        (self.clock,) = {sampler.input for sampler in self.animation.samplers}
        self.times = self.array(self.clock)[:, 0]

    def array(self, accessor: int) -> np.ndarray:
        """(count, components)"""
        a = self.gltf.accessors[accessor]
        view = self.gltf.bufferViews[a.bufferView]
        dtype = {5121: "<u1", 5123: "<u2", 5126: "<f4"}[a.componentType]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[a.type]
        start = view.byteOffset + (a.byteOffset or 0)
        return np.frombuffer(self.blob, dtype, a.count * width, start).reshape(a.count, width)

    def matrices(self, *, rest: bool = False) -> np.ndarray:
        """(keys, nodes, 4, 4) to WORLD."""
        keys = 1 if rest else len(self.times)
        local = np.tile(np.eye(4), (keys, len(self.gltf.nodes), 1, 1))
        for n, node in enumerate(self.gltf.nodes):
            local[:, n, :3, 3] = node.translation or 0
        for channel in [] if rest else self.animation.channels:
            values = self.array(self.animation.samplers[channel.sampler].output)
            if channel.target.path == "translation":
                local[:, channel.target.node, :3, 3] = values
            else:
                local[:, channel.target.node, :3, :3] = Rotation.from_quat(values).as_matrix()
        out = local.copy()
        todo = list(self.gltf.scenes[self.gltf.scene].nodes)
        for n in todo:
            for child in self.gltf.nodes[n].children or []:
                out[:, child] = out[:, n] @ local[:, child]
                todo.append(child)
        return out

    def joints(self, *, rest: bool = False) -> np.ndarray:
        """(keys, 17, 3) metres."""
        nodes = [self.names.index(RIG_NAMES[joint]) for joint in H36M17.joints]
        return self.matrices(rest=rest)[:, nodes][..., :3, 3]

    def surface(self, side: str, *, rest: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Corners of a side's triangles as the skin moves them (keys, N, 3, 3), their normals."""
        (primitive,) = (
            p
            for p in self.gltf.meshes[0].primitives
            if self.gltf.materials[p.material].name == side
        )
        about = primitive.attributes
        inverse = self.array(self.skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
        skin = self.matrices(rest=rest)[:, self.skin.joints] @ inverse
        weights = self.array(about.WEIGHTS_0)
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        blend = np.einsum("vw,kvwij->kvij", weights, skin[:, self.array(about.JOINTS_0)])
        points = np.c_[self.array(about.POSITION), np.ones(len(weights))]
        points = np.einsum("kvij,vj->kvi", blend, points)[..., :3]
        normals = np.einsum("kvij,vj->kvi", blend[..., :3, :3], self.array(about.NORMAL))
        corners = self.array(primitive.indices).reshape(-1, 3)
        return points[:, corners], normals[:, corners]


def test_glb_read_back_gives_the_joints(tmp_path):
    clip = two_people()
    for file, p in zip(glb.write(clip, tmp_path), clip.people, strict=True):
        found = Read(file)
        np.testing.assert_allclose(found.times, clip.timestamps, atol=1e-6)
        np.testing.assert_allclose(found.joints()[p.frames], p.joints_world, atol=1e-5)
        assert found.gltf.extras["units"] == "metres"
        assert found.gltf.extras["fps"] == 30
        assert found.skin.skeleton == found.names.index("Hips")


def test_glb_holds_the_nearest_pose_while_a_person_is_absent(tmp_path):
    found = Read(glb.write(two_people(), tmp_path)[1]).joints()  # seen in 5 to 11 and 20 to 32
    for absent, shown in ((0, 5), (4, 5), (13, 11), (15, 11), (17, 20), (39, 32)):
        np.testing.assert_array_equal(found[absent], found[shown])


def test_glb_rests_in_a_t_pose_on_the_floor(tmp_path):
    found = Read(glb.write(two_people(), tmp_path)[0])
    rest = dict(zip(H36M17.joints, found.joints(rest=True)[0], strict=True))
    for side, left in (("left", 1), ("right", -1)):
        arm = rest[f"{side}_wrist"] - rest[f"{side}_shoulder"]
        assert arm[0] * left > 0.4
        np.testing.assert_allclose(arm[1:], 0, atol=1e-6)
        assert 0 <= rest[f"{side}_ankle"][1] < 0.15
    assert rest["head"][1] > 1.4
    skinned = found.matrices(rest=True)[0, found.skin.joints]
    inverse = found.array(found.skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
    np.testing.assert_allclose(
        skinned @ inverse, np.tile(np.eye(4), (len(inverse), 1, 1)), atol=1e-6
    )


def test_glb_shows_a_body_about_the_joints_with_each_side_in_its_colour(tmp_path):
    found = Read(glb.write(two_people(), tmp_path)[0])
    assert [m.name for m in found.gltf.materials] == ["centre", "left", "right"]
    for material in found.gltf.materials:
        linear = np.array(material.pbrMetallicRoughness.baseColorFactor[:3])
        srgb = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        np.testing.assert_allclose(srgb * 255, SIDES[material.name], atol=0.1)
    for side in SIDES:
        corners = found.surface(side)[0].reshape(T, -1, 3)
        ends = joints()[:, [j for j in range(17) if H36M17.side(j) == side]]
        for k in range(0, T, 13):
            gaps = np.linalg.norm(corners[k, :, None] - ends[k], axis=-1)
            assert gaps.min(axis=0).max() < 0.13  # every joint is covered
            assert gaps.min(axis=1).max() < 0.25  # and nothing is far from all: hands, at most


def test_glb_turns_its_outside_out(tmp_path):
    found = Read(glb.write(two_people(), tmp_path)[0])
    for side in SIDES:
        corners, normals = (part[T // 2] for part in found.surface(side))
        np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)
        face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert np.linalg.norm(face, axis=-1).min() > 0
        assert (np.einsum("ni,nci->nc", face, normals) > 0).all()


def test_glb_turns_the_short_way_between_keyframes(tmp_path):
    turn = Rotation.from_euler("y", np.linspace(0, 720, T)[:, None], degrees=True)
    world = np.einsum("tij,tkj->tki", turn.as_matrix(), np.repeat(joints(1), T, axis=0))
    dancer = dataclasses.replace(person(1, np.arange(T)), joints_world=world.astype(np.float32))
    found = Read(glb.write(scene(dancer), tmp_path)[0])
    for sampler in found.animation.samplers:
        values = found.array(sampler.output)
        if values.shape[1] == 4:
            assert (np.sum(values[1:] * values[:-1], axis=1) > 0).all()


def odd_scenes() -> list[Scene]:
    """One frame; people seen in one frame, at a rate that varies; frames that float32 can't tell
    apart; joints all in one place."""
    uneven = np.concatenate([[0], np.cumsum(np.tile([1, 1, 3, 1], T // 4)[:-1] / 60)])
    late = np.concatenate([[0], 9000 + np.arange(T - 1) / 4000])
    nowhere = person(6, np.arange(T))
    nowhere = dataclasses.replace(nowhere, joints_world=np.zeros_like(nowhere.joints_world))
    return [
        scene(person(1, np.array([0])), frames=1),
        scene(person(2, np.array([0])), person(3, np.array([7])), person(4, np.array([T - 1])),
              timestamps=uneven, fps=(T - 1) / uneven[-1]),
        scene(person(5, np.arange(T)), timestamps=late, fps=(T - 1) / late[-1]),
        scene(nowhere),
    ]  # fmt: skip


def test_glb_of_odd_scenes(tmp_path):
    for clip in odd_scenes():
        for file, p in zip(glb.write(clip, tmp_path), clip.people, strict=True):
            found = Read(file)
            assert (np.diff(found.times) > 0).all()
            assert found.times[-1] == np.float32(clip.timestamps[-1])
            key = np.searchsorted(found.times, np.float32(clip.timestamps[p.frames[0]]))
            np.testing.assert_allclose(found.joints()[key], p.joints_world[0], atol=1e-5)


def test_glb_of_somebody_never_seen_is_not_written(tmp_path):
    assert glb.write(scene(person(1, np.array([], dtype=np.int64))), tmp_path) == []


def test_glb_is_valid_to_khronos(tmp_path):
    node = shutil.which("node")
    known = [node, "-e", "require('gltf-validator')"]
    if not node or subprocess.run(known, capture_output=True).returncode:
        pytest.skip("Khronos' validator: npm install gltf-validator, here or named in NODE_PATH")
    files = [file for clip in (two_people(), *odd_scenes()) for file in glb.write(clip, tmp_path)]
    command = [node, "-e", VALIDATE, *map(str, files)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert len(found) == len(files) > 7
    for report in found:
        assert report["issues"]["messages"] == []
        assert report["info"]["animationCount"] == 1
        assert report["info"]["hasSkins"]


def test_glb_opens_in_blender_upright_and_in_place(tmp_path):
    bpy = pytest.importorskip("bpy", reason="Blender as a module: pip install bpy")
    (file,) = glb.write(scene(person(1, np.arange(T))), tmp_path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 30
    bpy.ops.import_scene.gltf(filepath=str(file))
    (armature,) = (thing for thing in bpy.data.objects if thing.type == "ARMATURE")
    figure = bpy.data.objects["Figure"]
    # Blender is Z up; who faced +z now faces -y, the view from the front.
    expected = joints()[..., [0, 2, 1]] * [1, -1, 1]
    for frame in range(T):
        bpy.context.scene.frame_set(frame)
        bones = [armature.pose.bones[RIG_NAMES[joint]] for joint in H36M17.joints]
        places = [armature.matrix_world @ bone.head for bone in bones]
        np.testing.assert_allclose(places, expected[frame], atol=1e-4)
    skinned = figure.evaluated_get(bpy.context.evaluated_depsgraph_get())
    corners = np.array([skinned.matrix_world @ vertex.co for vertex in skinned.data.vertices])
    assert (corners.min(axis=0) < expected[-1].min(axis=0)).all()
    assert (corners.max(axis=0) > expected[-1].max(axis=0)).all()
    np.testing.assert_allclose(np.ptp(corners, axis=0), np.ptp(expected[-1], axis=0), atol=0.5)
