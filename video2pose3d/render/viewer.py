"""viewer.html: the results as one page that opens from disk in any browser and asks for nothing.

The page is page/page.html with its style, its script and the data written into it. Its
Content-Security-Policy forbids every request, and every script but that one by its hash. The data
are JSON with nothing in it that HTML could read as a tag, and the script puts names on the page as
text only. The look is the animation's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import zlib
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from video2pose3d.files import replacing
from video2pose3d.render import _body, _floor, _style, animation
from video2pose3d.render._style import Colour
from video2pose3d.render._view import fit
from video2pose3d.skeletons import Skeleton
from video2pose3d.structures import Camera, Person, Scene

# The parts of the page's script, which is one module: those before know nothing of those after.
_SCRIPT = (
    "data.js", "eye.js", "stage.js", "figures.js", "picture.js", "player.js", "controls.js",
)  # fmt: skip

_METRES, _SECONDS, _SCORE = 1e-3, 1e-4, 1e-2  # the steps that places, times and scores come in
_PICTURE = 4096  # steps along a picture's longer side
_ABSENT = -(2**31)  # a number that is not there

_DAY = {
    "paper": _floor.PAPER, "floor": _floor.FLOOR, "lines": _floor.LINES, "text": _floor.TEXT,
    "left": _style.SIDES["left"], "right": _style.SIDES["right"],
}  # fmt: skip
_NIGHT: dict[str, Colour] = {
    "paper": (20, 23, 29), "floor": (44, 50, 61), "lines": (86, 95, 112), "text": (196, 204, 218),
}  # fmt: skip


def write(scene: Scene, path: Path, name: str, *, start: float = 0.0) -> Path:
    """Write the page of a scene; name: what its title says; start: where it begins in its clip."""
    with replacing(path) as beside:
        beside.write_text(page(scene, name, start=start), encoding="utf-8", newline="\n")
    return path


def page(scene: Scene, name: str, *, start: float = 0.0) -> str:
    """The page."""
    style = "\n" + _palette() + _part("page.css")
    script = "\n" + "\n".join(map(_part, _SCRIPT))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "media-src blob:; base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(describe(scene, name), separators=(",", ":"), allow_nan=False)
    # Inside a script only a "<" can end it, or begin a comment.
    data = data.replace("<", "\\u003c")
    template = Template(_part("page.html"))
    return template.substitute(
        policy=policy, style=style, data=data, script=script, start=f"{start:g}"
    )


def describe(scene: Scene, name: str) -> dict[str, Any]:
    """What the page's script is given: JSON of what there is to see, and of how it looks."""
    people = [_person(person, scene, place) for place, person in enumerate(scene.people)]
    return {
        "name": name,
        "fps": scene.fps,
        "size": scene.image_size,
        "times": pack(scene.timestamps[:, None], _SECONDS),
        "people": people,
        "cameras": _cameras(scene),
        "several": scene.rig is not None,
        "sources": {"Scale": scene.scale_source, "Lens": scene.camera.source},
        "home": fit(scene, animation.SIZE, room=1.0).axes.tolist(),  # how the animation looks
        "look": {
            "sides": _style.SIDES,
            "ink": _style.INK,
            "head": _body.HEAD,
            "shades": _body.SHADES,
            "toLight": _body.TO_LIGHT.tolist(),
            "light": _body.LIGHT,
            "shadow": _body.SHADOW,
            "pale": _body.PALE,
            "trail": _body.TRAIL_SECONDS,
            "pieces": _body.TRAIL_PIECES,
        },
    }


def pack(values: np.ndarray, step: float) -> dict[str, Any]:
    """Numbers (N, ...) to the nearest `step`, as text that `unpack` of page/data.js reads.

    The columns one after the other, each number as the whole steps (int32, little endian, wrapping
    round) by which it differs from the one before, deflated, in base64. NaN is kept.
    """
    whole = values.reshape(len(values), math.prod(values.shape[1:])).T / step  # (columns, N)
    whole = np.rint(whole)
    whole = np.clip(whole, _ABSENT + 1, -_ABSENT - 1)
    whole = np.where(np.isnan(whole), _ABSENT, whole).astype("<i4")
    changes = np.diff(whole, axis=1, prepend=np.zeros((len(whole), 1), "<i4"))
    packed = zlib.compress(changes.astype("<i4").tobytes())
    return {"step": step, "rows": len(values), "packed": base64.b64encode(packed).decode("ascii")}


def _person(person: Person, scene: Scene, place: int) -> dict[str, Any]:
    skeletons = person.poses.skeleton, person.keypoints.skeleton
    return {
        "id": int(person.id),
        "colour": _style.person_colour(place),
        "scale": _body.scale(person),
        "radii": _body.radii(person).tolist(),
        "body": _tree(skeletons[0]),
        "flat": _tree(skeletons[1]),
        "frames": pack(person.frames, 1),
        "seen": pack(person.valid, 1),
        "contact": pack(person.foot_contact, 1),
        "joints": pack(person.joints_world, _METRES),
        "keypoints": pack(person.keypoints.xy, max(scene.image_size) / _PICTURE),
        "scores": pack(_style.sureness(person), _SCORE),
    }


def _tree(skeleton: Skeleton) -> dict[str, Any]:
    """A skeleton: its bones with their sides, its limbs, and the joints that are more than that."""
    return {
        "bones": skeleton.bones,
        "limbs": _style.limbs(skeleton),
        "sides": [skeleton.side(joint) for joint in range(len(skeleton))],
        "places": {name: joint for joint, name in enumerate(skeleton.joints)},
    }


def _cameras(scene: Scene) -> list[dict[str, Any]]:
    if scene.rig is None:
        return [_camera("camera", scene.camera, scene.world_from_camera)]
    rig = scene.rig
    three = zip(rig.names, rig.cameras, rig.world_from_cameras, strict=True)
    return [_camera(name, camera, matrix) for name, camera, matrix in three]


def _camera(name: str, camera: Camera, world_from_camera: np.ndarray) -> dict[str, Any]:
    return {
        "name": name,
        "focal": [camera.K[0, 0], camera.K[1, 1]],
        "centre": [camera.K[0, 2], camera.K[1, 2]],
        "size": camera.size,
        "axes": world_from_camera[:3, :3].T.tolist(),  # its right, down and forward in WORLD
        "position": world_from_camera[:3, 3].tolist(),
    }


def _palette() -> str:
    """The colours of day and night as CSS variables, which the script reads, too."""

    def root(colours: dict[str, Colour]) -> str:
        return f":root {{{' '.join(f'--{k}: {r} {g} {b};' for k, (r, g, b) in colours.items())}}}"

    return f"{root(_DAY)}\n@media (prefers-color-scheme: dark) {{ {root(_NIGHT)} }}\n"


def _part(name: str) -> str:
    return (
        resources.files("video2pose3d.render").joinpath(f"page/{name}").read_text(encoding="utf-8")
    )


def _hash(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
