"""The same from Python: poses as arrays, and only the files you want."""

from pathlib import Path

import numpy as np

import video2pose3d as v2p

here = Path(__file__).parent
result = v2p.run(here / "walk.mp4", height=1.77, end=2.0)  # writes nothing

person = result.people[0]
print("joints, pelvis at 0, metres:", person.poses.joints.shape)
print("in the world, floor at y = 0:", person.joints_world.shape)
path = np.diff(person.root_camera, axis=0)
print(
    f"the pelvis moved {np.linalg.norm(path, axis=1).sum():.2f} m in {result.timestamps[-1]:.2f} s"
)

result.save(here / "out")  # what the command writes, in out/walk
again = v2p.load(here / "out" / "walk" / "poses.npz")
print("people in the file:", [p.id for p in again.people])
